//! A target that is one file. The committers write it like a part, out of sight, and publish it under its own name;
//! here it looks like a relation's folder with one part, so that all readers of targets can read it.
//!
//! Manifests lie in the state folder: nothing is left beside the file.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::config::target::Mode;
use longshore_model::error::Result;
use longshore_model::part::{Part, RelationTarget};

use super::local::LocalFolder;
use super::{
    ByteStream, Entry, Folder, HeldName, Manifests, PartFile, Publication, PublishResult, Target,
};

/// One file of a folder.
#[derive(Debug)]
pub(super) struct SingleFile {
    folder: Arc<dyn Folder>,
    name: String,
    manifests: LocalFolder,
}

impl SingleFile {
    /// A file of a folder that is opened for it.
    pub(super) fn new(folder: Arc<dyn Folder>, name: &str, manifests: &Path) -> Self {
        Self { folder, name: name.to_owned(), manifests: LocalFolder::new(manifests) }
    }

    /// A part of the file is the file.
    fn inner<'a>(&'a self, path: &'a str) -> &'a str {
        match path.strip_prefix(&self.name) {
            Some(part) if part.starts_with('/') => &self.name,
            _ => path,
        }
    }
}

#[async_trait]
impl Target for SingleFile {
    fn url(&self, path: &str) -> String {
        self.folder.url(self.inner(path))
    }

    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<RelationTarget> {
        self.folder.reserve(run, relation, mode).await
    }

    async fn begin(&self, target: &RelationTarget, schema: &SchemaRef) -> Result<()> {
        self.folder.begin(target, schema).await
    }

    async fn is_intact(&self, target: &RelationTarget, part: &Part) -> Result<bool> {
        self.folder.is_intact(target, part).await
    }

    async fn publish(&self, relations: &[Publication]) -> Result<PublishResult> {
        self.folder.publish(relations).await
    }

    async fn remove_replaced(&self, relation: &Publication) -> Result<()> {
        self.folder.remove_replaced(relation).await
    }

    async fn retract(&self, relation: &Publication) -> Result<()> {
        self.folder.retract(relation).await
    }

    fn manifests(&self) -> Manifests<'_> {
        Manifests::apart(&self.manifests)
    }

    async fn discard(&self, run: &str) -> Result<()> {
        self.folder.discard(run).await
    }

    async fn release(&self, run: &str, targets: &[RelationTarget]) -> Result<()> {
        self.folder.release(run, targets).await
    }
}

#[async_trait]
impl Folder for SingleFile {
    async fn create_part(&self, target: &RelationTarget, file: &str) -> Result<Box<dyn PartFile>> {
        self.folder.create_part(target, file).await
    }

    async fn lock(&self, target: &RelationTarget) -> Result<()> {
        self.folder.lock(target).await
    }

    async fn held_names(&self, relations: &HashSet<&str>) -> Result<Vec<HeldName>> {
        self.folder.held_names(relations).await
    }

    async fn let_go(&self, held: &HeldName) -> Result<()> {
        self.folder.let_go(held).await
    }

    async fn remove_part(
        &self,
        target: &RelationTarget,
        file: &str,
        token: Option<&str>,
    ) -> Result<()> {
        self.folder.remove_part(target, file, token).await
    }

    async fn remove_empty_folders(&self, target: &RelationTarget) {
        self.folder.remove_empty_folders(target).await;
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        self.folder.read(self.inner(path)).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.folder.read_range(self.inner(path), range).await
    }

    async fn probe(&self) -> Result<()> {
        self.folder.probe().await
    }

    async fn check_name(&self, relation: &str, mode: Mode) -> Result<()> {
        self.folder.check_name(relation, mode).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.folder.list(folder).await
    }
}
