//! The check of what is there, before anything is read: the files of a relation must lie as the job would lay them.

use longshore_engine::destination::Folder;
use longshore_engine::write::folder_prefix;
use longshore_model::error::{Error, Result};
use longshore_model::part::RelationTarget;

use super::LOADING;
use crate::destination::Destination;
use crate::retry::Work;
use crate::runner::ActiveRun;

impl ActiveRun<'_> {
    /// Refuses a relation whose files lie in other folders than those of the job's partitions.
    pub(crate) async fn check_layout(&self, target: &RelationTarget) -> Result<()> {
        let Destination::Files { folder, partition_by, .. } = &self.destination else {
            return Ok(());
        };
        if !target.mode.adds_beside() {
            return Ok(());
        }
        let check = || check(folder.as_ref(), target, partition_by);
        self.retry().run(Work::Request, LOADING, check).await
    }
}

async fn check(
    folder: &dyn Folder,
    target: &RelationTarget,
    partition_by: &[String],
) -> Result<()> {
    let prefix = partition_by.first().map(|column| folder_prefix(column));
    for entry in folder.list(&target.name).await? {
        let is_hidden = entry.name.starts_with(['.', '_']) && !entry.name.contains('=');
        let fits = match &prefix {
            None => entry.bytes.is_some(),
            Some(prefix) => entry.bytes.is_none() && entry.name.starts_with(prefix),
        };
        if is_hidden || fits {
            continue;
        }
        let path = folder.url(&format!("{}/{}", target.name, entry.name));
        let hint = "name the columns of its folders in `target.partition_by`, or choose `mode: version` or `replace`";
        let what = match partition_by.first() {
            None => "is a folder, and the job has no `target.partition_by`".to_owned(),
            Some(column) => {
                format!("is no folder of `{column}`, the first of `target.partition_by`")
            }
        };
        return Err(Error::config(format!("{path} {what}")).with_hint(hint));
    }
    Ok(())
}
