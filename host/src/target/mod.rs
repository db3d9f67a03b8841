//! Where parts go: staged out of sight, then published together.
//!
//! A run sees one trait, [`Target`]. Behind it are two ways to publish, by what a store can do:
//! `by_rename` for folders (`local`, `hdfs`, `sftp`), `by_completion` for object stores (`s3`,
//! `azure`), whose uploads stay open until the commit. One file for each store.

mod azure;
mod by_completion;
mod by_rename;
mod files;
mod hdfs;
mod local;
mod names;
mod object_files;
mod s3;
mod sftp;
mod upload;

use std::fmt::Debug;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::config::target::{Mode, Place};
use crate::error::Result;
use crate::write::Part;

pub use by_rename::checksum;
pub use files::{ByteStream, Entry, STORE_TIMEOUT_SECS, read_small};
pub use names::{LOCK_WAIT_SECS, VERSION_LIMIT};
pub use upload::{PIECE_BYTES, WRITE_TIMEOUT_SECS};

/// The target's hidden folder.
const HIDDEN: &str = ".longshore";

/// A folder of a store, in which each relation gets a folder of its own.
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// A path in the target, as people read it.
    fn url(&self, path: &str) -> String;

    /// Chooses a relation's name in the target, and holds it for the run until it is published or
    /// discarded. Shows also that the target can be written.
    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<Spot>;

    /// Begins a part, out of sight.
    async fn create_part(&self, spot: &Spot, file: &str) -> Result<Box<dyn PartFile>>;

    /// Removes a part that is not published.
    async fn remove_part(&self, spot: &Spot, file: &str, token: Option<&str>) -> Result<()>;

    /// Whether a part that was finished is still as it was, as far as can be seen before it is
    /// published.
    async fn is_intact(&self, spot: &Spot, part: &Part) -> Result<bool>;

    /// Makes a relation's parts visible. Done again after an interruption, it completes what is
    /// missing. False: somebody else took the name; nothing is published.
    async fn publish(&self, spot: &Spot, parts: &[Part]) -> Result<bool>;

    /// Takes back what [`Self::publish`] did, or a part of it.
    async fn retract(&self, spot: &Spot, parts: &[Part]) -> Result<()>;

    /// Writes a run's manifest; gives its path.
    async fn put_manifest(&self, run: &str, manifest: &[u8]) -> Result<String>;

    /// Removes what a run has in the target and has not published: parts, names, staging.
    async fn discard(&self, run: &str) -> Result<()>;

    /// Lets go of what a run held, after everything is published.
    async fn release(&self, run: &str, spots: &[Spot]) -> Result<()>;

    /// A file's bytes.
    async fn read(&self, path: &str) -> Result<ByteStream>;

    /// What is directly in a folder; nothing if it is not there.
    async fn list(&self, folder: &str) -> Result<Vec<Entry>>;
}

/// Where a run puts a relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// The run.
    pub run: String,
    /// The relation's name in the job.
    pub relation: String,
    /// Its name in the target: with `_v2` or so, where there was one before.
    pub name: String,
    /// What happens to what is there.
    pub mode: Mode,
}

/// A part being written. What is not finished when it is dropped is discarded.
#[async_trait]
pub trait PartFile: Write + Send {
    /// Makes it durable. Gives what the store needs to publish it, perhaps in another process.
    async fn finish(self: Box<Self>) -> Result<String>;
}

/// Opens a target; `secrets` is the operator's folder of secrets. Call it on the runtime that serves
/// connections.
pub async fn open(place: &Place, secrets: Option<&Path>) -> Result<Arc<dyn Target>> {
    Ok(match place {
        Place::Local(folder) => Arc::new(by_rename::ByRename::new(local::LocalFolder::new(folder))),
        Place::Hdfs(place) => Arc::new(by_rename::ByRename::new(hdfs::HdfsFolder::open(place)?)),
        Place::Sftp(place) => {
            Arc::new(by_rename::ByRename::new(sftp::SftpFolder::open(place, secrets).await?))
        }
        Place::S3(place) => Arc::new(s3::open(place, secrets)?),
        Place::Azure(place) => Arc::new(azure::open(place, secrets)?),
    })
}

fn staging(run: &str) -> String {
    format!("{HIDDEN}/staging/{run}")
}

fn manifest_path(run: &str) -> String {
    format!("{HIDDEN}/runs/{run}.json")
}
