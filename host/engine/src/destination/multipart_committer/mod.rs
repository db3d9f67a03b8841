//! Publishing in object stores, which cannot rename: each part is an upload to its last place that
//! nobody sees until it is completed, and the commit completes them all.

mod held_upload;
mod part_upload;
mod uploads;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::target::Mode;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::part::{Part, RelationTarget};
use object_store::multipart::MultipartStore;
use object_store::{ObjectStore, ObjectStoreExt};

use self::held_upload::HeldUpload;
use self::uploads::Uploads;
use super::files::{ByteStream, Entry, Files, files_beneath};
use super::object_files::ObjectFiles;
use super::request::absent_is_fine;
use super::upload::WRITE_TIMEOUT_SECS;
use super::{
    Folder, HeldName, Manifests, PartFile, Publication, PublishResult, Target, name_lock,
    probe_path, staging,
};
use crate::store::client::REQUEST_TIMEOUT_SECS;
use crate::store::open_uploads::OpenUploads;

/// Requests of a commit at the same time: the sooner it is over, the better.
const COMMIT_REQUESTS_AT_ONCE: usize = 32;

/// A target over an object store.
pub(super) struct MultipartCommitter {
    files: Arc<ObjectFiles>,
    uploads: Uploads,
}

impl fmt::Debug for MultipartCommitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MultipartCommitter({:?})", self.files)
    }
}

impl MultipartCommitter {
    /// A target in a store, by two clients of it: the one for rows waits longer. `base` and `prefix`
    /// are free of slashes at their ends.
    pub(super) fn open<S: ObjectStore + MultipartStore>(
        client: impl Fn(u64) -> Result<S>,
        base: String,
        prefix: String,
        open: Option<Arc<dyn OpenUploads>>,
    ) -> Result<Self> {
        let files = ObjectFiles::new(Arc::new(client(REQUEST_TIMEOUT_SECS)?), base, prefix);
        let files = Arc::new(files);
        let uploads = Uploads::new(files.clone(), Arc::new(client(WRITE_TIMEOUT_SECS)?), open);
        Ok(Self { files, uploads })
    }

    /// The same, which publishes only the file of this name, if there is one.
    pub(super) fn only(self, file: Option<String>) -> Self {
        Self { uploads: self.uploads.only(file), ..self }
    }

    /// Whether the single file is there as this run wrote it, as far as can be told.
    async fn is_completed(&self, file: &str, parts: &[Part]) -> Result<Option<bool>> {
        let Some(there) = self.files.head(file).await? else { return Ok(None) };
        for part in parts {
            if HeldUpload::parse(&part.token)?.is_completed_as(part, &there) {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    /// Takes a published file back, unless it is in the place of another one, which is gone.
    async fn retract_file(&self, target: &RelationTarget, parts: &[Part]) -> Result<()> {
        if self.is_completed(&target.name, parts).await? != Some(true) {
            return Ok(());
        }
        match target.mode {
            Mode::Replace => {
                let url = self.files.url(&target.name);
                Err(Error::resource(format!("{url} is replaced already")))
            }
            _ => self.remove_file(target.name.clone()).await,
        }
    }

    async fn complete_all(&self, target: &RelationTarget, parts: &[Part]) -> Result<()> {
        let completing: Vec<_> =
            parts.iter().map(|part| self.uploads.complete(target, part)).collect();
        futures::stream::iter(completing)
            .buffer_unordered(COMMIT_REQUESTS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Removes what is in a folder and not among these names.
    async fn remove_others(&self, folder: &str, keep: &[Part]) -> Result<()> {
        let keep: BTreeSet<&str> = keep.iter().map(|part| part.file.as_str()).collect();
        for file in files_beneath(self.files.as_ref(), folder).await? {
            if !keep.contains(file.as_str()) {
                self.files.remove(&format!("{folder}/{file}")).await?;
            }
        }
        Ok(())
    }

    /// Removes one object; fine if it is not there.
    async fn remove_file(&self, path: String) -> Result<()> {
        let key = self.files.key(&path);
        absent_is_fine(self.files.asked(&path, self.files.store.delete(&key)).await)
    }

    async fn publish_relation(&self, target: &RelationTarget, parts: &[Part]) -> Result<()> {
        if self.uploads.file.is_some() {
            return self.complete_all(target, parts).await;
        }
        match target.mode {
            Mode::Version | Mode::Error => self.complete_all(target, parts).await?,
            Mode::Append | Mode::ReplacePartitions | Mode::Merge | Mode::Snapshot | Mode::Scd2 => {
                name_lock::lock(self.files.as_ref(), &target.run, &target.name).await?;
                self.complete_all(target, parts).await?;
            }
            Mode::Replace => {
                name_lock::lock(self.files.as_ref(), &target.run, &target.name).await?;
                self.complete_all(target, parts).await?;
                self.remove_others(&target.name, parts).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Target for MultipartCommitter {
    fn url(&self, path: &str) -> String {
        self.files.url(path)
    }

    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<RelationTarget> {
        match &self.uploads.file {
            None => name_lock::reserve(self.files.as_ref(), run, relation, mode).await,
            Some(file) => {
                name_lock::reserve_file(self.files.as_ref(), run, relation, file, mode).await
            }
        }
    }

    /// Uploads need nothing before them.
    async fn begin(&self, _: &RelationTarget, _: &SchemaRef) -> Result<()> {
        Ok(())
    }

    async fn is_intact(&self, _: &RelationTarget, part: &Part) -> Result<bool> {
        // The store keeps each piece by its checksum; the completion tells if one is gone.
        Ok(HeldUpload::parse(&part.token).is_ok())
    }

    async fn publish(&self, relations: &[Publication]) -> Result<PublishResult> {
        for (position, Publication { target, parts, .. }) in relations.iter().enumerate() {
            if self.uploads.file.is_some()
                && target.mode == Mode::Error
                && self.is_completed(&target.name, parts).await? == Some(false)
            {
                return Ok(PublishResult::Taken(position));
            }
            self.publish_relation(target, parts).await.context(target.relation.clone())?;
        }
        Ok(PublishResult::as_reserved(relations))
    }

    async fn remove_replaced(&self, relation: &Publication) -> Result<()> {
        let Publication { target, replaced, .. } = relation;
        let removing = replaced.iter().map(|file| format!("{}/{file}", target.name));
        let removing: Vec<_> = removing.map(|path| self.remove_file(path)).collect();
        futures::stream::iter(removing)
            .buffer_unordered(COMMIT_REQUESTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn retract(&self, Publication { target, parts, .. }: &Publication) -> Result<()> {
        if self.uploads.file.is_some() {
            return self.retract_file(target, parts).await;
        }
        for part in parts {
            self.files.remove(&format!("{}/{}", target.name, part.file)).await?;
        }
        Ok(())
    }

    fn manifests(&self) -> Manifests<'_> {
        Manifests::in_target(self.files.as_ref())
    }

    async fn discard(&self, run: &str) -> Result<()> {
        self.uploads.give_up(run).await.context(format!("giving up run {run}"))?;
        name_lock::release_all(self.files.as_ref(), run).await
    }

    async fn release(&self, run: &str, targets: &[RelationTarget]) -> Result<()> {
        self.uploads.end_open(run).await?;
        self.files.remove(&staging(run)).await?;
        for target in targets {
            name_lock::release(self.files.as_ref(), run, &target.name).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Folder for MultipartCommitter {
    async fn create_part(&self, target: &RelationTarget, file: &str) -> Result<Box<dyn PartFile>> {
        self.uploads.create(target, file).await
    }

    async fn lock(&self, target: &RelationTarget) -> Result<()> {
        name_lock::lock(self.files.as_ref(), &target.run, &target.name).await
    }

    async fn held_names(&self, relations: &HashSet<&str>) -> Result<Vec<HeldName>> {
        name_lock::held_names(self.files.as_ref(), relations, self.uploads.file.as_deref()).await
    }

    async fn let_go(&self, held: &HeldName) -> Result<()> {
        name_lock::release(self.files.as_ref(), &held.run, &held.name).await
    }

    async fn remove_part(
        &self,
        target: &RelationTarget,
        file: &str,
        token: Option<&str>,
    ) -> Result<()> {
        match token {
            Some(token) => self.uploads.remove(target, file, token).await,
            // Whoever wrote it may still be giving it up: what is written down tells where to look.
            None => Ok(()),
        }
    }

    /// An object store has no folders.
    async fn remove_empty_folders(&self, _: &RelationTarget) {}

    async fn read(&self, path: &str) -> Result<ByteStream> {
        self.files.read(path).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.files.read_range(path, range).await
    }

    async fn probe(&self) -> Result<()> {
        let path = probe_path()?;
        let put = self.files.put(&path, b"longshore").await;
        let removed = self.files.remove(&path).await;
        put.and(removed)
    }

    async fn check_name(&self, relation: &str, mode: Mode) -> Result<()> {
        match &self.uploads.file {
            None => name_lock::check(self.files.as_ref(), relation, mode).await,
            Some(file) => name_lock::check_file(self.files.as_ref(), file, mode).await,
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        Ok(self.files.list(folder).await?.unwrap_or_default())
    }
}
