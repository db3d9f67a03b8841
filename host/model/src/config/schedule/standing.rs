//! A standing job: a job file in the folder of `--jobs-dir`, which is run by its name or by its schedule.

use std::path::Path;

use chrono::Utc;

use super::Schedule;
use crate::config::job::Job;
use crate::config::notify::Webhook;
use crate::config::parameters::{Arguments, Declarations};
use crate::config::policy::Policy;
use crate::error::{Error, Result, ResultExt};

/// The longest name of a standing job.
const NAME_LIMIT_BYTES: usize = 150;

/// What is known of a standing job that is valid.
#[derive(Clone, Debug)]
pub struct StandingJob {
    /// When it is run; absent: only by its name.
    pub schedule: Option<Schedule>,
    /// The names of the parameters that each run must be given.
    pub needs: Vec<String>,
    /// Who is told of its runs and of its schedule.
    pub notify: Vec<Webhook>,
    /// What its author should look at.
    pub warnings: Vec<String>,
}

impl StandingJob {
    /// Reads and checks the job file that is called `name` in `folder` where it is held open. What a run must
    /// give values for is not bound, and so not checked as a whole.
    pub fn read(held: &Path, name: &str, folder: &Path, policy: &Policy) -> Result<Self> {
        let path = folder.join(name);
        let (schedule, parameters) = Job::read_schedule(held, &path).context(name)?;
        let needs = Declarations::check(parameters).context(name)?.without_default();
        if needs.is_empty() {
            let arguments = Arguments::none().scheduled_for(Utc::now());
            let job = Job::read_at(held, &path, name, folder, &arguments, policy)?;
            return Ok(Self { schedule, needs, notify: job.notify, warnings: job.warnings });
        }
        if schedule.is_some() {
            let names = needs.join("`, `");
            return Err(Error::config(format!("{name}: `parameters`: `{names}` has no default"))
                .with_hint("give it one: a schedule gives no values"));
        }
        Ok(Self { schedule, needs, notify: Vec::new(), warnings: Vec::new() })
    }
}

/// Refuses a name that no standing job may have.
pub fn check_standing_name(name: &str) -> Result<()> {
    let is_fit = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if !name.is_empty()
        && name.len() <= NAME_LIMIT_BYTES
        && !name.starts_with('.')
        && name.chars().all(is_fit)
    {
        return Ok(());
    }
    Err(Error::config(format!("`{}` is not a name of a standing job", crate::grant::shown(name)))
        .with_hint(format!(
            "use letters, digits, `-`, `_` and `.`, at most {NAME_LIMIT_BYTES} bytes"
        )))
}
