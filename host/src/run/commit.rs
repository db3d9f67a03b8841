//! The commit: every relation becomes visible, and then the manifest; or nothing does.

use super::manifest::{Finished, Manifest, Times};
use super::report::{RelationReport, RunReport, Status};
use super::runner::Started;
use crate::config::Job;
use crate::error::{Error, Result};
use crate::plan::{RunPlan, consistency_name};
use crate::target::{Published, Staging};

/// Publishes a run whose tasks are all done.
pub(super) fn commit(
    run: &str,
    job: &Job,
    plan: &RunPlan,
    staging: &dyn Staging,
    finished: &[Finished],
    started: &Started,
) -> Result<RunReport> {
    let names: Vec<String> = plan.relations.iter().map(|r| r.relation.name.clone()).collect();
    let manifest = |published: &[Published]| {
        let published_as: Vec<String> = published.iter().map(|p| p.name.clone()).collect();
        let times = Times {
            started: started.at(),
            finished: super::runner::Started::now().at(),
            seconds: started.seconds(),
        };
        let manifest = Manifest::new(run, job, plan, finished, &published_as, times);
        serde_json::to_vec_pretty(&manifest).map_err(|error| Error::internal(error.to_string()))
    };
    let (published, manifest) = staging.publish(&names, job.target.mode, &manifest)?;
    let relations: Vec<RelationReport> = published
        .into_iter()
        .zip(finished)
        .zip(&plan.relations)
        .map(|((published, finished), plan)| RelationReport {
            relation: published.relation,
            published_as: published.name,
            folder: published.folder,
            rows: finished.parts.iter().map(|part| part.rows).sum(),
            bytes: finished.parts.iter().map(|part| part.bytes).sum(),
            parts: finished.parts.len(),
            chunks: plan.chunks(),
            retries: finished.retries,
        })
        .collect();
    Ok(RunReport {
        run: run.to_owned(),
        job: job.name.clone(),
        status: Status::Succeeded,
        started: started.at(),
        seconds: started.seconds(),
        rows: relations.iter().map(|relation| relation.rows).sum(),
        bytes: relations.iter().map(|relation| relation.bytes).sum(),
        consistency: Some(consistency_name(plan.consistency)),
        relations,
        manifest: Some(manifest),
        error: None,
    })
}
