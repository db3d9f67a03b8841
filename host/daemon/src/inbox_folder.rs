//! A folder of the inbox, held open. Whoever may rename in the inbox may put a link in its place at any moment:
//! what is written into it goes into the folder that was opened, and a link is never taken for one.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `running`, `done` or `failed`.
pub(super) struct InboxFolder {
    path: PathBuf,
    _open: File,
}

impl InboxFolder {
    /// Opens it in an inbox; makes it, if need be.
    pub(super) fn open(inbox: &Path, name: &str) -> io::Result<Self> {
        let inbox = folders(libc::O_PATH).open(inbox)?;
        let path = held(&inbox).join(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match folders(libc::O_PATH | libc::O_NOFOLLOW).open(&path) {
            Ok(open) => Ok(Self { path: held(&open), _open: open }),
            Err(_) if path.is_symlink() => Err(io::Error::new(
                ErrorKind::NotADirectory,
                "it is a link: make it a folder, or mount one there",
            )),
            Err(error) => Err(error),
        }
    }

    /// The folder, whatever has its name by now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(super) fn file(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }
}

fn folders(flags: libc::c_int) -> OpenOptions {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_DIRECTORY | flags);
    options
}

fn held(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_no_folder_and_none_takes_the_place_of_an_open_one() {
        let (inbox, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let done = inbox.path().join("done");
        let folder = InboxFolder::open(inbox.path(), "done").unwrap();
        fs::rename(&done, inbox.path().join("aside")).unwrap();
        symlink(outside.path(), &done).unwrap();
        fs::write(folder.file("report"), "x").unwrap();
        assert!(inbox.path().join("aside/report").exists());
        let told = InboxFolder::open(inbox.path(), "done").err().unwrap();
        assert_eq!(told.kind(), ErrorKind::NotADirectory);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
