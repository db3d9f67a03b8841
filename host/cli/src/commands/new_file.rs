//! Files that a command writes for people.

use std::path::Path;

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};

/// Refuses a file that is there, unless that `is_forced`.
pub(super) fn check(file: &Path, is_forced: bool) -> Result<()> {
    if is_forced || file.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::config(format!("{} is already there", file.display()))
        .with_hint("name another file, or write over it with --force"))
}

/// Refuses a job file whose ending says another format than the one that it is written in.
pub(super) fn check_is_yaml(file: &Path) -> Result<()> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ["yaml", "yml"].contains(&ending.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let yaml = file.with_extension("yaml");
    Err(Error::config(format!("{}: the job is written as YAML", file.display()))
        .with_hint(format!("name it {}", yaml.display())))
}

/// Writes a file that is not there yet, or any if that `is_forced`.
pub(super) fn write(file: &Path, text: &str, is_forced: bool) -> Result<()> {
    check(file, is_forced)?;
    atomic_file::write(file, text.as_bytes()).map_err(|error| Error::io(file.display(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_file_ends_as_it_is_written() {
        for fine in ["a.yaml", "b/a.YML"] {
            check_is_yaml(Path::new(fine)).unwrap();
        }
        for (other, next) in [("b/a.toml", "b/a.yaml"), ("a.json", "a.yaml"), ("job", "job.yaml")] {
            let error = check_is_yaml(Path::new(other)).unwrap_err();
            assert_eq!(error.hint(), Some(format!("name it {next}").as_str()));
        }
    }
}
