//! `longshore test-connection JOB`

use std::path::{Path, PathBuf};

use longshore_engine::catalog::Registrar;
use longshore_engine::destination;
use longshore_engine::destination::SinkTarget;
use longshore_engine::plan::Planner;
use longshore_model::config::place::Place;
use longshore_model::config::target::To;
use longshore_model::config::{Job, Reach};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::format::counted;
use serde_json::json;

use super::params::ParamArgs;
use super::{App, show};

/// How many names are listed for people; `--json` lists them all.
const LISTED: usize = 50;

/// Writes into a target of files, and leaves it as it was.
async fn probe(app: &App, job: &Job) -> Result<String> {
    let To::Folder(place, _) = &job.target.to else {
        return Err(Error::internal("a target that is neither a sink nor files"));
    };
    let was_there: Vec<PathBuf> = match place {
        Place::Local(folder) => [folder.clone(), folder.join(".longshore")].into(),
        _ => Vec::new(),
    };
    let new: Vec<PathBuf> = was_there.into_iter().filter(|folder| !folder.exists()).collect();
    let reach = Reach::new(&app.settings.policy, &job.folder);
    let target = destination::open(place, app.settings.secrets.as_deref(), Some(reach)).await?;
    let probed = target.probe().await;
    // Only what the marker had made, and only where nothing else is in it.
    for folder in new.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
    probed.map(|()| format!("{}: can be written", job.target.url))
}

pub(super) fn test(app: &App, path: &Path, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    let (answer, relations, target, catalog) = app.io.block_on(async {
        let plugins = app.resolve(&job).await?;
        let source = Planner::new(plugins.clone(), &app.settings).source(&job)?;
        let answer = source.test().await?;
        let relations = source.relations().await?;
        let target = match plugins.sink.clone() {
            Some(sink) => Some(SinkTarget::new(sink, &job.target.url).test().await?),
            None => Some(probe(app, &job).await.context("target")?),
        };
        let catalog = match Registrar::of(&job, &plugins) {
            Some(registrar) => Some(registrar.test().await?),
            None => None,
        };
        Ok::<_, longshore_model::error::Error>((answer, relations, target, catalog))
    })?;
    if app.json {
        show::json(&json!({
            "ok": true, "source": answer, "target": target, "register": catalog, "relations": relations,
        }));
        return Ok(());
    }
    show::answer(&answer);
    if let Some(target) = target {
        show::answer(&format!("target: {target}"));
    }
    if let Some(catalog) = catalog {
        show::answer(&format!("register: {catalog}"));
    }
    show::answer(&format!("{} can be read:", counted(relations.len() as u64, "relation")));
    relations.iter().take(LISTED).for_each(|name| show::answer(&format!("  {name}")));
    if relations.len() > LISTED {
        show::answer(&format!("  and {} more: --json lists all", relations.len() - LISTED));
    }
    Ok(())
}
