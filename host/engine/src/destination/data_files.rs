//! The files of a relation that readers of its folder see.

use futures::{StreamExt, TryStreamExt};
use longshore_model::error::{Error, Result};

use super::{Entry, Folder};

/// Folders that are listed at the same time.
const LISTS_AT_ONCE: usize = 16;

/// A file that readers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its name in the relation's folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// The files in a relation's folder, or in a folder inside it, `inner`, and in all folders beneath, in the order
/// of their names; none if it is not there.
pub async fn data_files(folder: &dyn Folder, name: &str, inner: &str) -> Result<Vec<DataFile>> {
    let (mut found, mut level) = (Vec::new(), vec![inner.to_owned()]);
    while !level.is_empty() {
        let listing = level.iter().map(|inner| async move {
            let entries = folder.list(join(name, inner).trim_end_matches('/')).await?;
            Ok::<_, Error>((inner.clone(), entries))
        });
        let listed: Vec<(String, Vec<Entry>)> = futures::stream::iter(listing.collect::<Vec<_>>())
            .buffered(LISTS_AT_ONCE)
            .try_collect()
            .await?;
        level = Vec::new();
        for (inner, entries) in listed {
            for Entry { name, bytes } in entries.into_iter().filter(|entry| is_seen(&entry.name)) {
                let path = join(&inner, &name);
                match bytes {
                    Some(bytes) => found.push(DataFile { path, bytes }),
                    None => level.push(path),
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Readers skip what other programs leave beside data: `_SUCCESS`, `.crc`, `_delta_log`. The folder of a column
/// may begin so.
fn is_seen(name: &str) -> bool {
    !name.starts_with(['.', '_']) || name.contains('=')
}
