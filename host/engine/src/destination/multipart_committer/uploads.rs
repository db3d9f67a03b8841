//! The uploads of runs in an object store: an upload begins, is completed, or is given up. The folder
//! `.longshore/staging/RUN` lists a run's open uploads, so that they can be given up from anywhere when the run has died.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::{Part, RelationTarget};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, GetOptions, ObjectStoreExt, PutOptions, PutPayload};
use tokio::runtime::Handle;
use tokio::sync::RwLock;

use super::COMMIT_REQUESTS_AT_ONCE;
use super::held_upload::HeldUpload;
use super::part_upload::{PartUpload, UPLOAD_BYTES_AT_ONCE};
use crate::destination::PartFile;
use crate::destination::files::Files;
use crate::destination::object_files::ObjectFiles;
use crate::destination::request::absent_is_fine;
use crate::destination::staging;
use crate::destination::upload::Upload;
use crate::store::open_uploads::{OpenUpload, OpenUploads};

/// What says of a file that it only took the place of an upload.
const GIVEN_UP: (&str, &str) = ("longshore", "given-up");

/// The uploads into a target.
pub(super) struct Uploads {
    files: Arc<ObjectFiles>,
    client: Arc<dyn MultipartStore>,
    io: Handle,
    /// Lists the uploads that nobody completed. Where no request lists or ends them, their blocks go when
    /// a whole file is written in their place.
    open: Option<Arc<dyn OpenUploads>>,
    /// Held while an upload is begun and written down: what a run has begun is known before it is
    /// given up, also when whoever began it is gone.
    beginning: Arc<RwLock<()>>,
    /// The only file that is published, if it is one.
    pub(super) file: Option<String>,
}

impl Uploads {
    pub(super) fn new(
        files: Arc<ObjectFiles>,
        client: Arc<dyn MultipartStore>,
        open: Option<Arc<dyn OpenUploads>>,
    ) -> Self {
        Self { files, client, io: Handle::current(), open, beginning: Arc::default(), file: None }
    }

    /// The same, into the file of this name only, if there is one.
    pub(super) fn only(self, file: Option<String>) -> Self {
        Self { file, ..self }
    }

    /// Where a part becomes visible.
    fn place(&self, target: &RelationTarget, file: &str) -> String {
        match &self.file {
            Some(only) => only.clone(),
            None => format!("{}/{file}", target.name),
        }
    }

    /// Where it is written down that a part is being uploaded: as it will lie in the target.
    fn journal(&self, target: &RelationTarget, file: &str) -> String {
        format!("{}/{}", staging(&target.run), self.place(target, file))
    }

    /// Begins a part, out of sight.
    pub(super) async fn create(
        &self,
        target: &RelationTarget,
        file: &str,
    ) -> Result<Box<dyn PartFile>> {
        let path = self.place(target, file);
        let before = match &self.file {
            Some(only) => self.files.head(only).await?.and_then(|there| there.e_tag),
            None => None,
        };
        let upload = self.begin(&path, self.journal(target, file)).await?;
        let (url, key) = (self.files.url(&path), self.files.key(&path));
        let what = format!("writing {url}");
        let part = PartUpload::new(self.client.clone(), url, key, upload, before);
        Ok(Box::new(Upload::start(&self.io, what, part, UPLOAD_BYTES_AT_ONCE)))
    }

    /// Begins an upload, and writes it down: that it will be begun, and then its id. A process that dies
    /// between leaves what tells where to look.
    async fn begin(&self, path: &str, journal: String) -> Result<String> {
        let (files, client) = (self.files.clone(), self.client.clone());
        let (path, key) = (path.to_owned(), self.files.key(path));
        let beginning = self.beginning.clone().read_owned().await;
        let begin = async move {
            let written = |upload: &str| {
                let (key, upload) = (key.to_string(), upload.to_owned());
                HeldUpload { key, upload, pieces: Vec::new(), before: None }.token()
            };
            files.put(&journal, written("")?.as_bytes()).await?;
            let upload = files.asked(&path, client.create_multipart(&key)).await?;
            files.put(&journal, written(&upload)?.as_bytes()).await?;
            drop(beginning);
            Ok(upload)
        };
        let begun = self.io.spawn(begin).await;
        begun.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
    }

    /// Makes a part visible; one that was made so before an interruption is fine.
    pub(super) async fn complete(&self, target: &RelationTarget, part: &Part) -> Result<()> {
        let path = self.place(target, &part.file);
        let mut held = HeldUpload::parse(&part.token)?;
        let pieces = part_ids(std::mem::take(&mut held.pieces));
        let key = stored(&held.key)?;
        let completing = self.client.complete_multipart(&key, &held.upload, pieces);
        let Err(error) = self.files.asked(&path, completing).await else { return Ok(()) };
        match self.files.head(&path).await {
            Ok(Some(there)) if held.is_completed_as(part, &there) => Ok(()),
            _ if error.class() == Class::NotFound => Err(Error::new(
                Class::Stale,
                format!("{}: the store gave its upload up", self.files.url(&path)),
            )),
            _ => Err(error),
        }
    }

    /// Gives up the upload of one part that was not completed.
    pub(super) async fn remove(
        &self,
        target: &RelationTarget,
        file: &str,
        token: &str,
    ) -> Result<()> {
        let held = HeldUpload::parse(token)?;
        let key = stored(&held.key)?;
        let path = self.place(target, file);
        let aborting = self.client.abort_multipart(&key, &held.upload);
        absent_is_fine(self.files.asked(&path, aborting).await)?;
        if self.open.is_none() && self.file.is_none() {
            self.drop_blocks(&key).await?;
        }
        self.files.remove(&self.journal(target, file)).await
    }

    /// Gives up every upload that a run has written down, and removes what it completed.
    pub(super) async fn give_up(&self, run: &str) -> Result<()> {
        let _none_is_begun = self.beginning.write().await;
        let journals = self.journals(run).await?;
        self.abort_open(run, &journals).await?;
        for journal in journals {
            let bytes =
                self.files.asked("", async { self.files.store.get(&journal).await?.bytes().await });
            let open: HeldUpload = serde_json::from_slice(&bytes.await?)
                .map_err(|error| Error::internal(format!("{journal}: {error}")))?;
            let key = stored(&open.key)?;
            if !open.upload.is_empty() {
                absent_is_fine(
                    self.files.asked("", self.client.abort_multipart(&key, &open.upload)).await,
                )?;
            }
            // What has a single file's name can be the file that was there before.
            if self.file.is_none() {
                absent_is_fine(self.files.asked("", self.files.store.delete(&key)).await)?;
            }
            absent_is_fine(self.files.asked("", self.files.store.delete(&journal)).await)?;
        }
        Ok(())
    }

    /// Ends what attempts that failed or were cut off have left open, after a run was published.
    pub(super) async fn end_open(&self, run: &str) -> Result<()> {
        let journals = self.journals(run).await?;
        self.abort_open(run, &journals).await
    }

    /// What a run has written down of its uploads.
    async fn journals(&self, run: &str) -> Result<Vec<Key>> {
        let folder = self.files.key(&staging(run));
        let listed = self.files.store.list(Some(&folder)).map_ok(|meta| meta.location);
        self.files.asked(&staging(run), listed.try_collect()).await
    }

    /// Ends the uploads of a run that the store still keeps open: those of attempts that failed, and those
    /// whose ids nobody wrote down.
    async fn abort_open(&self, run: &str, journals: &[Key]) -> Result<()> {
        if journals.is_empty() {
            return Ok(());
        }
        let (staging, root) = (self.files.key(&staging(run)), self.files.key(""));
        let beneath = |key: &Key| {
            let rest = key.as_ref().strip_prefix(staging.as_ref())?.trim_start_matches('/');
            Some(if root.as_ref().is_empty() { rest.to_owned() } else { format!("{root}/{rest}") })
        };
        let own: BTreeSet<String> = journals.iter().filter_map(beneath).collect();
        if let Some(open) = &self.open {
            return self.abort_listed(open.as_ref(), &own).await;
        }
        if self.file.is_some() {
            // Dropping them would take the file's name for a moment. The store drops them after a week.
            return Ok(());
        }
        let keys = own.iter().map(|key| stored(key)).collect::<Result<Vec<_>>>()?;
        let dropping: Vec<_> = keys.iter().map(|key| self.drop_blocks(key)).collect();
        futures::stream::iter(dropping)
            .buffer_unordered(COMMIT_REQUESTS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn abort_listed(&self, open: &dyn OpenUploads, own: &BTreeSet<String>) -> Result<()> {
        let listed = match open.beneath(self.files.key("").as_ref()).await {
            Ok(listed) => listed,
            Err(error) if error.class() == Class::Auth => {
                tracing::warn!("{error}: uploads that nobody wrote down may stay open");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for OpenUpload { key, upload } in listed {
            if own.contains(&key) {
                let key = stored(&key)?;
                let aborted = self.client.abort_multipart(&key, &upload);
                absent_is_fine(self.files.asked("", aborted).await)?;
            }
        }
        Ok(())
    }

    /// Drops the blocks of an upload that was not completed. One that was completed is there, and stays.
    async fn drop_blocks(&self, key: &Key) -> Result<()> {
        let (store, path) = (&self.files.store, key.as_ref());
        let (name, value) = GIVEN_UP;
        let mark = Attribute::Metadata(name.into());
        let head = GetOptions { head: true, ..Default::default() };
        match self.files.asked(path, store.get_opts(key, head)).await {
            Ok(there) if there.attributes.get(&mark).is_none_or(|is| is.as_ref() != value) => {
                return Ok(());
            }
            // Whoever wrote this died before it was removed.
            Ok(_) => {}
            Err(error) if error.class() == Class::NotFound => {
                let attributes = Attributes::from_iter([(mark, value)]);
                let options = PutOptions { attributes, ..Default::default() };
                self.files.asked(path, store.put_opts(key, PutPayload::new(), options)).await?;
            }
            Err(error) => return Err(error),
        }
        absent_is_fine(self.files.asked(path, store.delete(key)).await)
    }
}

/// A key as it was written down: encoded already.
fn stored(key: &str) -> Result<Key> {
    Key::parse(key).map_err(|error| Error::internal(format!("an upload's key: {error}")))
}

fn part_ids(pieces: Vec<String>) -> Vec<PartId> {
    pieces.into_iter().map(|content_id| PartId { content_id }).collect()
}
