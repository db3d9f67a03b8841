//! `--param NAME=VALUE`: values for the parameters of a job.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use longshore_model::config::{Arguments, Job};
use longshore_model::error::{Error, Result};
use serde_json::Value;

use super::{App, show, stdin_job};

#[derive(Args, Clone, Debug)]
pub(super) struct ParamArgs {
    /// The value of a parameter that the job declares; can be given for each of them
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
}

impl ParamArgs {
    /// Reads a job with these values. What its author should look at is said.
    pub(super) fn read_job(&self, app: &App, path: &Path) -> Result<Job> {
        let job = read_job(app, path, &Arguments::of_flags(&self.params)?)?;
        job.warnings.iter().for_each(|warning| show::warning(warning));
        Ok(job)
    }

    /// The values, for a run that somebody else begins.
    pub(super) fn values(&self) -> Result<BTreeMap<String, Value>> {
        Ok(Arguments::of_flags(&self.params)?.into_values())
    }

    /// Refuses values where no job is named.
    pub(super) fn refuse_any(&self) -> Result<()> {
        match self.params.first() {
            None => Ok(()),
            Some(param) => Err(Error::config(format!("--param {param}: files have no parameters"))
                .with_hint("name a job file that declares it, or remove it")),
        }
    }
}

/// Reads a job from its file, or from standard input.
pub(super) fn read_job(app: &App, path: &Path, arguments: &Arguments) -> Result<Job> {
    let policy = &app.settings.policy;
    if stdin_job::is_stdin(path) {
        stdin_job::read(arguments, policy)
    } else {
        Job::read(path, arguments, policy)
    }
}
