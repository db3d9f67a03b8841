//! Where parts go: staged out of sight, then published together.
//!
//! A run sees one trait, [`Target`]. Behind it are two ways to publish files, by what a store can do:
//! `rename_committer` for folders (`local`, `hdfs`, `sftp`), `multipart_committer` for object stores (`s3`,
//! `azure`), whose uploads stay open until the commit; and `sink`, for what is not files. One file for
//! each store. Folders of files can become tables of a catalog: `registrar`.

mod data_files;
mod files;
#[cfg(feature = "hdfs")]
mod hdfs;
mod local;
mod manifests;
#[cfg(any(feature = "azure", feature = "s3"))]
mod multipart_committer;
mod name_lock;
#[cfg(any(feature = "azure", feature = "s3"))]
mod object_files;
mod rename_committer;
#[cfg(any(feature = "azure", feature = "hdfs", feature = "s3", feature = "sftp"))]
mod request;
#[cfg(feature = "sftp")]
mod sftp;
mod single_file;
mod sink;
#[cfg(any(feature = "azure", feature = "hdfs", feature = "s3", feature = "sftp"))]
mod upload;

use std::collections::HashSet;
use std::fmt::Debug;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::config::Reach;
use longshore_model::config::place::Place;
use longshore_model::config::target::Mode;
use longshore_model::error::{Error, Result};
use longshore_model::part::{Part, RelationTarget};

use crate::store;
#[cfg(any(feature = "azure", feature = "s3"))]
use multipart_committer::MultipartCommitter;
use rename_committer::RenameCommitter;
use single_file::SingleFile;

pub use data_files::{DataFile, data_files};
pub use files::{ByteStream, Entry, read_small};
pub use manifests::Manifests;
pub use name_lock::{LOCK_WAIT_SECS, VERSION_LIMIT};
pub use rename_committer::checksum;
pub use sink::{RECEIPT_LIMIT_BYTES, SinkTarget, plugin_mode};

/// The target's hidden folder.
const HIDDEN: &str = ".longshore";

/// Where a run's rows go: written out of sight, made visible together.
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// A path in the target, as people read it.
    fn url(&self, path: &str) -> String;

    /// Chooses a relation's name in the target, and holds it for the run until it is published or
    /// discarded. Shows also that the target can be written.
    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<RelationTarget>;

    /// Prepares for rows of this schema; again when the run resumes.
    async fn begin(&self, target: &RelationTarget, schema: &SchemaRef) -> Result<()>;

    /// Whether a part that was finished is still as it was, as far as can be seen before it is
    /// published.
    async fn is_intact(&self, target: &RelationTarget, part: &Part) -> Result<bool>;

    /// Makes a run's parts visible. Done again after an interruption, it completes what is missing.
    async fn publish(&self, relations: &[Publication]) -> Result<PublishResult>;

    /// Removes the files that a relation's parts take the place of. Done again after an interruption, it removes
    /// those that are left.
    async fn remove_replaced(&self, relation: &Publication) -> Result<()>;

    /// Takes back what [`Self::publish`] did with a relation, or a part of it.
    async fn retract(&self, relation: &Publication) -> Result<()>;

    /// The manifests of the runs that were published.
    fn manifests(&self) -> Manifests<'_>;

    /// Removes what a run has in the target and has not published: parts, names, staging.
    async fn discard(&self, run: &str) -> Result<()>;

    /// Lets go of what a run held, after everything is published.
    async fn release(&self, run: &str, targets: &[RelationTarget]) -> Result<()>;
}

/// A target of files: a folder of a store, in which each relation gets a folder of its own.
#[async_trait]
pub trait Folder: Target {
    /// Begins a part, out of sight.
    async fn create_part(&self, target: &RelationTarget, file: &str) -> Result<Box<dyn PartFile>>;

    /// Holds a relation's name, so that no other run publishes into it, until the run lets go of it.
    async fn lock(&self, target: &RelationTarget) -> Result<()>;

    /// The names of these relations that runs hold, in one listing and a request for each that is held.
    async fn held_names(&self, relations: &HashSet<&str>) -> Result<Vec<HeldName>>;

    /// Lets go of a name that a run holds which is not worked on any more; fine if it does not.
    async fn let_go(&self, held: &HeldName) -> Result<()>;

    /// Removes a part that is not published.
    async fn remove_part(
        &self,
        target: &RelationTarget,
        file: &str,
        token: Option<&str>,
    ) -> Result<()>;

    /// Removes the folders for a relation's parts that are empty: a process that learns late of a run's end may have made
    /// them again.
    async fn remove_empty_folders(&self, target: &RelationTarget);

    /// A file's bytes.
    async fn read(&self, path: &str) -> Result<ByteStream>;

    /// A part of a file's bytes.
    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes>;

    /// Writes a marker and removes it again: whether the target can be written.
    async fn probe(&self) -> Result<()>;

    /// Refuses a relation whose name [`Target::reserve`] would refuse for what is there. Holds nothing.
    async fn check_name(&self, relation: &str, mode: Mode) -> Result<()>;

    /// What is directly in a folder; nothing if it is not there.
    async fn list(&self, folder: &str) -> Result<Vec<Entry>>;
}

/// A name in a target that a run holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldName {
    /// The name of a relation, or of a single file.
    pub name: String,
    /// The run's id, as it is in the target: anybody can write there.
    pub run: String,
}

/// What is to be published of one relation.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its place.
    pub target: RelationTarget,
    /// Its parts.
    pub parts: Vec<Part>,
    /// The files that they take the place of, by their names in the relation's folder.
    pub replaced: Vec<String>,
}

/// The result of publishing.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishResult {
    /// All is visible, each relation under the name given here.
    As(Vec<String>),
    /// Nothing of the relation at this position is: somebody else took its name meanwhile.
    Taken(usize),
}

impl PublishResult {
    /// All is visible under the names that were reserved.
    fn as_reserved(relations: &[Publication]) -> Self {
        Self::As(relations.iter().map(|relation| relation.target.name.clone()).collect())
    }
}

/// A part being written. What is not finished when it is dropped is discarded.
#[async_trait]
pub trait PartFile: Write + Send {
    /// Makes it durable. Gives what the store needs to publish it, perhaps in another process.
    async fn finish(self: Box<Self>) -> Result<String>;
}

/// Opens a folder; `secrets` is the operator's folder of secrets, `reach` what a job may write, where one
/// does. Call it on the runtime that serves connections.
pub async fn open(
    place: &Place,
    secrets: Option<&Path>,
    reach: Option<Reach>,
) -> Result<Arc<dyn Folder>> {
    committer(place, secrets, reach, None).await
}

/// Opens a target that is one file of a folder; its manifests lie in a folder of this machine.
pub async fn open_file(
    place: &Place,
    name: &str,
    manifests: &Path,
    secrets: Option<&Path>,
    reach: Option<Reach>,
) -> Result<Arc<dyn Folder>> {
    let folder = committer(place, secrets, reach, Some(name.to_owned())).await?;
    Ok(Arc::new(SingleFile::new(folder, name, manifests)))
}

/// Publishes in a store: relations, or only the `file` of this name.
#[allow(unreachable_patterns, unused_variables, reason = "as the features of the build have it")]
async fn committer(
    place: &Place,
    secrets: Option<&Path>,
    reach: Option<Reach>,
    file: Option<String>,
) -> Result<Arc<dyn Folder>> {
    match place {
        Place::Local(folder) => {
            let folder = local::LocalFolder::new(folder).within(reach);
            Ok(Arc::new(RenameCommitter::new(folder, file)))
        }
        #[cfg(feature = "hdfs")]
        Place::Hdfs(place) => {
            Ok(Arc::new(RenameCommitter::new(hdfs::HdfsFolder::open(place)?, file)))
        }
        #[cfg(feature = "sftp")]
        Place::Sftp(place) => {
            Ok(Arc::new(RenameCommitter::new(sftp::SftpFolder::open(place, secrets).await?, file)))
        }
        #[cfg(feature = "s3")]
        Place::S3(place) => {
            let base = format!("s3://{}", place.bucket);
            let clients = store::s3::clients(place, secrets)?;
            let open = store::s3::open_uploads(place, secrets)?;
            let prefix = place.prefix.clone();
            Ok(Arc::new(MultipartCommitter::open(clients, base, prefix, Some(open))?.only(file)))
        }
        #[cfg(feature = "azure")]
        Place::Azure(place) => {
            let base = format!("azure://{}", place.container);
            let clients = store::azure::clients(place, secrets)?;
            let committer = MultipartCommitter::open(clients, base, place.prefix.clone(), None)?;
            Ok(Arc::new(committer.only(file)))
        }
        _ => Err(store::not_built()),
    }
}

fn staging(run: &str) -> String {
    format!("{HIDDEN}/staging/{run}")
}

/// Where a part lies in a store with folders, before it is published.
pub fn staged_path(target: &RelationTarget, file: &str) -> String {
    format!("{}/{}/{file}", staging(&target.run), target.relation)
}

/// Where it is tried whether a target can be written.
fn probe_path() -> Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| Error::resource(error.to_string()))?;
    Ok(format!("{HIDDEN}/probe-{:016x}", u64::from_le_bytes(random)))
}
