//! This machine's files as a store that is read from. The library's own store keeps names such as `a.csv#2` for
//! uploads that are under way, and neither lists nor opens them, it takes `x|` for a disk, and it lists nothing where
//! one name is not UTF-8; here they are files like others.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, GetResult, GetResultPayload, ListResult, ObjectMeta, Result,
};
use percent_encoding::{CONTROLS, percent_encode};
use tokio::sync::mpsc::channel;

use super::read_only::{ReadOnly, Reads};

/// The name under which the store is known in errors.
const STORE: &str = "local files";

/// The version of a file that is listed and cannot be read, as its name is not UTF-8 or holds a control character.
pub(crate) const UNREADABLE: &str = "unreadable";

/// Files that are listed before somebody takes them.
const LISTED_AHEAD: usize = 1024;

/// All files of this machine.
#[derive(Debug)]
pub(crate) struct LocalObjects;

impl LocalObjects {
    pub(crate) fn open() -> ReadOnly<Self> {
        ReadOnly(Self)
    }
}

fn path(key: &Key) -> PathBuf {
    Path::new("/").join(key.as_ref())
}

pub(super) fn fault(path: &Path, error: std::io::Error) -> Error {
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

/// An entry of a folder.
enum FolderEntry {
    Folder(PathBuf),
    File(ObjectMeta),
}

/// What lies in a folder. Links are followed, and those that lead nowhere are left out.
fn entries(folder: &Path) -> Result<Vec<Result<FolderEntry>>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(|error| fault(folder, error))?,
    };
    let found = |entry: std::io::Result<fs::DirEntry>| {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(error) => return Some(Err(fault(folder, error))),
        };
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(Err(fault(&path, error))),
            Ok(metadata) if metadata.is_dir() => Some(Ok(FolderEntry::Folder(path))),
            Ok(metadata) if metadata.is_file() => {
                Some(listed(&path, &metadata).map(FolderEntry::File))
            }
            Ok(_) => None,
        }
    };
    Ok(entries.filter_map(found).collect())
}

/// A file, as it is listed. Where a name is none that can be read, what is odd in it is written as in a URL.
fn listed(path: &Path, metadata: &fs::Metadata) -> Result<ObjectMeta> {
    let named = path.to_str().and_then(|path| Key::parse(path.trim_matches('/')).ok());
    if let Some(key) = named {
        return Ok(meta(key, metadata));
    }
    let part = |part: Component<'_>| {
        let name = part.as_os_str();
        match name.to_str().filter(|name| !name.contains(char::is_control)) {
            Some(name) => name.to_owned(),
            None => percent_encode(name.as_bytes(), CONTROLS).to_string(),
        }
    };
    let parts: Vec<String> = path.components().skip(1).map(part).collect();
    let version = Some(UNREADABLE.to_owned());
    Ok(ObjectMeta { version, ..meta(Key::parse(parts.join("/"))?, metadata) })
}

/// Gives the files of a folder and of those in it, until nobody takes one; whether somebody does.
fn walk(
    folder: &Path,
    above: &mut Vec<PathBuf>,
    give: &mut dyn FnMut(Result<ObjectMeta>) -> bool,
) -> bool {
    let entries = match entries(folder) {
        Ok(entries) => entries,
        Err(error) => return give(Err(error)),
    };
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    if above.contains(&whole) {
        let circle = std::io::Error::other("a link in it leads back to it");
        return give(Err(fault(folder, circle)));
    }
    above.push(whole);
    let is_taken = entries.into_iter().all(|entry| match entry {
        Ok(FolderEntry::Folder(inner)) => walk(&inner, above, give),
        Ok(FolderEntry::File(meta)) => give(Ok(meta)),
        Err(error) => give(Err(error)),
    });
    above.pop();
    is_taken
}

/// Work that may wait for the disk.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Generic { store: STORE, source: Box::new(error) })?
}

fn folder_of(key: Option<&Key>) -> PathBuf {
    key.map_or_else(|| PathBuf::from("/"), path)
}

#[async_trait]
impl Reads for LocalObjects {
    async fn get(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        let key = key.clone();
        apart(move || open(&key, &options)).await
    }

    fn list(&self, folder: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (folder, (send, receive)) = (folder_of(folder), channel(LISTED_AHEAD));
        let walking = apart(move || {
            walk(&folder, &mut Vec::new(), &mut |meta| send.blocking_send(meta).is_ok());
            Ok(())
        });
        let files = stream::unfold(receive, |mut receive| async move {
            let meta = receive.recv().await?;
            Some((meta, receive))
        });
        let end = stream::once(walking).try_filter_map(|()| async { Ok(None) });
        stream::select(files, end).boxed()
    }

    async fn list_with_delimiter(&self, folder: Option<&Key>) -> Result<ListResult> {
        let folder = folder_of(folder);
        apart(move || {
            let mut result = ListResult { common_prefixes: Vec::new(), objects: Vec::new() };
            for entry in entries(&folder)? {
                match entry? {
                    FolderEntry::File(meta) if meta.version.is_none() => result.objects.push(meta),
                    FolderEntry::File(_) => {}
                    FolderEntry::Folder(path) => {
                        let path = path.to_str().unwrap_or_default().trim_matches('/');
                        result.common_prefixes.extend(Key::parse(path).ok());
                    }
                }
            }
            Ok(result)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStore, ObjectStoreExt};

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

    #[tokio::test]
    async fn a_name_that_cannot_be_read_is_listed_as_such() {
        let root = tempfile::tempdir().unwrap();
        let name = |bytes| root.path().join(std::ffi::OsStr::from_bytes(bytes));
        for odd in [b"b\xff.csv".as_slice(), b"c\n.csv", b"a.csv"] {
            fs::write(name(odd), "").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", name(b"d.csv")).unwrap();
        let store = LocalObjects::open();
        let folder = Key::parse(root.path().to_str().unwrap().trim_matches('/')).unwrap();
        let mut listed: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await.unwrap();
        listed.sort_by(|a, b| a.location.cmp(&b.location));
        let told = listed.iter().map(|meta| (meta.location.filename().unwrap(), &meta.version));
        let unreadable = Some(UNREADABLE.to_owned());
        let odd = [("a.csv", &None), ("b%FF.csv", &unreadable), ("c%0A.csv", &unreadable)];
        assert_eq!(told.collect::<Vec<_>>(), odd);
        assert_eq!(store.list_with_delimiter(Some(&folder)).await.unwrap().objects.len(), 1);
    }

    #[tokio::test]
    async fn links_that_lead_in_circles_are_refused() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("again")).unwrap();
        let folder = Key::parse(root.path().to_str().unwrap().trim_matches('/')).unwrap();
        let listed = LocalObjects::open().list(Some(&folder)).try_collect::<Vec<_>>().await;
        assert!(listed.is_err());
    }
}
