//! Files that are there whole or not at all, and stay there once they are.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// What a temporary file's name begins with: watchers of folders skip hidden files.
const PREFIX: &str = ".longshore-";

/// The mode of new files, before the umask.
const USUAL_MODE: u32 = 0o666;

/// Writes a file, with the usual permissions.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes)?;
    persist(file, path)
}

/// Writes a file with exactly these permissions.
pub fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = temporary_beside(path)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    persist(file, path)
}

/// Copies a file with its permissions.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut file = temporary_beside(to)?;
    io::copy(&mut source, &mut file)?;
    file.as_file().set_permissions(source.metadata()?.permissions())?;
    persist(file, to)
}

/// The file takes its name in the end: a rename needs the same file system.
fn temporary_beside(path: &Path) -> io::Result<NamedTempFile> {
    let usual = Permissions::from_mode(USUAL_MODE);
    Builder::new().prefix(PREFIX).permissions(usual).tempfile_in(folder_of(path))
}

/// Renames a file to its own name, once its bytes are on disk.
fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    match File::open(folder_of(path)) {
        Ok(folder) => folder.sync_all(),
        // A folder that only takes files cannot be opened: the kernel writes the new name when it likes.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn permissions_are_the_usual_ones_or_those_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("plain"), "x").unwrap();
        write(&path("usual"), b"x").unwrap();
        assert_eq!(mode(&path("usual")), mode(&path("plain")));
        write_with_mode(&path("asked"), b"x", 0o604).unwrap();
        assert_eq!(mode(&path("asked")), 0o604);
        copy(&path("asked"), &path("copy")).unwrap();
        assert_eq!(mode(&path("copy")), 0o604);
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
