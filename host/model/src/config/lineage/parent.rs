//! The run that a run is a part of, as schedulers hand it on in OpenLineage's variables.

use std::env;
use std::fmt;
use std::str::FromStr;

/// The variable of the caller's run; Airflow's macro `lineage_parent_id` gives its value.
const PARENT: &str = "OPENLINEAGE_PARENT_ID";

/// The variable of the run that all began with; Airflow's macro `lineage_root_parent_id` gives its value.
const ROOT: &str = "OPENLINEAGE_ROOT_PARENT_ID";

/// A run of another program's, as `NAMESPACE/JOB/RUN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRun {
    /// The namespace of its job.
    pub namespace: String,
    /// Its job's name.
    pub job: String,
    /// Its id, a UUID.
    pub run: String,
}

/// The caller's run, and the one that all began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentRun {
    /// The caller's run.
    pub run: JobRun,
    /// The run that all began with, if it is known.
    pub root: Option<JobRun>,
}

/// A text that is no run.
#[derive(Debug, thiserror::Error)]
#[error("it is not of the form NAMESPACE/JOB/RUN, with a UUID at its end")]
pub struct NoJobRun;

impl ParentRun {
    /// What the environment says. What cannot be read is no reason not to run.
    pub fn of_environment() -> Option<Self> {
        Some(Self { run: of_variable(PARENT)?, root: of_variable(ROOT) })
    }
}

fn of_variable(name: &str) -> Option<JobRun> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    text.parse().inspect_err(|error| tracing::warn!("{name} names no run: {error}")).ok()
}

impl FromStr for JobRun {
    type Err = NoJobRun;

    /// A namespace may hold slashes, such as `http://airflow`.
    fn from_str(text: &str) -> Result<Self, NoJobRun> {
        let (rest, run) = text.trim().rsplit_once('/').ok_or(NoJobRun)?;
        let (namespace, job) = rest.rsplit_once('/').ok_or(NoJobRun)?;
        if namespace.is_empty() || job.is_empty() || !is_uuid(run) {
            return Err(NoJobRun);
        }
        let (namespace, job, run) = (namespace.to_owned(), job.to_owned(), run.to_owned());
        Ok(Self { namespace, job, run })
    }
}

impl fmt::Display for JobRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.job, self.run)
    }
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_as_airflow_and_dbt_name_it() {
        let id = "019c2d00-7a1b-7000-8000-0123456789ab";
        let run: JobRun = format!("default/nightly.load/{id}").parse().unwrap();
        assert_eq!((run.namespace.as_str(), run.job.as_str()), ("default", "nightly.load"));
        assert_eq!(run.to_string(), format!("default/nightly.load/{id}"));
        let run: JobRun = format!("http://airflow/nightly.load/{id}").parse().unwrap();
        assert_eq!((run.namespace.as_str(), run.run.as_str()), ("http://airflow", id));
        for wrong in ["", "a/b", "default/job/17", "/job/x", &format!("job/{id}")] {
            assert!(wrong.parse::<JobRun>().is_err(), "{wrong}");
        }
    }
}
