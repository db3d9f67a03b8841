//! Which files a relation has: those of a folder, of a pattern, or one.

use std::borrow::Cow;

use futures::{StreamExt, TryStreamExt};
use glob::{MatchOptions, Pattern};
use longshore_model::config::files::{FilePattern, Files, is_pattern};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::NULL_FOLDER;
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStoreExt};
use percent_encoding::percent_decode_str;

use super::{Folder, shown};
use crate::store::{SourceStore, UNREADABLE, key, object_error};

/// The most files of one relation.
pub const FILES_LIMIT: usize = 100_000;

/// Folders that are listed at the same time.
const LISTS_AT_ONCE: usize = 16;

/// `*` stays within a folder; `**` does not.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A file of a relation.
#[derive(Clone, Debug)]
pub(super) struct ListedFile {
    pub(super) meta: ObjectMeta,
    /// What the folders that it lies in say, such as `day=2026-11-20`.
    pub(super) partitions: Vec<(String, Option<String>)>,
}

/// What is sought, if it has exactly that name.
pub(super) fn whole(store: &SourceStore, sought: &FilePattern) -> Result<Key> {
    let parts: Vec<&str> = sought.name.split('/').filter(|part| !part.is_empty()).collect();
    beneath(&store.root, &parts)
}

/// The files of a path or a pattern beneath the source's folder, in the order of their names. What has exactly
/// the name is meant, where it is there.
pub(super) async fn find(
    store: &SourceStore,
    files: &Files,
    sought: &FilePattern,
) -> Result<Vec<ListedFile>> {
    let parts: Vec<&str> = sought.name.split('/').filter(|part| !part.is_empty()).collect();
    let whole = whole(store, sought)?;
    let url = store.url(&whole);
    refuse_pipes(store, &whole)?;
    let mut root = whole.clone();
    let (mut metas, no_file) = match store.objects.head(&whole).await {
        Ok(meta) => return Ok(vec![ListedFile { meta, partitions: Vec::new() }]),
        // A folder, then, or what listing says of it.
        Err(error) => (list(store, &whole, |_| true).await?, error),
    };
    if let Some(pattern) = sought.pattern.as_ref().filter(|_| metas.is_empty()) {
        let globs: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
        let literal = globs.iter().take_while(|glob| !is_pattern(glob)).count();
        root = beneath(&store.root, &parts[..literal.min(parts.len())])?;
        let place = Pattern::escape(store.root.as_ref());
        let separator = if place.is_empty() { "" } else { "/" };
        let pattern = Pattern::new(&format!("{place}{separator}{}", globs.join("/")));
        let pattern = pattern.map_err(|error| {
            Error::config(format!("{url}: not a pattern: {error}"))
                .with_hint("write *, ?, [abc] or **")
        })?;
        metas = list(store, &root, |key| pattern.matches_with(key.as_ref(), MATCHING)).await?;
    }
    if metas.is_empty() {
        let refusal = object_error(&url, &no_file);
        if refusal.class() == Class::Auth {
            return Err(refusal);
        }
        return Err(Error::not_found(format!("{url}: no files there"))
            .with_hint("check the path: `longshore test-connection JOB` lists what is there"));
    }
    metas.sort_by(|a, b| a.location.cmp(&b.location));
    let found = metas.into_iter().map(|meta| {
        let partitions =
            if files.partitions { partitions(&root, &meta.location)? } else { Vec::new() };
        Ok(ListedFile { meta, partitions })
    });
    found.collect()
}

/// The files of a table's folders, in the order of their names.
pub(super) async fn of_folders(store: &SourceStore, folders: &[Folder]) -> Result<Vec<ListedFile>> {
    let listed = folders.iter().cloned().map(|folder| async move {
        let root = key(&folder.path)?;
        let mut metas = match list(store, &root, |_| true).await {
            // A folder that nothing was written to yet.
            Err(error) if error.class() == Class::NotFound => Vec::new(),
            listed => listed?,
        };
        let beneath = |meta: &ObjectMeta| meta.location.parts().count() > root.parts().count() + 1;
        if let Some(deeper) = metas.iter().find(|meta| beneath(meta)) {
            // One server reads what lies in folders of its own, another does not.
            return Err(Error::config(format!(
                "{} lies deeper than the table's files",
                store.url(&deeper.location)
            ))
            .with_hint("read the table through the server"));
        }
        metas.sort_by(|a, b| a.location.cmp(&b.location));
        let found = |meta| ListedFile { meta, partitions: folder.partitions.clone() };
        Ok::<_, Error>(metas.into_iter().map(found).collect::<Vec<_>>())
    });
    let listed: Vec<Vec<ListedFile>> =
        futures::stream::iter(listed).buffered(LISTS_AT_ONCE).try_collect().await?;
    let found = listed.concat();
    if found.len() > FILES_LIMIT {
        return Err(Error::config(format!(
            "{}: more than {FILES_LIMIT} files",
            store.url(&store.root)
        ))
        .with_hint("read the table through the server"));
    }
    Ok(found)
}

/// The names of folders and files that can be named as tables.
pub(super) async fn tables(store: &SourceStore) -> Result<Vec<String>> {
    let url = store.url(&store.root);
    let listed = store.objects.list_with_delimiter(Some(&store.root)).await;
    let listed = listed.map_err(|error| object_error(&url, &error))?;
    let files = listed.objects.into_iter().map(|meta| meta.location);
    let mut tables: Vec<String> = listed
        .common_prefixes
        .into_iter()
        .chain(files)
        .filter(|key| !key.filename().is_some_and(is_hidden))
        .map(|key| shown(store, &key))
        .collect();
    tables.sort();
    Ok(tables)
}

/// Whoever opens a pipe waits for a writer.
fn refuse_pipes(store: &SourceStore, key: &Key) -> Result<()> {
    let path = std::path::Path::new("/").join(key.as_ref());
    let is_odd = |metadata: std::fs::Metadata| !metadata.is_file() && !metadata.is_dir();
    if store.is_local() && std::fs::metadata(&path).is_ok_and(is_odd) {
        return Err(Error::config(format!("{} is not a regular file", path.display()))
            .with_hint("name a file that holds the rows"));
    }
    Ok(())
}

async fn list(
    store: &SourceStore,
    root: &Key,
    is_wanted: impl Fn(&Key) -> bool,
) -> Result<Vec<ObjectMeta>> {
    let url = store.url(root);
    let failed = |error| object_error(&url, &error);
    let mut listed = store.objects.list(Some(root));
    let mut metas = Vec::new();
    while let Some(meta) = listed.try_next().await.map_err(failed)? {
        let rest = meta.location.as_ref().strip_prefix(root.as_ref()).unwrap_or_default();
        if rest.split('/').any(is_hidden) || !is_wanted(&meta.location) {
            continue;
        }
        if meta.version.as_deref() == Some(UNREADABLE) {
            return Err(Error::config(format!(
                "/{}: its name is not UTF-8, or holds a control character",
                meta.location
            ))
            .with_hint("rename it, or name the other files with a pattern such as orders*.csv"));
        }
        metas.push(meta);
        if metas.len() > FILES_LIMIT {
            return Err(Error::config(format!("{url}: more than {FILES_LIMIT} files"))
                .with_hint("name fewer of them as a table, and more tables"));
        }
    }
    Ok(metas)
}

/// What other programs leave beside data: `_SUCCESS`, `.crc`, `_delta_log`.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_']) && !name.contains('=')
}

fn beneath(root: &Key, parts: &[&str]) -> Result<Key> {
    key(&format!("{root}/{}", parts.join("/")))
}

/// `day=2026-11-20/kind=a%2Fb`, as names and values.
fn partitions(root: &Key, file: &Key) -> Result<Vec<(String, Option<String>)>> {
    let rest = file.as_ref().strip_prefix(root.as_ref()).unwrap_or_default();
    let folders = rest.rsplit_once('/').map_or("", |(folders, _)| folders);
    let mut columns: Vec<(String, Option<String>)> = Vec::new();
    for folder in folders.split('/') {
        let Some((name, value)) = folder.split_once('=') else { continue };
        let refused = |cause: &str| {
            Error::data(format!("{file}: the folder {folder} {cause}"))
                .with_hint("rename it, or set `source.partitions: false`")
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(Cow::into_owned).map_err(|_| refused("stands for no text in UTF-8"))
        };
        let name = decoded(name)?;
        if columns.iter().any(|(other, _)| *other == name) {
            return Err(refused("lies in another one of its column"));
        }
        let value = if value == NULL_FOLDER { None } else { Some(decoded(value)?) };
        columns.push((name, value));
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_columns() {
        let root = key("lake/orders").unwrap();
        let file = key("lake/orders/day=2026-11-20/kind=a%2Fb/x=__HIVE_DEFAULT_PARTITION__/1.csv");
        let texts = |name: &str, value: Option<&str>| (name.to_owned(), value.map(str::to_owned));
        assert_eq!(
            partitions(&root, &file.unwrap()).unwrap(),
            [texts("day", Some("2026-11-20")), texts("kind", Some("a/b")), texts("x", None)]
        );
        let of = |file: &str| partitions(&root, &key(file).unwrap());
        assert_eq!(of("lake/orders/1.csv").unwrap(), []);
        assert!(of("lake/orders/k=%FF/1.csv").unwrap_err().to_string().contains("k=%FF"));
        assert!(of("lake/orders/k=1/k=2/1.csv").is_err());
    }
}
