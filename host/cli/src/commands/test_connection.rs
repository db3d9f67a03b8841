//! `longshore test-connection JOB`

use std::path::Path;

use longshore_model::error::Result;
use longshore_model::format::counted;
use longshore_run::inspection::ConnectionTest;
use serde_json::json;

use super::params::ParamArgs;
use super::{App, show};

/// How many names are listed for people; `--json` lists them all.
const LISTED: usize = 50;

pub(super) fn test(app: &App, path: &Path, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    let ConnectionTest { source, target, register, relations, .. } =
        app.io.block_on(app.host.test_connection(&job))?;
    if app.json {
        show::json(&json!({
            "ok": true, "source": source, "target": target, "register": register,
            "relations": relations,
        }));
        return Ok(());
    }
    show::answer(&source);
    show::answer(&format!("target: {target}"));
    if let Some(register) = register {
        show::answer(&format!("register: {register}"));
    }
    show::answer(&format!("{} can be read:", counted(relations.len() as u64, "relation")));
    relations.iter().take(LISTED).for_each(|name| show::answer(&format!("  {name}")));
    if relations.len() > LISTED {
        show::answer(&format!("  and {} more: --json lists all", relations.len() - LISTED));
    }
    Ok(())
}
