//! Files of the scratch folder of a run, as executors hand them over.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Component, Path, PathBuf};

/// Rows of tables are in these folders: only this user reads them.
const FOLDER_MODE: u32 = 0o700;

/// Where a file lies whose path in the folder is given in hex. None: it is no path in there.
pub(super) fn scratch_path(folder: &Path, file: &str) -> Option<PathBuf> {
    let name = PathBuf::from(String::from_utf8(hex::decode(file).ok()?).ok()?);
    let is_within = name.components().all(|part| matches!(part, Component::Normal(_)));
    (is_within && name.file_name().is_some()).then(|| folder.join(name))
}

/// Writes a piece of a file. The first piece begins it anew; a piece may come twice, since answers are lost.
pub(super) fn write_piece(path: &Path, offset: u64, piece: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    if offset == 0 {
        file.set_len(0)?;
    }
    file.write_all_at(piece, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_within_the_folder_and_nowhere_else() {
        let folder = Path::new("/scratch/run");
        let path = |name: &str| scratch_path(folder, &hex::encode(name));
        assert_eq!(path("a/b c.arrow"), Some(folder.join("a/b c.arrow")));
        for name in ["", "/etc/passwd", "../other", "a/../../other", ".", "a/./../b"] {
            assert_eq!(path(name), None, "{name}");
        }
        assert_eq!(scratch_path(folder, "no hex"), None);
    }

    #[test]
    fn pieces_that_come_twice_make_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        for (offset, piece) in [(0, "stale and long"), (0, "one"), (3, "two"), (3, "two")] {
            write_piece(&path, offset, piece.as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "onetwo");
    }
}
