//! Files that people write: jobs, queries, secrets, keys. Whatever a name leads to, reading it ends.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::error::{Class, Error, Result};

/// Reads a regular file of at most so many bytes. A pipe, a device or a folder is refused before anything
/// is read of it; `what` says what the file is for.
pub fn read_small_file(what: &str, path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let failed = |error: std::io::Error| {
        let class = match error.raw_os_error() {
            // What has a path and cannot be read as a file has a wrong path.
            Some(
                libc::EAGAIN | libc::ELOOP | libc::EIO | libc::EINVAL | libc::ENXIO | libc::EPERM,
            ) => Class::Config,
            _ => match error.kind() {
                ErrorKind::NotFound | ErrorKind::PermissionDenied => Class::Config,
                kind => Error::io("", std::io::Error::from(kind)).class(),
            },
        };
        Error::new(class, format!("{what}: {name}: {error}"))
            .with_hint("check the file's path and permissions")
    };
    // Without waiting for whoever writes into a pipe, and without making a terminal ours.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let odd = || {
        Error::config(format!("{what}: {name} is not a regular file"))
            .with_hint("name a file that holds the text")
    };
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(odd());
    }
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(odd());
    }
    // What was read counts, and not what the file says of its length.
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(Error::config(format!("{what}: {name} holds more than {limit_bytes} bytes"))
            .with_hint("name a smaller file"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn what_has_no_end_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            let said = read_small_file("`query_file`", path, 10).unwrap_err().to_string();
            assert!(said.contains("is not a regular file"), "{said}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "0123456789").unwrap();
        assert_eq!(read_small_file("`x`", &file, 10).unwrap(), b"0123456789");
        assert!(
            read_small_file("`x`", &file, 9).unwrap_err().to_string().contains("more than 9 bytes")
        );
    }
}
