//! The parameter file of a job: `shop.params.yaml` beside `shop.yaml`, in the same format.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What stands before the ending of its name.
const MARK: &str = "params";

/// The parameter file of a job file.
pub(super) fn parameter_file(job: &Path) -> Option<PathBuf> {
    let mut name = OsString::from(job.file_stem()?);
    name.push(format!(".{MARK}."));
    name.push(job.extension()?);
    Some(job.with_file_name(name))
}

/// Whether a file is one, and no job file.
pub(super) fn is_parameter_file(path: &Path) -> bool {
    let stem = path.file_stem().map(Path::new);
    stem.is_some_and(|stem| stem.extension().is_some_and(|mark| mark == MARK))
}

/// The job file whose parameter file this is.
pub(super) fn job_of_parameters(path: &Path) -> Option<PathBuf> {
    let stem = Path::new(path.file_stem()?);
    let mut name = OsString::from(stem.file_stem().filter(|_| is_parameter_file(path))?);
    name.push(".");
    name.push(path.extension()?);
    Some(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_file_is_named_after_its_job() {
        let (job, file) = (Path::new("/in/my.shop.yaml"), Path::new("/in/my.shop.params.yaml"));
        assert_eq!(parameter_file(job).as_deref(), Some(file));
        assert_eq!(job_of_parameters(file).as_deref(), Some(job));
        assert!(is_parameter_file(file) && !is_parameter_file(job));
        assert!(!is_parameter_file(Path::new("params.yaml")));
        assert_eq!(job_of_parameters(job), None);
    }
}
