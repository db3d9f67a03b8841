//! The manifests of a target's runs: beside its files, or in the state folder where a target has no place for them.

use longshore_model::error::Result;

use super::files::{Files, read_if_there};

/// Where they lie in a target of files.
const IN_TARGET: &str = ".longshore/runs";

/// A folder of manifests, a file for each run.
#[derive(Clone, Copy, Debug)]
pub struct Manifests<'a> {
    files: &'a dyn Files,
    folder: &'static str,
}

impl<'a> Manifests<'a> {
    /// Those in a target of files.
    pub(super) fn in_target(files: &'a dyn Files) -> Self {
        Self { files, folder: IN_TARGET }
    }

    /// Those in a folder that holds nothing else. Each names its target.
    pub(super) fn apart(files: &'a dyn Files) -> Self {
        Self { files, folder: "" }
    }

    /// Where a run's manifest lies, as people read it.
    pub fn url(self, run: &str) -> String {
        self.files.url(&self.path(run))
    }

    /// Writes a run's manifest; gives where, as people read it.
    pub async fn put(self, run: &str, manifest: &[u8]) -> Result<String> {
        self.files.put(&self.path(run), manifest).await?;
        Ok(self.url(run))
    }

    /// A run's manifest, if it was published.
    pub async fn get(self, run: &str) -> Result<Option<Vec<u8>>> {
        read_if_there(self.files.read(&self.path(run)).await).await
    }

    /// The runs whose manifests are there.
    pub async fn runs(self) -> Result<Vec<String>> {
        let listed = self.files.list(self.folder).await?.unwrap_or_default();
        let run = |name: &str| name.strip_suffix(".json").map(str::to_owned);
        Ok(listed.iter().filter_map(|entry| run(&entry.name)).collect())
    }

    fn path(self, run: &str) -> String {
        match self.folder {
            "" => format!("{run}.json"),
            folder => format!("{folder}/{run}.json"),
        }
    }
}
