//! What a load mode would find in the target: the most that it would write again.

use longshore_engine::destination::{self, data_files};
use longshore_model::config::target::To;
use longshore_model::config::{Job, Reach, Settings};
use longshore_model::error::{Result, ResultExt};
use longshore_model::format::{counted, human_bytes};
use serde::Serialize;

/// The files of a relation in the target.
#[derive(Clone, Debug, Serialize)]
pub struct ExistingFiles {
    /// The load mode.
    pub mode: &'static str,
    /// How many there are.
    pub files: u64,
    /// Their bytes: a run writes no more than these again.
    pub bytes: u64,
}

impl ExistingFiles {
    /// In a line.
    pub fn to_text(&self) -> String {
        let (files, bytes) = (counted(self.files, "file"), human_bytes(self.bytes));
        format!("{}: {files} there, at most {bytes} written again", self.mode)
    }
}

/// What is there of each relation of a job, if its mode is a load mode; else nothing.
pub async fn existing_files(job: &Job, settings: &Settings) -> Result<Vec<ExistingFiles>> {
    let To::Folder(place, _) = &job.target.to else { return Ok(Vec::new()) };
    if !job.target.mode.is_load() {
        return Ok(Vec::new());
    }
    let reach = Reach::new(&settings.policy, &job.folder);
    let folder = destination::open(place, settings.secrets.as_deref(), Some(reach)).await?;
    let mut found = Vec::new();
    for relation in &job.relations {
        let there = data_files(folder.as_ref(), &relation.name, "").await;
        let there = there.context(relation.name.clone())?;
        let bytes = there.iter().map(|file| file.bytes).sum();
        let mode = job.target.mode.name();
        found.push(ExistingFiles { mode, files: there.len() as u64, bytes });
    }
    Ok(found)
}
