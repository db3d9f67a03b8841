//! Folders of this machine.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use longshore_model::config::Reach;
use longshore_model::error::{Class, Error, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio::time::sleep;

use super::PartFile;
use super::files::{ByteStream, Entry, Files, Folders};

/// The bytes of one read.
const READ_BYTES: usize = 1 << 20;

/// How often something is made again whose folder went away meanwhile.
const MAKING_TRIES: u32 = 16;

/// How often a folder is removed that others write into meanwhile.
const REMOVING_TRIES: u32 = 20;

/// The wait before the next time.
const REMOVING_WAIT_MILLIS: u64 = 100;

/// A folder of this machine, which need not exist yet.
#[derive(Clone, Debug)]
pub(super) struct LocalFolder {
    root: PathBuf,
    /// How far links in it may lead, if anybody limits that.
    reach: Option<Reach>,
}

impl LocalFolder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), reach: None }
    }

    pub(super) fn within(self, reach: Option<Reach>) -> Self {
        Self { reach, ..self }
    }

    fn at(&self, path: &str) -> PathBuf {
        match path {
            "" => self.root.clone(),
            path => self.root.join(path),
        }
    }

    /// A path that is about to be touched, if it really lies where it may.
    fn held(&self, path: &str) -> Result<PathBuf> {
        let at = self.at(path);
        if let Some(reach) = &self.reach {
            reach.written("target.url", &at)?;
        }
        Ok(at)
    }

    fn make_parent(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(&self.root))
    }

    /// Makes something in a folder that is made with it. A run that ends removes empty folders of Longshore's own,
    /// perhaps in this moment.
    fn in_parent<T>(&self, path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut tries = 0..MAKING_TRIES;
        loop {
            match self.make_parent(path).and_then(|()| make()) {
                Err(error) if error.kind() == ErrorKind::NotFound && tries.next().is_some() => {}
                made => return made,
            }
        }
    }

    /// Writes a whole file, durably.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.in_parent(path, || File::create(path))?;
        file.write_all(bytes)?;
        file.sync_all()
    }
}

#[async_trait]
impl Files for LocalFolder {
    fn url(&self, path: &str) -> String {
        self.at(path).display().to_string()
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let (path, aside) = (self.held(path)?, self.held(&format!("{path}.partial"))?);
        self.write(&aside, bytes)
            .and_then(|()| fs::rename(&aside, &path))
            .and_then(|()| sync(path.parent().unwrap_or(&self.root)))
            .map_err(|error| making("writing", &path, error))
    }

    async fn put_new(&self, path: &str, bytes: &[u8], aside: &str) -> Result<bool> {
        let (path, aside) = (self.held(path)?, self.held(aside)?);
        let failed = |error| making("writing", &path, error);
        self.write(&aside, bytes).map_err(failed)?;
        let linked = self.in_parent(&path, || fs::hard_link(&aside, &path));
        fs::remove_file(&aside).map_err(failed)?;
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        let path = self.held(path)?;
        let fault = |path: &Path, error| Error::io(format!("reading {}", path.display()), error);
        let file = File::open(&path).map_err(|error| fault(&path, error))?;
        let pieces =
            futures::stream::try_unfold((file, path), move |(mut file, path)| async move {
                let mut piece = vec![0; READ_BYTES];
                let read = file.read(&mut piece).map_err(|error| fault(&path, error))?;
                piece.truncate(read);
                Ok((read > 0).then(|| (Bytes::from(piece), (file, path))))
            });
        Ok(pieces.boxed())
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.held(path)?;
        let read = move || {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            File::open(&path)
                .and_then(|file| file.read_exact_at(&mut bytes, range.start))
                .map_err(|error| Error::io(format!("reading {}", path.display()), error))?;
            Ok(bytes.into())
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
    }

    /// A link takes a name, wherever it leads: nothing can be renamed to it.
    async fn is_taken(&self, path: &str) -> Result<bool> {
        Ok(self.held(path)?.symlink_metadata().is_ok())
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        let path = self.held(folder)?;
        let listed = fs::read_dir(&path).and_then(|entries| {
            entries
                .map(|entry| {
                    let entry = entry?;
                    let metadata = entry.metadata()?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    Ok(Entry { name, bytes: metadata.is_file().then_some(metadata.len()) })
                })
                .collect::<io::Result<Vec<Entry>>>()
        });
        match listed {
            Ok(entries) => Ok(Some(entries)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // A file has the name: it is not free, and holds nothing.
            Err(error) if error.kind() == ErrorKind::NotADirectory && path.exists() => {
                Ok(Some(Vec::new()))
            }
            Err(error) => Err(making("listing", &path, error)),
        }
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let path = self.held(path)?;
        let mut tries = 0;
        loop {
            match remove_all(&path) {
                // Somebody has just written into it who does not know yet that the run is over.
                Err(error)
                    if error.kind() == ErrorKind::DirectoryNotEmpty && tries < REMOVING_TRIES =>
                {
                    tries += 1;
                    sleep(Duration::from_millis(REMOVING_WAIT_MILLIS)).await;
                }
                Err(error) if !is_absent(&error) => {
                    return Err(Error::io(format!("removing {}", path.display()), error));
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Gives a file the permissions of the one whose place it takes.
fn keep_permissions(new: &Path, old: &Path) -> io::Result<()> {
    let Ok(old) = old.symlink_metadata() else { return Ok(()) };
    let wanted = old.permissions();
    if !old.is_file() || new.metadata()?.permissions() == wanted {
        return Ok(());
    }
    fs::set_permissions(new, wanted)
}

#[async_trait]
impl Folders for LocalFolder {
    async fn create(&self, path: &str) -> Result<Box<dyn PartFile>> {
        let path = self.held(path)?;
        let file = self.in_parent(&path, || File::create(&path));
        let file = file.map_err(|error| making("creating", &path, error))?;
        Ok(Box::new(LocalPart { file, path, finished: false }))
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        let path = self.held(path)?;
        let made = self.in_parent(&path, || fs::create_dir_all(&path));
        made.map_err(|error| making("making", &path, error))
    }

    async fn rename_over(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.held(from)?, self.held(to)?);
        keep_permissions(&from, &to)
            .and_then(|()| fs::rename(&from, &to))
            .map_err(|error| publishing(&to, error))
    }

    async fn remove_empty(&self, path: &str) {
        if let Ok(path) = self.held(path) {
            // Something is in it, or it is gone.
            let _ = fs::remove_dir(path);
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let (from, to) = (self.held(from)?, self.held(to)?);
        match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // A file system that cannot look and rename at once.
            Err(Errno::INVAL) => {
                if to.symlink_metadata().is_ok() {
                    return Ok(false);
                }
                fs::rename(&from, &to).map(|()| true).map_err(|error| publishing(&to, error))
            }
            Err(error) => Err(publishing(&to, error.into())),
        }
    }

    async fn exchange(&self, a: &str, b: &str) -> Result<bool> {
        let (a, b) = (self.held(a)?, self.held(b)?);
        match renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL) => Ok(false),
            Err(error) => Err(publishing(&b, error.into())),
        }
    }

    async fn sync_folder(&self, path: &str) -> Result<()> {
        let path = self.held(path)?;
        sync(&path).map_err(|error| publishing(&path, error))
    }
}

/// Where nothing can be made, the job names a wrong place.
fn making(what: &str, path: &Path, error: io::Error) -> Error {
    let is_no_place = matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::AlreadyExists
    ) || Errno::from_io_error(&error) == Some(Errno::LOOP);
    let own = Error::io(format!("{what} {}", path.display()), error);
    if is_no_place {
        own.with_class(Class::Config)
            .with_hint("name another folder in `target.url`: nothing can be made in this one")
    } else {
        own
    }
}

fn publishing(path: &Path, error: io::Error) -> Error {
    Error::io(format!("publishing {}", path.display()), error)
}

fn remove_all(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

struct LocalPart {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl LocalPart {
    /// The writers above know no path.
    fn named(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        if kind == ErrorKind::Interrupted {
            return error;
        }
        io::Error::new(kind, Error::io(format!("writing {}", self.path.display()), error))
    }
}

impl Write for LocalPart {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.named(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(error))
    }
}

#[async_trait]
impl PartFile for LocalPart {
    async fn finish(mut self: Box<Self>) -> Result<String> {
        self.file
            .sync_data()
            .map_err(|error| Error::io(format!("writing {}", self.path.display()), error))?;
        self.finished = true;
        Ok(String::new())
    }
}

impl Drop for LocalPart {
    fn drop(&mut self) {
        if !self.finished {
            // Its staging goes too, sooner or later.
            let _ = fs::remove_file(&self.path);
        }
    }
}
