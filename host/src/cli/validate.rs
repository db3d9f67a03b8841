//! `longshore validate JOB`: everything that can be checked without asking the source.

use std::path::Path;

use serde_json::json;

use super::{App, show};
use crate::config::Job;
use crate::error::Result;
use crate::numbers::counted;
use crate::plan::Planner;

pub(super) fn validate(app: &App, path: &Path) -> Result<()> {
    let job = Job::read(path, &app.settings.policy)?;
    let catalog = app.catalog()?;
    let planner = Planner::new(&catalog, &app.settings);
    planner.transforms(&job)?;
    planner.sink(&job)?;
    let source = app.io.block_on(async {
        planner.registrar(&job)?;
        planner.source(&job)
    })?;
    let relations = job.relations.len() as u64;
    match app.json {
        true => show::json(&json!({
            "valid": true,
            "job": job.name,
            "connector": source.name(),
            "relations": job.relations.iter().map(|r| &r.name).collect::<Vec<_>>(),
        })),
        false => show::answer(&format!(
            "{}: valid: {} from {} {} to {}",
            job.name,
            counted(relations, "relation"),
            source.name(),
            source.version(),
            job.target.url
        )),
    }
    Ok(())
}
