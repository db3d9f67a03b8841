//! `longshore plan JOB`: what a run would do, without reading rows.

use std::fmt::Write;
use std::path::Path;

use datafusion::physical_plan::displayable;
use longshore_engine::plan::{ColumnPlan, Planner, RelationPlan, RunPlan};
use longshore_engine::scan::ScanPlan;
use longshore_engine::write::parquet_type;
use longshore_model::config::Job;
use longshore_model::error::{Error, Result};
use longshore_model::format::{counted, grouped, human_bytes};
use longshore_sandbox::SnapshotResult;
use serde_json::{Value, json};

use super::params::ParamArgs;
use super::{App, show};

pub(super) fn plan(app: &App, path: &Path, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    let plan = app.io.block_on(async {
        let plan = Planner::new(app.resolve(&job).await?, &app.settings).plan(&job).await?;
        plan.source.release().await;
        Ok::<_, Error>(plan)
    })?;
    if app.json {
        show::json(&as_json(&job, &plan))
    } else {
        show::answer(&as_text(&job, &plan))
    }
    Ok(())
}

fn as_text(job: &Job, plan: &RunPlan) -> String {
    let mut text = String::new();
    let _ = write!(
        text,
        "job {}: {} {} -> {}",
        job.name,
        plan.source.name(),
        plan.source.version(),
        job.target.url
    );
    let _ = match &plan.plugins.sink {
        Some(sink) => writeln!(text, " ({} {})", sink.name(), sink.plugin.version),
        None => writeln!(text),
    };
    if !job.parameters.is_empty() {
        let _ = writeln!(text, "parameters: {}", job.parameters);
    }
    if let (Some(catalog), Some(register)) = (&plan.plugins.registrar, &job.register) {
        let (name, version, base) = (catalog.name(), &catalog.plugin.version, &register.base);
        let _ = writeln!(text, "register: as tables over {base}/.. ({name} {version})");
    }
    let _ = writeln!(text, "consistency: {}", plan.explained_consistency());
    let _ = writeln!(
        text,
        "parallel: {} at a time, of each relation {}",
        counted(plan.parallel as u64, "chunk"),
        plan.parallel_chunks
    );
    let _ = writeln!(text, "grants: {}", grants(plan).join("; "));
    for relation in &plan.relations {
        relation_text(&mut text, relation);
    }
    text
}

fn relation_text(text: &mut String, relation: &RelationPlan) {
    let _ = writeln!(
        text,
        "\n{}: about {} rows, {}",
        relation.relation.name,
        relation.rows.map_or("?".into(), grouped),
        relation.bytes.map_or("? bytes".into(), human_bytes)
    );
    for scan in &relation.scans {
        let of = match relation.relation.sql {
            None => String::new(),
            Some(_) => format!(" of {}", relation.relation.inputs[scan.input].name),
        };
        let _ = writeln!(text, "  chunks{of}: {}: {}", scan.chunks.len(), scan.strategy);
        for line in pushed(scan) {
            let _ = writeln!(text, "  pushed to the source: {line}");
        }
    }
    let unit = if relation.chunkwise {
        "each chunk"
    } else {
        "the whole relation: its SQL needs all rows"
    };
    let _ = writeln!(text, "  tried again alone: {unit}");
    let published = published(relation);
    let at_source: Vec<[String; 2]> =
        relation.columns.iter().map(|column| [column.name.clone(), column.arrow.clone()]).collect();
    let is_changed = at_source.len() != published.len()
        || at_source.iter().zip(&published).any(|(a, b)| (&a[0], &a[1]) != (&b[0], &b[1]));
    let _ =
        writeln!(text, "{}", if is_changed { "  columns at the source:" } else { "  columns:" });
    for column in &relation.columns {
        let ColumnPlan { name, arrow, parquet, source } = column;
        let _ = write!(text, "    {name}: {} -> {arrow} -> {parquet}", source.source_type);
        let _ = match &source.lossy {
            Some(lossy) => writeln!(text, "  WARNING: {lossy}"),
            None => writeln!(text),
        };
    }
    if is_changed {
        let _ = writeln!(text, "  columns published:");
        for [name, arrow, parquet] in &published {
            let _ = writeln!(text, "    {name}: {arrow} -> {parquet}");
        }
    }
    let _ = writeln!(text, "  plan:");
    for line in displayable(relation.physical.as_ref()).indent(false).to_string().lines() {
        let _ = writeln!(text, "    {line}");
    }
}

/// Name, type in Arrow and type in Parquet of each column that is published.
fn published(relation: &RelationPlan) -> Vec<[String; 3]> {
    let fields = relation.published.fields().iter();
    fields.map(|f| [f.name().clone(), f.data_type().to_string(), parquet_type(f)]).collect()
}

fn pushed(scan: &ScanPlan) -> Vec<String> {
    let projection =
        scan.projection.as_ref().map(|columns| format!("columns {}", columns.join(", ")));
    let filter = scan.filter.as_ref().map(|filter| format!("filter {filter}"));
    let limit = scan.limit.map(|limit| format!("limit {limit}"));
    [projection, filter, limit].into_iter().flatten().collect()
}

fn grants(plan: &RunPlan) -> Vec<String> {
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

fn as_json(job: &Job, plan: &RunPlan) -> Value {
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
        "relations": plan.relations.iter().map(relation_json).collect::<Vec<_>>(),
    });
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
        json!({
            "input": relation.relation.inputs[scan.input].name,
            "strategy": scan.strategy,
            "projection": scan.projection,
            "filter": scan.filter,
            "limit": scan.limit,
            "chunks": scan.chunks.iter().map(|chunk| json!({
                "label": chunk.label, "rows": chunk.rows, "bytes": chunk.bytes,
            })).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": relation.relation.name,
        "rows": relation.rows,
        "bytes": relation.bytes,
        "chunkwise": relation.chunkwise,
        "columns": relation.columns.iter().map(column).collect::<Vec<_>>(),
        "published": published(relation).iter().map(|[name, arrow, parquet]| {
            json!({ "name": name, "type": arrow, "parquet": parquet })
        }).collect::<Vec<_>>(),
        "scans": relation.scans.iter().map(scan).collect::<Vec<_>>(),
        "plan": displayable(relation.physical.as_ref()).indent(false).to_string(),
    })
}
