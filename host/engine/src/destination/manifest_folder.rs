//! Manifests in the state folder, of targets that have no place for them: sinks, and single files.

use std::path::PathBuf;

use longshore_model::error::Result;

use super::files::{Files, read_if_there};
use super::local::LocalFolder;
use super::run_ids;

/// A folder of manifests. Each names its target.
#[derive(Clone, Debug)]
pub(super) struct ManifestFolder {
    path: PathBuf,
}

impl ManifestFolder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes a run's manifest; gives where.
    pub(super) async fn put(&self, run: &str, manifest: &[u8]) -> Result<String> {
        let file = format!("{run}.json");
        LocalFolder::new(&self.path).put(&file, manifest).await?;
        Ok(self.path.join(file).display().to_string())
    }

    /// A run's manifest, if it is there.
    pub(super) async fn get(&self, run: &str) -> Result<Option<Vec<u8>>> {
        let folder = LocalFolder::new(&self.path);
        read_if_there(folder.read(&format!("{run}.json")).await).await
    }

    /// The runs whose manifests are there.
    pub(super) async fn runs(&self) -> Result<Vec<String>> {
        let listed = LocalFolder::new(&self.path).list("").await?;
        Ok(run_ids(listed.unwrap_or_default()))
    }
}
