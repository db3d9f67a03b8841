//! Publishing in object stores, which cannot rename: each part is an upload to its last place that
//! nobody sees until it is completed, and the commit completes them all.
//!
//! What is open is written down in `.longshore/staging/RUN`, so that the uploads of a run that died
//! can be given up from anywhere.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::part::{Part, RelationTarget};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutOptions,
    PutPayload,
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use super::files::{ByteStream, Entry, Files, files_beneath};
use super::object_files::ObjectFiles;
use super::request::absent_is_fine;
use super::upload::{PIECE_BYTES, Upload, Uploader, WRITE_TIMEOUT_SECS};
use super::{
    Folder, Manifests, PartFile, Publication, Published, Target, name_lock, probe_path, staging,
};
use crate::store::client::REQUEST_TIMEOUT_SECS;
use crate::store::object_error;
use crate::store::open_uploads::{OpenUpload, OpenUploads};

/// A piece of a multipart upload; stores want at least 5 MiB and at most 10,000 pieces.
const UPLOAD_PIECE_BYTES: usize = 8 << 20;

/// Pieces of one part that are sent at the same time.
const UPLOAD_PIECES_AT_ONCE: usize = 2;

/// Requests of a commit at the same time: the sooner it is over, the better.
const COMMIT_REQUESTS_AT_ONCE: usize = 32;

/// A target over an object store.
pub(super) struct MultipartCommitter {
    files: Arc<ObjectFiles>,
    uploads: Arc<dyn MultipartStore>,
    io: Handle,
    /// Lists the uploads that nobody completed. Where no request lists or ends them, their blocks go when
    /// a whole file is written in their place.
    open: Option<Arc<dyn OpenUploads>>,
    /// Held while an upload is begun and written down: what a run has begun is known before it is
    /// given up, also when whoever began it is gone.
    beginning: Arc<RwLock<()>>,
    /// The only file that is published, if it is one.
    file: Option<String>,
}

impl fmt::Debug for MultipartCommitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MultipartCommitter({:?})", self.files)
    }
}

/// What says of a file that it only took the place of an upload.
const GIVEN_UP: (&str, &str) = ("longshore", "given-up");

/// The description of an upload, which is needed to complete it.
#[derive(Serialize, Deserialize)]
struct Held {
    key: String,
    upload: String,
    pieces: Vec<String>,
    /// The mark of the store for the single file that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl Held {
    /// Whether an object is what this upload becomes: as large, and not what was there before.
    fn is_completed_as(&self, part: &Part, there: &ObjectMeta) -> bool {
        there.size == part.bytes && (self.before.is_none() || self.before != there.e_tag)
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
        let (files, beginning) = (Arc::new(files), Arc::default());
        let uploads = Arc::new(client(WRITE_TIMEOUT_SECS)?);
        Ok(Self { files, uploads, io: Handle::current(), open, beginning, file: None })
    }

    /// The same, which publishes only the file of this name, if there is one.
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

    /// What the store says of a file, if it is there.
    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>> {
        match self.files.asked(path, self.files.store.head(&self.files.key(path))).await {
            Ok(there) => Ok(Some(there)),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the single file is there as this run wrote it, as far as can be told.
    async fn is_completed(&self, file: &str, parts: &[Part]) -> Result<Option<bool>> {
        let Some(there) = self.head(file).await? else { return Ok(None) };
        for part in parts {
            if held(&part.token)?.is_completed_as(part, &there) {
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

    /// Completes one upload; one that was completed before an interruption is fine.
    async fn complete(&self, target: &RelationTarget, part: &Part) -> Result<()> {
        let path = self.place(target, &part.file);
        let held = held(&part.token)?;
        let (key, pieces) = (stored(&held.key)?, part_ids(held.pieces.clone()));
        let completing = self.uploads.complete_multipart(&key, &held.upload, pieces);
        let Err(error) = self.files.asked(&path, completing).await else { return Ok(()) };
        match self.files.asked(&path, self.files.store.head(&key)).await {
            Ok(there) if held.is_completed_as(part, &there) => Ok(()),
            _ if error.class() == Class::NotFound => Err(Error::new(
                Class::Stale,
                format!("{}: the store gave its upload up", self.files.url(&path)),
            )),
            _ => Err(error),
        }
    }

    async fn complete_all(&self, target: &RelationTarget, parts: &[Part]) -> Result<()> {
        let completing: Vec<_> = parts.iter().map(|part| self.complete(target, part)).collect();
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
        if self.file.is_some() {
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

    /// Begins an upload, and writes it down: that it will be begun, and then its id. A process that dies
    /// between leaves what tells where to look.
    async fn begin_upload(&self, path: &str, key: &Key, journal: String) -> Result<String> {
        let (files, uploads) = (self.files.clone(), self.uploads.clone());
        let (path, key) = (path.to_owned(), key.clone());
        let beginning = self.beginning.clone().read_owned().await;
        let begin = async move {
            let written = |upload: &str| {
                let (key, upload) = (key.to_string(), upload.to_owned());
                serde_json::to_vec(&Held { key, upload, pieces: Vec::new(), before: None })
            };
            files.put(&journal, &written("")?).await?;
            let upload = files.asked(&path, uploads.create_multipart(&key)).await?;
            files.put(&journal, &written(&upload)?).await?;
            drop(beginning);
            Ok(upload)
        };
        let begun = self.io.spawn(begin).await;
        begun.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
    }

    /// What a run has written down of its uploads.
    async fn journals(&self, run: &str) -> Result<Vec<Key>> {
        let folder = self.files.key(&staging(run));
        let listed = self.files.store.list(Some(&folder)).map_ok(|meta| meta.location);
        self.files.asked(&staging(run), listed.try_collect()).await
    }

    /// Gives up every upload that a run has written down, and removes what it completed.
    async fn give_up(&self, run: &str) -> Result<()> {
        let _none_is_begun = self.beginning.write().await;
        let journals = self.journals(run).await?;
        self.abort_open(run, &journals).await?;
        for journal in journals {
            let bytes =
                self.files.asked("", async { self.files.store.get(&journal).await?.bytes().await });
            let open: Held = serde_json::from_slice(&bytes.await?)
                .map_err(|error| Error::internal(format!("{journal}: {error}")))?;
            let key = stored(&open.key)?;
            if !open.upload.is_empty() {
                absent_is_fine(
                    self.files.asked("", self.uploads.abort_multipart(&key, &open.upload)).await,
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
                let aborted = self.uploads.abort_multipart(&key, &upload);
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

fn held(token: &str) -> Result<Held> {
    serde_json::from_str(token)
        .map_err(|error| Error::internal(format!("an upload's description: {error}")))
}

/// A key as it was written down: encoded already.
fn stored(key: &str) -> Result<Key> {
    Key::parse(key).map_err(|error| Error::internal(format!("an upload's key: {error}")))
}

fn part_ids(pieces: Vec<String>) -> Vec<PartId> {
    pieces.into_iter().map(|content_id| PartId { content_id }).collect()
}

#[async_trait]
impl Target for MultipartCommitter {
    fn url(&self, path: &str) -> String {
        self.files.url(path)
    }

    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<RelationTarget> {
        match &self.file {
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
        Ok(held(&part.token).is_ok())
    }

    async fn publish(&self, relations: &[Publication]) -> Result<Published> {
        for (position, Publication { target, parts, .. }) in relations.iter().enumerate() {
            if self.file.is_some()
                && target.mode == Mode::Error
                && self.is_completed(&target.name, parts).await? == Some(false)
            {
                return Ok(Published::Taken(position));
            }
            self.publish_relation(target, parts).await.context(target.relation.clone())?;
        }
        Ok(Published::as_reserved(relations))
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
        if self.file.is_some() {
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
        self.give_up(run).await.context(format!("giving up run {run}"))?;
        name_lock::release_all(self.files.as_ref(), run).await
    }

    async fn release(&self, run: &str, targets: &[RelationTarget]) -> Result<()> {
        // Of attempts that failed or were cut off, nothing stays open.
        let journals = self.journals(run).await?;
        self.abort_open(run, &journals).await?;
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
        let path = self.place(target, file);
        let key = self.files.key(&path);
        let before = match &self.file {
            Some(only) => self.head(only).await?.and_then(|there| there.e_tag),
            None => None,
        };
        let upload = self.begin_upload(&path, &key, self.journal(target, file)).await?;
        let what = format!("writing {}", self.files.url(&path));
        let uploader = ObjectUpload {
            uploads: self.uploads.clone(),
            url: self.files.url(&path),
            key,
            upload,
            before,
            pending: Vec::new(),
            pending_bytes: 0,
            sending: JoinSet::new(),
            sent: Vec::new(),
        };
        Ok(Box::new(Upload::start(
            &self.io,
            what,
            uploader,
            UPLOAD_PIECE_BYTES * UPLOAD_PIECES_AT_ONCE,
        )))
    }

    async fn lock(&self, target: &RelationTarget) -> Result<()> {
        name_lock::lock(self.files.as_ref(), &target.run, &target.name).await
    }

    async fn let_go(&self, run: &str, name: &str) -> Result<()> {
        name_lock::release(self.files.as_ref(), run, name).await
    }

    async fn remove_part(
        &self,
        target: &RelationTarget,
        file: &str,
        token: Option<&str>,
    ) -> Result<()> {
        if let Some(token) = token {
            let held = held(token)?;
            let key = stored(&held.key)?;
            let path = self.place(target, file);
            let aborting = self.uploads.abort_multipart(&key, &held.upload);
            absent_is_fine(self.files.asked(&path, aborting).await)?;
            if self.open.is_none() && self.file.is_none() {
                self.drop_blocks(&key).await?;
            }
            return self.files.remove(&self.journal(target, file)).await;
        }
        // Whoever wrote it may still be giving it up: what is written down tells where to look.
        Ok(())
    }

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
        match &self.file {
            None => name_lock::check(self.files.as_ref(), relation, mode).await,
            Some(file) => name_lock::check_file(self.files.as_ref(), file, mode).await,
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        Ok(self.files.list(folder).await?.unwrap_or_default())
    }
}

struct ObjectUpload {
    uploads: Arc<dyn MultipartStore>,
    url: String,
    key: Key,
    upload: String,
    before: Option<String>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    sending: JoinSet<(usize, object_store::Result<PartId>)>,
    /// The ids of pieces sent, in their order; empty while one is on its way.
    sent: Vec<String>,
}

impl ObjectUpload {
    /// Sends what is pending, when there is room for one more piece on its way.
    async fn send(&mut self) -> Result<()> {
        while self.sending.len() >= UPLOAD_PIECES_AT_ONCE {
            self.confirmed().await?;
        }
        let index = self.sent.len();
        self.sent.push(String::new());
        self.pending_bytes = 0;
        let payload: PutPayload = std::mem::take(&mut self.pending).into_iter().collect();
        let (uploads, key, upload) = (self.uploads.clone(), self.key.clone(), self.upload.clone());
        self.sending
            .spawn(async move { (index, uploads.put_part(&key, &upload, index, payload).await) });
        Ok(())
    }

    /// Waits for one piece that is on its way.
    async fn confirmed(&mut self) -> Result<()> {
        match self.sending.join_next().await {
            Some(Ok((index, Ok(id)))) => {
                self.sent[index] = id.content_id;
                Ok(())
            }
            Some(Ok((_, Err(error)))) => Err(object_error(&self.url, &error)),
            Some(Err(error)) => Err(Error::internal(format!("{}: {error}", self.url))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Uploader for ObjectUpload {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        self.pending_bytes += piece.len();
        self.pending.push(piece);
        if self.pending_bytes + PIECE_BYTES > UPLOAD_PIECE_BYTES {
            self.send().await
        } else {
            Ok(())
        }
    }

    async fn finish(&mut self) -> Result<String> {
        if self.pending_bytes > 0 || self.sent.is_empty() {
            self.send().await?;
        }
        while !self.sending.is_empty() {
            self.confirmed().await?;
        }
        let held = Held {
            key: self.key.to_string(),
            upload: self.upload.clone(),
            pieces: std::mem::take(&mut self.sent),
            before: self.before.take(),
        };
        serde_json::to_string(&held).map_err(|error| Error::internal(error.to_string()))
    }

    async fn abort(&mut self) {
        self.sending.abort_all();
        while self.sending.join_next().await.is_some() {}
        if let Err(error) = self.uploads.abort_multipart(&self.key, &self.upload).await {
            tracing::debug!("giving up {}: {}", self.url, object_error(&self.url, &error));
        }
    }
}
