//! Publishing in stores with folders: parts lie in `.longshore/staging/RUN/RELATION`, and a rename
//! shows them.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use longshore_model::checksum::{Checksum, Hasher};
use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::part::{Part, RelationTarget};

use crate::destination::files::{Folders, files_beneath, parent};
use crate::destination::{
    ByteStream, Entry, Folder, HIDDEN, HeldName, Manifests, PartFile, Publication, PublishResult,
    Target, name_lock, probe_path, staging,
};

/// A target over a store with folders.
#[derive(Debug)]
pub(super) struct RenameCommitter<F> {
    folders: F,
    /// The only file that is published, if it is one.
    file: Option<String>,
}

impl<F: Folders> RenameCommitter<F> {
    pub(super) fn new(folders: F, file: Option<String>) -> Self {
        Self { folders, file }
    }

    fn staged(target: &RelationTarget) -> String {
        format!("{}/{}", staging(&target.run), target.relation)
    }

    /// Where a version is kept that a run has replaced.
    fn put_aside(target: &RelationTarget) -> String {
        format!("{}/{}", all_put_aside(&target.name), target.run)
    }

    /// Whether a folder is the one that this run publishes: the names of parts are the run's own, and all of
    /// them appear at once.
    async fn is_published_at(&self, folder: &str, parts: &[Part]) -> Result<bool> {
        match parts.first() {
            Some(part) => self.folders.is_taken(&format!("{folder}/{}", part.file)).await,
            None => Ok(false),
        }
    }

    /// Removes the leftovers of interrupted attempts from a staged folder. A part that is to be published and is not
    /// in it is an error.
    async fn keep_only(&self, staged: &str, parts: &[Part]) -> Result<()> {
        let keep: BTreeSet<&str> = parts.iter().map(|part| part.file.as_str()).collect();
        let there = files_beneath(&self.folders, staged).await?;
        let found: BTreeSet<&str> = there.iter().map(String::as_str).collect();
        if let Some(missing) = keep.difference(&found).next() {
            let url = self.folders.url(staged);
            return Err(Error::new(Class::Stale, format!("{url}/{missing} is gone"))
                .with_hint("run the job again; nobody but Longshore may change its staging"));
        }
        for file in there.iter().filter(|file| !keep.contains(file.as_str())) {
            self.folders.remove(&format!("{staged}/{file}")).await?;
        }
        self.sync_folders(staged, parts).await?;
        self.folders.sync_folder(staged).await
    }

    /// Makes the folders that parts lie in durable.
    async fn sync_folders(&self, root: &str, parts: &[Part]) -> Result<()> {
        let inner: BTreeSet<&str> = parts.iter().filter_map(|part| parent(&part.file)).collect();
        for folder in inner {
            // Each of `day=1/kind=a` was made with the first file in it.
            let mut folder = Some(folder);
            while let Some(path) = folder {
                self.folders.sync_folder(&format!("{root}/{path}")).await?;
                folder = parent(path);
            }
        }
        Ok(())
    }

    /// A whole new folder under a free name.
    async fn publish_new(&self, target: &RelationTarget, parts: &[Part]) -> Result<bool> {
        let staged = Self::staged(target);
        if !self.folders.exists(&staged).await? {
            // It was renamed before an interruption.
            return Ok(true);
        }
        self.keep_only(&staged, parts).await?;
        let Some(above) = parent(&target.name) else {
            return self.folders.rename(&staged, &target.name).await;
        };
        self.folders.make_folder(above).await?;
        let renamed = self.folders.rename(&staged, &target.name).await?;
        self.folders.sync_folder(above).await?;
        Ok(renamed)
    }

    /// A whole new folder in the place of the one that is there. The old one is kept out of sight
    /// until the next one comes: whoever reads it can go on.
    async fn publish_instead(&self, target: &RelationTarget, parts: &[Part]) -> Result<bool> {
        let (staged, old) = (Self::staged(target), Self::put_aside(target));
        if !self.folders.exists(&staged).await? {
            return Ok(true);
        }
        if self.is_published_at(&target.name, parts).await? {
            // Both were exchanged before an interruption: what is staged is the old one.
            self.folders.rename(&staged, &old).await?;
            return Ok(true);
        }
        self.keep_only(&staged, parts).await?;
        // What this run has put aside before an interruption is needed if it is taken back.
        if !self.folders.exists(&old).await? {
            let all = all_put_aside(&target.name);
            self.folders.remove(&all).await?;
            self.folders.make_folder(&all).await?;
        }
        self.swap(&staged, &target.name, &old).await?;
        Ok(true)
    }

    /// Puts the version back that was put aside, if nothing is in its place.
    async fn put_back(&self, target: &RelationTarget) -> Result<()> {
        let old = Self::put_aside(target);
        if self.folders.exists(&old).await? && !self.folders.exists(&target.name).await? {
            self.folders.rename(&old, &target.name).await?;
        }
        Ok(())
    }

    async fn swap(&self, staged: &str, name: &str, old: &str) -> Result<()> {
        let there = self.folders.exists(name).await?;
        if there && self.folders.exchange(staged, name).await? {
            self.folders.rename(staged, old).await?;
            return Ok(());
        }
        if there {
            self.folders.rename(name, old).await?;
        }
        if !self.folders.rename(staged, name).await? {
            return Err(Error::resource(format!(
                "{}: somebody else made it in this moment",
                self.folders.url(name)
            )));
        }
        Ok(())
    }

    /// More files in a folder that may be there.
    async fn publish_beside(&self, target: &RelationTarget, parts: &[Part]) -> Result<bool> {
        self.folders.make_folder(&target.name).await?;
        let there = files_beneath(&self.folders, &Self::staged(target)).await?;
        let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
        let mut made = BTreeSet::new();
        for part in parts.iter().filter(|part| there.contains(part.file.as_str())) {
            if let Some(inner) = parent(&part.file).filter(|inner| made.insert(*inner)) {
                self.folders.make_folder(&format!("{}/{inner}", target.name)).await?;
            }
            let from = format!("{}/{}", Self::staged(target), part.file);
            if !self.folders.rename(&from, &format!("{}/{}", target.name, part.file)).await? {
                return Err(Error::internal(format!(
                    "{}/{} is already there",
                    self.folders.url(&target.name),
                    part.file
                )));
            }
        }
        self.sync_folders(&target.name, parts).await?;
        Ok(true)
    }

    /// The single file, under its name. False: somebody else took it.
    async fn publish_file(&self, target: &RelationTarget, parts: &[Part]) -> Result<bool> {
        let Some(staged) = self.staged_file(target, parts).await? else {
            // It was renamed before an interruption.
            return Ok(true);
        };
        let published = match target.mode {
            Mode::Replace => {
                self.folders.rename_over(&staged, &target.name).await.map(|()| true)?
            }
            _ => self.folders.rename(&staged, &target.name).await?,
        };
        self.folders.sync_folder("").await?;
        Ok(published)
    }

    /// The single file, while it is out of sight.
    async fn staged_file(&self, target: &RelationTarget, parts: &[Part]) -> Result<Option<String>> {
        let [part] = parts else {
            return Err(Error::internal(format!("{} parts for one file", parts.len())));
        };
        let staged = format!("{}/{}", Self::staged(target), part.file);
        Ok(self.folders.is_taken(&staged).await?.then_some(staged))
    }

    /// Takes a published file back, unless it is in the place of another one, which is gone.
    async fn retract_file(&self, target: &RelationTarget, parts: &[Part]) -> Result<()> {
        if self.staged_file(target, parts).await?.is_some() {
            return Ok(());
        }
        if target.mode == Mode::Replace {
            let url = self.folders.url(&target.name);
            return Err(Error::resource(format!("{url} is replaced already")));
        }
        let staged = format!("{}/{}", Self::staged(target), parts[0].file);
        self.folders.rename(&target.name, &staged).await.map(drop)
    }

    /// Refuses to replace what is no file. Nobody looks for one in a folder that is not there.
    async fn check_replaceable(&self, file: &str) -> Result<()> {
        let there = self.folders.list("").await?.unwrap_or_default();
        match there.iter().find(|entry| entry.name == file) {
            Some(Entry { bytes: None, .. }) => {
                Err(Error::config(format!("{} is no regular file", self.folders.url(file)))
                    .with_hint("name another file; a folder ends with `/`"))
            }
            _ => Ok(()),
        }
    }

    /// Removes the folders of Longshore's own, if nothing is in them: beside a single file, nothing stays.
    async fn remove_own_folders(&self) {
        for folder in ["/staging", "/names", ""] {
            self.folders.remove_empty(&format!("{HIDDEN}{folder}")).await;
        }
    }

    /// False: somebody else took the name.
    async fn publish_relation(&self, target: &RelationTarget, parts: &[Part]) -> Result<bool> {
        if self.file.is_some() {
            return self.publish_file(target, parts).await;
        }
        if target.mode == Mode::Replace || target.mode.adds_beside() {
            name_lock::lock(&self.folders, &target.run, &target.name).await?;
        }
        let published = match target.mode {
            Mode::Version | Mode::Error => self.publish_new(target, parts).await?,
            Mode::Replace => self.publish_instead(target, parts).await?,
            Mode::Append | Mode::ReplacePartitions | Mode::Merge | Mode::Snapshot | Mode::Scd2 => {
                self.publish_beside(target, parts).await?
            }
        };
        self.folders.sync_folder(&target.name).await?;
        self.folders.sync_folder("").await?;
        Ok(published)
    }
}

/// Where the versions of a name are kept that were replaced.
fn all_put_aside(name: &str) -> String {
    format!("{HIDDEN}/replaced/{name}")
}

#[async_trait]
impl<F: Folders> Target for RenameCommitter<F> {
    fn url(&self, path: &str) -> String {
        self.folders.url(path)
    }

    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<RelationTarget> {
        let target = match &self.file {
            None => name_lock::reserve(&self.folders, run, relation, mode).await?,
            Some(file) => {
                if mode == Mode::Replace {
                    self.check_replaceable(file).await?;
                }
                name_lock::reserve_file(&self.folders, run, relation, file, mode).await?
            }
        };
        self.folders.make_folder(&Self::staged(&target)).await?;
        Ok(target)
    }

    /// The folder in staging was made with the reservation, if there was one.
    async fn begin(&self, target: &RelationTarget, _: &SchemaRef) -> Result<()> {
        self.folders.make_folder(&Self::staged(target)).await
    }

    async fn is_intact(&self, target: &RelationTarget, part: &Part) -> Result<bool> {
        let path = format!("{}/{}", Self::staged(target), part.file);
        let Some(written) = &part.checksum else { return Ok(false) };
        match checksum(self.folders.read(&path).await, written.hasher()?).await {
            Ok((bytes, found)) => Ok(bytes == part.bytes && found == *written),
            Err(error) if error.class() == Class::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn publish(&self, relations: &[Publication]) -> Result<PublishResult> {
        for (position, Publication { target, parts, .. }) in relations.iter().enumerate() {
            let published = self.publish_relation(target, parts).await;
            if !published.context(target.relation.clone())? {
                return Ok(PublishResult::Taken(position));
            }
        }
        Ok(PublishResult::as_reserved(relations))
    }

    async fn remove_replaced(&self, relation: &Publication) -> Result<()> {
        let Publication { target, replaced, .. } = relation;
        for file in replaced {
            self.folders.remove(&format!("{}/{file}", target.name)).await?;
        }
        Ok(())
    }

    async fn retract(&self, Publication { target, parts, .. }: &Publication) -> Result<()> {
        if self.file.is_some() {
            return self.retract_file(target, parts).await;
        }
        if target.mode.adds_beside() {
            for part in parts {
                self.folders.remove(&format!("{}/{}", target.name, part.file)).await?;
            }
            return Ok(());
        }
        let staged = Self::staged(target);
        if !self.folders.exists(&staged).await? {
            self.folders.rename(&target.name, &staged).await?;
        } else if self.is_published_at(&target.name, parts).await? {
            return self.folders.exchange(&staged, &target.name).await.map(drop);
        }
        if target.mode == Mode::Replace {
            self.put_back(target).await?;
        }
        Ok(())
    }

    fn manifests(&self) -> Manifests<'_> {
        Manifests::in_target(&self.folders)
    }

    async fn discard(&self, run: &str) -> Result<()> {
        // The folders that runs share stay: another run may be about to write into them.
        self.folders.remove(&staging(run)).await?;
        name_lock::release_all(&self.folders, run).await?;
        if self.file.is_some() {
            self.remove_own_folders().await;
        }
        Ok(())
    }

    async fn release(&self, run: &str, _: &[RelationTarget]) -> Result<()> {
        self.discard(run).await
    }
}

#[async_trait]
impl<F: Folders> Folder for RenameCommitter<F> {
    async fn create_part(&self, target: &RelationTarget, file: &str) -> Result<Box<dyn PartFile>> {
        self.folders.create(&format!("{}/{file}", Self::staged(target))).await
    }

    async fn lock(&self, target: &RelationTarget) -> Result<()> {
        name_lock::lock(&self.folders, &target.run, &target.name).await
    }

    async fn held_names(&self, relations: &HashSet<&str>) -> Result<Vec<HeldName>> {
        name_lock::held_names(&self.folders, relations, self.file.as_deref()).await
    }

    async fn let_go(&self, held: &HeldName) -> Result<()> {
        name_lock::release(&self.folders, &held.run, &held.name).await
    }

    async fn remove_part(
        &self,
        target: &RelationTarget,
        file: &str,
        _: Option<&str>,
    ) -> Result<()> {
        self.folders.remove(&format!("{}/{file}", Self::staged(target))).await
    }

    async fn remove_empty_folders(&self, target: &RelationTarget) {
        self.folders.remove_empty(&Self::staged(target)).await;
        self.folders.remove_empty(&staging(&target.run)).await;
        self.remove_own_folders().await;
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        self.folders.read(path).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.folders.read_range(path, range).await
    }

    async fn probe(&self) -> Result<()> {
        let path = probe_path()?;
        let put = self.folders.put(&path, b"longshore").await;
        let removed = self.folders.remove(&path).await;
        put.and(removed)
    }

    async fn check_name(&self, relation: &str, mode: Mode) -> Result<()> {
        match &self.file {
            None => name_lock::check(&self.folders, relation, mode).await,
            Some(file) if mode == Mode::Replace => self.check_replaceable(file).await,
            Some(file) => name_lock::check_file(&self.folders, file, mode).await,
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        Ok(self.folders.list(folder).await?.unwrap_or_default())
    }
}

/// A file's size and checksum.
pub async fn checksum(stream: Result<ByteStream>, hasher: Hasher) -> Result<(u64, Checksum)> {
    let (bytes, hasher) = stream?
        .try_fold((0, hasher), |(bytes, mut hasher), piece| async move {
            hasher.update(&piece);
            Ok((bytes + piece.len() as u64, hasher))
        })
        .await?;
    Ok((bytes, hasher.finish()))
}
