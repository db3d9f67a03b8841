//! This machine's files as a store that is read from. The library's own store keeps names such as `a.csv#2` for
//! uploads that are under way, and neither lists nor opens them, and it takes `x|` for a disk; here they are files
//! like others.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetResult, GetResultPayload, ListResult, ObjectMeta, ObjectStore, Result,
};

use super::read_only::{ReadOnly, Reads};

/// The name under which the store is known in errors.
const STORE: &str = "local files";

/// All files of this machine.
#[derive(Debug)]
pub(crate) struct LocalObjects(LocalFileSystem);

impl LocalObjects {
    pub(crate) fn open() -> ReadOnly<Self> {
        ReadOnly(Self(LocalFileSystem::new()))
    }
}

/// Whether the library takes a name for an upload's: `#` and digits behind the first part of it.
fn is_kept(name: &str) -> bool {
    let Some((_, suffix)) = name.split_once('#') else { return false };
    !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit())
}

fn path(key: &Key) -> PathBuf {
    Path::new("/").join(key.as_ref())
}

fn fault(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => {
            Error::NotFound { path: path.display().to_string(), source: Box::new(error) }
        }
        _ => {
            let own = longshore_model::error::Error::io(path.display(), error);
            Error::Generic { store: STORE, source: Box::new(own) }
        }
    }
}

fn meta(location: Key, metadata: &fs::Metadata) -> ObjectMeta {
    use std::os::unix::fs::MetadataExt;
    let changed = metadata.modified().map(DateTime::<Utc>::from).unwrap_or_default();
    let tag = format!("{:x}-{:x}-{:x}", metadata.ino(), changed.timestamp_micros(), metadata.len());
    ObjectMeta {
        location,
        last_modified: changed,
        size: metadata.len(),
        e_tag: Some(tag),
        version: None,
    }
}

fn open(key: &Key, options: &GetOptions) -> Result<GetResult> {
    let path = path(key);
    let file = File::open(&path).map_err(|error| fault(&path, error))?;
    let metadata = file.metadata().map_err(|error| fault(&path, error))?;
    if metadata.is_dir() {
        let source = "it is a folder".into();
        return Err(Error::NotFound { path: path.display().to_string(), source });
    }
    let meta = meta(key.clone(), &metadata);
    options.check_preconditions(&meta)?;
    let range = match &options.range {
        None => 0..meta.size,
        Some(range) => range
            .as_range(meta.size)
            .map_err(|error| Error::Generic { store: STORE, source: Box::new(error) })?,
    };
    let payload = GetResultPayload::File(file, path);
    Ok(GetResult { payload, meta, range, attributes: Default::default() })
}

/// The files with names that the library keeps, in a folder, or beneath it.
fn kept(folder: &Path, is_deep: bool, found: &mut Vec<ObjectMeta>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        // As the library has it: nothing is there.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        entries => entries.map_err(|error| fault(folder, error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| fault(folder, error))?;
        let (path, kind) = (entry.path(), entry.file_type());
        // The library follows links, and has refused those that lead nowhere but in circles.
        let is_folder =
            kind.is_ok_and(|kind| kind.is_dir() || (kind.is_symlink() && path.is_dir()));
        if is_folder {
            if is_deep {
                kept(&path, is_deep, found)?;
            }
            continue;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_kept(name)) else { continue };
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_file() {
            let folder = folder.to_string_lossy();
            found.push(meta(Key::parse(format!("{folder}/{name}").trim_matches('/'))?, &metadata));
        }
    }
    Ok(())
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Generic { store: STORE, source: Box::new(error) })?
}

async fn kept_in(folder: Option<Key>, is_deep: bool) -> Result<Vec<ObjectMeta>> {
    let folder = folder.map_or_else(|| PathBuf::from("/"), |key| path(&key));
    apart(move || {
        let mut found = Vec::new();
        kept(&folder, is_deep, &mut found)?;
        Ok(found)
    })
    .await
}

#[async_trait]
impl Reads for LocalObjects {
    async fn get(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        let key = key.clone();
        apart(move || open(&key, &options)).await
    }

    fn list(&self, folder: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let kept = kept_in(folder.cloned(), true);
        let kept = futures::stream::once(kept)
            .map_ok(|found| futures::stream::iter(found.into_iter().map(Ok)))
            .try_flatten();
        self.0.list(folder).chain(kept).boxed()
    }

    async fn list_with_delimiter(&self, folder: Option<&Key>) -> Result<ListResult> {
        let mut listed = self.0.list_with_delimiter(folder).await?;
        listed.objects.extend(kept_in(folder.cloned(), false).await?);
        Ok(listed)
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn names_that_the_library_keeps_are_listed_and_read() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        for name in ["in/a.csv", "in/b.csv#2", "c#10", "x|"] {
            fs::write(root.path().join(name), name).unwrap();
        }
        let store = LocalObjects::open();
        let folder = Key::parse(root.path().to_str().unwrap().trim_matches('/')).unwrap();
        let mut listed: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await.unwrap();
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        let names: Vec<String> =
            listed.iter().map(|meta| meta.location.filename().unwrap().to_owned()).collect();
        assert_eq!(names, ["c#10", "a.csv", "b.csv#2", "x|"]);
        let odd = &listed[2];
        assert_eq!(store.head(&odd.location).await.unwrap(), *odd);
        let bytes = store.get_range(&odd.location, 3..6).await.unwrap();
        assert_eq!(&bytes[..], b"b.c");
        assert!(store.head(&listed[3].location).await.is_ok());
        let top = store.list_with_delimiter(Some(&folder)).await.unwrap();
        assert_eq!((top.objects.len(), top.common_prefixes.len()), (2, 1));
        let none = folder.join("x#1");
        assert!(matches!(store.head(&none).await, Err(Error::NotFound { .. })));
    }
}
