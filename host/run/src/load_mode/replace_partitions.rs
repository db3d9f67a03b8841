//! `replace_partitions`: the files in each folder that the run has rows of give way to its parts.

use std::collections::BTreeSet;

use longshore_engine::destination::{DataFile, Folder, data_files};
use longshore_model::error::Result;
use longshore_model::part::{Part, RelationTarget};

/// The files that the parts take the place of.
pub(super) async fn replaced(
    folder: &dyn Folder,
    target: &RelationTarget,
    parts: &[Part],
) -> Result<Vec<DataFile>> {
    let own: BTreeSet<&str> = parts.iter().map(|part| part.file.as_str()).collect();
    let partitions: BTreeSet<&str> = own
        .iter()
        .filter_map(|file| file.rsplit_once('/'))
        .map(|(partition, _)| partition)
        .collect();
    let mut replaced = Vec::new();
    for partition in partitions {
        let there = data_files(folder, &target.name, partition).await?;
        replaced.extend(there.into_iter().filter(|file| !own.contains(file.path.as_str())));
    }
    Ok(replaced)
}
