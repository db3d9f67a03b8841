//! Sockets in folders with long paths: the kernel takes 107 bytes, and state folders may have more.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// A socket's path by way of its opened folder.
pub(super) struct SocketPath {
    folder: File,
    name: PathBuf,
}

impl SocketPath {
    /// The path of a socket whose folder is there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        Ok(Self { folder, name: PathBuf::from(name) })
    }

    /// A short path, which is valid as long as this value.
    pub(super) fn short(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.folder.as_raw_fd().to_string()).join(&self.name)
    }
}
