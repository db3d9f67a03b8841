//! Whether a job's source and target answer.

use std::path::PathBuf;
use std::sync::Arc;

use longshore_engine::catalog::Registrar;
use longshore_engine::destination::SinkTarget;
use longshore_engine::plan::Planner;
use longshore_model::config::place::Place;
use longshore_model::config::target::To;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_plugins::PluginSet;

use crate::destination::Destination;

/// What a job's source, its target and its catalog have answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionTest {
    /// What the source says of itself.
    pub source: String,
    /// What the target says of itself.
    pub target: String,
    /// What the catalog says of itself, if the job registers tables.
    pub register: Option<String>,
    /// What can be read at the source.
    pub relations: Vec<String>,
}

/// Asks a job's source, its target and its catalog.
pub async fn test_connection(
    job: &Job,
    plugins: Arc<PluginSet>,
    settings: &Settings,
) -> Result<ConnectionTest> {
    let source = Planner::new(plugins.clone(), settings).source(job)?;
    let answer = source.test().await?;
    let relations = source.relations().await?;
    let target = match plugins.sink.clone() {
        Some(sink) => SinkTarget::new(sink, &job.target.url).test().await?,
        None => probe(job, settings).await.context("target")?,
    };
    let register = match Registrar::of(job, &plugins) {
        Some(registrar) => Some(registrar.test().await?),
        None => None,
    };
    Ok(ConnectionTest { source: answer, target, register, relations })
}

/// Writes into a target of files, and leaves it as it was. What a run would refuse for what is there is refused.
async fn probe(job: &Job, settings: &Settings) -> Result<String> {
    let To::Folder(place, _) = &job.target.to else {
        return Err(Error::internal("a target that is neither a sink nor files"));
    };
    let was_there: Vec<PathBuf> = match place {
        Place::Local(folder) => [folder.clone(), folder.join(".longshore")].into(),
        _ => Vec::new(),
    };
    let new: Vec<PathBuf> = was_there.into_iter().filter(|folder| !folder.exists()).collect();
    let target = Destination::open_folder(job, place, settings).await?;
    for relation in &job.relations {
        target.check_name(&relation.name, job.target.mode).await?;
    }
    let probed = target.probe().await;
    // Only what the marker had made, and only where nothing else is in it.
    for folder in new.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
    probed.map(|()| format!("{}: can be written", job.target.url))
}
