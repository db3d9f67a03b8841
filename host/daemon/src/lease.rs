//! Whether somebody still writes a file: the kernel knows, and gives no read lease then.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// From Linux's `fcntl.h`; the `libc` crate does not have it.
const F_SETSIG: libc::c_int = 10;

/// Whether somebody has a file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    /// Nobody has it open for writing.
    None,
    /// Somebody has.
    Some,
    /// The kernel does not say: not our file, or a file system without leases.
    Unknown,
}

/// Asks the kernel.
pub(super) fn writers(path: &Path) -> io::Result<Writers> {
    // Whatever it is: a pipe would be waited for.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let fd = file.as_raw_fd();
    // Should a writer come in this moment, the kernel signals it: with one that is ignored.
    // SAFETY: fcntl on a descriptor that is open for the whole call; no memory is passed.
    let taken = unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG);
        libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK)
    };
    if taken == 0 {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) };
        return Ok(Writers::None);
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Ok(Writers::Some),
        _ => Ok(Writers::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_writer_is_seen_until_it_closes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.yaml");
        let writer = File::create(&path).unwrap();
        let open = writers(&path).unwrap();
        drop(writer);
        let closed = writers(&path).unwrap();
        if closed == Writers::Unknown {
            return eprintln!("skipped: the file system has no leases");
        }
        assert_eq!((open, closed), (Writers::Some, Writers::None));
    }
}
