//! The scratch folder of a run: rows that it needs again before its commit. Parts cannot serve for that, since
//! uploads to object stores cannot be read before they are complete.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_model::layout::SCRATCH;

/// The scratch folder of a run. It is made when it is first needed, and it goes when the run is over.
#[derive(Clone, Debug)]
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// The scratch folder of a run.
    pub fn of(settings: &Settings, run: &str) -> Self {
        Self { folder: settings.state.join(SCRATCH).join(run) }
    }

    /// A folder of a run that another process drives.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it lies. It may not be there yet.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes it, if it is not there. Only this user can read it.
    pub fn create(&self) -> Result<&Path> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|error| self.fault(error))?;
        Ok(&self.folder)
    }

    /// Removes it, with all that is in it.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.fault(error)),
            _ => Ok(()),
        }
    }

    fn fault(&self, error: std::io::Error) -> Error {
        Error::io(format!("scratch folder {}", self.folder.display()), error)
    }
}

/// Removes the scratch folders of runs that `is_over`: a process that died may have left them.
pub(super) fn sweep(settings: &Settings, is_over: impl Fn(&str) -> Result<bool>) -> Result<()> {
    let found = fs::read_dir(settings.state.join(SCRATCH)).into_iter().flatten().flatten();
    for folder in found {
        let Ok(run) = folder.file_name().into_string() else { continue };
        if is_over(&run)? {
            Scratch::of(settings, &run).remove()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use longshore_model::config::settings::SettingsArgs;

    use super::*;

    #[test]
    fn scratch_goes_with_its_run() {
        let state = tempfile::tempdir().unwrap();
        let settings = Settings::resolve(SettingsArgs::default()).unwrap();
        let settings = Settings { state: state.path().to_owned(), ..settings };
        let (kept, over) = (Scratch::of(&settings, "kept"), Scratch::of(&settings, "over"));
        kept.remove().unwrap();
        for scratch in [&kept, &over] {
            let folder = scratch.create().unwrap();
            fs::write(folder.join("rows"), "1").unwrap();
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        sweep(&settings, |run| Ok(run == "over")).unwrap();
        assert!(kept.path().join("rows").exists() && !over.path().exists());
    }
}
