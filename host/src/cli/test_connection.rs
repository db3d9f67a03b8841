//! `longshore test-connection JOB`

use std::path::Path;

use serde_json::json;

use super::{App, show};
use crate::config::Job;
use crate::error::Result;
use crate::numbers::counted;
use crate::plan::Planner;
use crate::target::SinkTarget;

/// How many names are listed for people; `--json` lists them all.
const LISTED: usize = 50;

pub(super) fn test(app: &App, path: &Path) -> Result<()> {
    let job = Job::read(path, &app.settings.policy)?;
    let catalog = app.catalog()?;
    let planner = Planner::new(&catalog, &app.settings);
    let (answer, relations, target, catalog) = app.io.block_on(async {
        let source = planner.source(&job)?;
        let answer = source.test().await?;
        let relations = source.relations().await?;
        let target = match planner.sink(&job)? {
            Some(sink) => Some(SinkTarget::new(sink, &job.target.url).test().await?),
            None => None,
        };
        let catalog = match planner.registrar(&job)? {
            Some(registrar) => Some(registrar.test().await?),
            None => None,
        };
        Ok::<_, crate::error::Error>((answer, relations, target, catalog))
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
