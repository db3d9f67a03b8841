//! Where what belongs to the program lies.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where packages put it, seen from the program's folder: Debian's, and Python's wheel.
const PACKAGED: [&str; 2] = ["../lib/longshore", "../libexec/longshore"];

/// Where a file or a folder lies that belongs to the program: beside it, as it is built, or where packages put it. If
/// it is nowhere, it is missed beside the program.
pub fn bundled(name: &str) -> Result<PathBuf> {
    let program =
        env::current_exe().map_err(|error| Error::io("finding the program itself", error))?;
    Ok(bundled_with(program.parent().unwrap_or(Path::new("/")), name))
}

fn bundled_with(folder: &Path, name: &str) -> PathBuf {
    let beside = folder.join(name);
    if beside.exists() {
        return beside;
    }
    // What is there is shown without `..`.
    let packaged = |place| folder.join(place).join(name).canonicalize().ok();
    PACKAGED.iter().find_map(packaged).unwrap_or(beside)
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir_all;

    use super::*;

    #[test]
    fn what_lies_beside_the_program_goes_before_what_is_packaged() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let bin = root.join("bin");
        create_dir_all(&bin).unwrap();
        let plugins = || bundled_with(&bin, "plugins");
        assert_eq!(plugins(), bin.join("plugins"));
        for place in ["libexec/longshore", "lib/longshore"] {
            let packaged = root.join(place).join("plugins");
            create_dir_all(&packaged).unwrap();
            assert_eq!(plugins(), packaged);
        }
        create_dir_all(bin.join("plugins")).unwrap();
        assert_eq!(plugins(), bin.join("plugins"));
    }
}
