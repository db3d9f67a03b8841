//! What a run would do, without reading rows.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::displayable;
use longshore_engine::incremental::LoadState;
use longshore_engine::plan::{ColumnPlan, Planner, RelationPlan, RunPlan};
use longshore_engine::scan::{Chunk, ScanPlan};
use longshore_engine::write::parquet_type;
use longshore_model::config::checks::Check;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Class, Error, Result};
use longshore_model::grant::cut;
use longshore_model::watermark::Window;
use longshore_plugins::PluginSet;
use longshore_sandbox::SnapshotResult;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::drift::expected_of;

/// How long a plan waits for its target. What a run would do with the rows can be told without it.
const TARGET_WAIT: Duration = Duration::from_secs(10);

use super::existing::ExistingFiles;

/// The longest line of a plan that is shown.
const PLAN_LINE_LIMIT_BYTES: usize = 500;

/// Plans a job, and lets its source go.
/// `loads` says how far incremental relations have been loaded.
pub async fn plan(
    job: &Job,
    plugins: Arc<PluginSet>,
    settings: &Settings,
    loads: LoadState,
) -> Result<RunPlan> {
    let expected = timeout(TARGET_WAIT, expected_of(job, &plugins, settings)).await;
    let silent = |_| Err(Error::new(Class::Timeout, "the target did not answer"));
    let expected = expected.unwrap_or_else(silent).unwrap_or_else(|error| {
        tracing::warn!("{error}: whether the columns have changed is not known");
        Vec::new()
    });
    let planner = Planner { loads: Some(loads), expected, ..Planner::new(plugins, settings) };
    let plan = planner.plan(job).await?;
    plan.source.release().await;
    Ok(plan)
}

/// Name, type in Arrow and type in Parquet of each column that is published.
pub fn published_columns(relation: &RelationPlan) -> Vec<[String; 3]> {
    let fields = relation.published.fields().iter();
    fields.map(|f| [f.name().clone(), f.data_type().to_string(), parquet_type(f)]).collect()
}

/// What the plugins of a plan may reach.
pub fn grants(plan: &RunPlan) -> Vec<String> {
    let mut grants = Vec::new();
    for (name, grant) in plan.plugins.grants() {
        let endpoints = grant.endpoints.iter();
        grants.extend(endpoints.map(|endpoint| format!("{name} may connect to {endpoint}")));
        if let Some(odbc) = &grant.odbc {
            grants.push(format!("{name} may connect over ODBC {odbc}"));
        }
        if let Some(kerberos) = &grant.kerberos {
            let whom = kerberos.principal.as_deref().unwrap_or("who has the key or the ticket");
            grants.push(format!("{name} may log in by Kerberos as {whom}"));
        }
        grants.extend(grant.secrets.keys().map(|field| format!("{name} may know `{field}`")));
    }
    if grants.is_empty() {
        grants.push("none".into());
    }
    grants
}

/// A plan as `--json` and the API show it, with what is in the target where the job loads into it.
pub fn plan_json(job: &Job, plan: &RunPlan, there: &[ExistingFiles]) -> Value {
    let mut answer = json!({
        "job": job.name,
        "connector": { "name": plan.source.name(), "version": plan.source.version() },
        "target": job.target.url,
        "sink": plan.plugins.sink.as_ref().map(|sink| {
            json!({ "name": sink.name(), "version": sink.plugin.info.version() })
        }),
        "register": plan.plugins.registrar.as_ref().zip(job.register.as_ref()).map(|(catalog, to)| {
            let version = catalog.plugin.info.version();
            json!({ "name": catalog.name(), "version": version, "location": to.base })
        }),
        "consistency": plan.consistency.name(),
        "snapshot": match &plan.snapshot {
            SnapshotResult::Opened(snapshot) => json!({ "source": snapshot.label }),
            SnapshotResult::Unavailable(reason) => json!({ "unavailable": reason }),
        },
        "parallel": plan.parallel,
        "grants": grants(plan),
    });
    // `json!` copies the values that it is given: there may be thousands of relations.
    answer["relations"] = plan.relations.iter().map(relation_json).collect();
    for (index, there) in there.iter().enumerate() {
        answer["relations"][index]["load"] = json!(there);
    }
    if !job.parameters.is_empty() {
        answer["parameters"] = json!(job.parameters);
    }
    answer
}

fn relation_json(relation: &RelationPlan) -> Value {
    let column = |column: &ColumnPlan| {
        json!({
            "name": column.name,
            "source_type": column.source.source_type,
            "type": column.arrow,
            "parquet": column.parquet,
            "lossy": column.source.lossy,
        })
    };
    let scan = |scan: &ScanPlan| {
        let chunk = |chunk: &Chunk| json!({ "label": chunk.label, "rows": chunk.rows, "bytes": chunk.bytes });
        let mut told = json!({
            "input": relation.relation.inputs[scan.input].name,
            "strategy": scan.strategy,
            "projection": scan.projection,
            "filter": scan.filter,
            "limit": scan.limit,
        });
        told["chunks"] = scan.chunks.iter().map(chunk).collect();
        told
    };
    let check = |check: &Check| {
        json!({
            "name": check.name,
            "kind": check.rule.kind(),
            "severity": check.severity,
            "allow": check.allow.to_string(),
        })
    };
    let mut answer = json!({
        "name": relation.relation.name,
        "checks": relation.relation.checks.iter().map(check).collect::<Vec<_>>(),
        "rows": relation.rows,
        "bytes": relation.bytes,
        "chunkwise": relation.chunkwise,
        "drift": relation.alignment.iter().flat_map(|own| &own.changes).collect::<Vec<_>>(),
        "plan": nodes(relation),
    });
    answer["columns"] = relation.columns.iter().map(column).collect();
    let published = |[name, arrow, parquet]: [String; 3]| json!({ "name": name, "type": arrow, "parquet": parquet });
    answer["published"] = published_columns(relation).into_iter().map(published).collect();
    answer["scans"] = relation.scans.iter().map(scan).collect();
    let windows = relation.windows();
    if !windows.is_empty() {
        answer["incremental"] = windows.into_iter().map(window_json).collect();
    }
    answer
}

/// The nodes of its plan, one on each line. A node tells the size of each of its partitions, of which there may be many.
fn nodes(relation: &RelationPlan) -> String {
    let text = displayable(relation.physical.as_ref()).indent(false).to_string();
    let lines = text.lines().map(|line| match cut(line, PLAN_LINE_LIMIT_BYTES) {
        whole if whole.len() == line.len() => format!("{line}\n"),
        beginning => format!("{beginning} ...\n"),
    });
    lines.collect()
}

fn window_json(window: &Window) -> Value {
    json!({
        "relation": window.relation,
        "column": window.range.column,
        "from": window.range.from,
        "to": window.range.to,
        "watermark": window.before.as_ref().map(|before| &before.value),
        "predicate": window.condition,
        "warnings": window.warnings,
    })
}
