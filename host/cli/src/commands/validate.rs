//! `longshore validate JOB`: everything that can be told without a connection. It needs no secret, and
//! compiles no plugin but the job's connector.

use std::collections::BTreeMap;
use std::path::Path;

use longshore_model::config::Job;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::format::counted;
use longshore_run::inspection::{self, Validation};
use serde_json::{Value, json};

use super::params::ParamArgs;
use super::yaml::YamlWriter;
use super::{App, show};

pub(super) fn validate(app: &App, path: &Path, is_shown: bool, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    let Validation { source, faults } =
        app.io.block_on(inspection::validate(&job, &app.settings))?;
    Error::all(faults).context(path.display().to_string())?;
    let understand = || inspection::understood(&job, &*app.catalog_for(&job)?, &app.settings);
    let parts = is_shown.then(understand).transpose()?;
    if app.json {
        let mut answer = as_json(&job, &source);
        if let Some(parts) = parts {
            answer["understood"] = json!(parts.into_iter().collect::<BTreeMap<_, _>>());
        }
        show::json(&answer);
        return Ok(());
    }
    show::answer(&as_text(&job, &source));
    if let Some(parts) = parts {
        let mut yaml = YamlWriter::default();
        parts.iter().for_each(|(key, value)| yaml.key(key, value));
        show::answer(&format!("\n{}", yaml.into_text()));
    }
    Ok(())
}

fn as_json(job: &Job, source: &str) -> Value {
    let mut answer = json!({
        "valid": true,
        "job": job.name,
        "connector": source.split(' ').next(),
        "relations": job.relations.iter().map(|r| &r.name).collect::<Vec<_>>(),
    });
    if !job.parameters.is_empty() {
        answer["parameters"] = json!(job.parameters);
    }
    answer
}

fn as_text(job: &Job, source: &str) -> String {
    let relations = counted(job.relations.len() as u64, "relation");
    let mut text = format!("{}: valid: {relations} from {source} to {}", job.name, job.target.url);
    if !job.parameters.is_empty() {
        text += &format!("\nparameters: {}", job.parameters);
    }
    text
}
