//! `longshore plan JOB`: what a run would do, without reading rows.

use std::fmt::Write;
use std::path::Path;

use datafusion::physical_plan::displayable;
use longshore_engine::plan::{ColumnPlan, RelationPlan, RunPlan};
use longshore_engine::scan::ScanPlan;
use longshore_model::config::Job;
use longshore_model::error::Result;
use longshore_model::format::{counted, grouped, human_bytes};
use longshore_model::watermark::Window;
use longshore_run::inspection::{ExistingFiles, grants, plan_json, published_columns};

use super::params::ParamArgs;
use super::{App, show};

pub(super) fn plan(app: &App, path: &Path, params: &ParamArgs) -> Result<()> {
    show_plan(app, &params.read_job(app, path)?)
}

pub(super) fn show_plan(app: &App, job: &Job) -> Result<()> {
    let (plan, there) = app.io.block_on(app.host.plan(job))?;
    if app.json {
        show::json(&plan_json(job, &plan, &there))
    } else {
        show::answer(&as_text(job, &plan, &there))
    }
    Ok(())
}

fn as_text(job: &Job, plan: &RunPlan, there: &[ExistingFiles]) -> String {
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
    for (index, relation) in plan.relations.iter().enumerate() {
        relation_text(&mut text, relation, there.get(index));
    }
    text
}

fn relation_text(text: &mut String, relation: &RelationPlan, there: Option<&ExistingFiles>) {
    let _ = writeln!(
        text,
        "\n{}: about {} rows, {}",
        relation.relation.name,
        relation.rows.map_or("?".into(), grouped),
        relation.bytes.map_or("? bytes".into(), human_bytes)
    );
    for window in relation.windows() {
        window_text(text, window);
    }
    if let Some(there) = there {
        let _ = writeln!(text, "  {}", there.to_text());
    }
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
    let published = published_columns(relation);
    let at_source: Vec<[String; 2]> =
        relation.columns.iter().map(|column| [column.name.clone(), column.arrow.clone()]).collect();
    let is_changed = at_source.len() != published.len()
        || at_source.iter().zip(&published).any(|(a, b)| (&a[0], &a[1]) != (&b[0], &b[1]));
    let _ =
        writeln!(text, "{}", if is_changed { "  columns at the source:" } else { "  columns:" });
    for column in &relation.columns {
        let ColumnPlan { name, arrow, parquet, source, .. } = column;
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
    for check in &relation.relation.checks {
        let _ = writeln!(text, "  check: {check}");
    }
    for change in relation.alignment.iter().flat_map(|aligned| &aligned.changes) {
        let _ = writeln!(text, "  schema change: {change}");
    }
    let _ = writeln!(text, "  plan:");
    for line in displayable(relation.physical.as_ref()).indent(false).to_string().lines() {
        let _ = writeln!(text, "    {line}");
    }
}

fn window_text(text: &mut String, window: &Window) {
    let watermark = match &window.before {
        None => "none: the first load".to_owned(),
        Some(before) => before.value.clone().unwrap_or_else(|| "none yet".into()),
    };
    let _ = writeln!(text, "  watermark of {}: {watermark}", window.relation);
    let _ = writeln!(text, "  window: {}", window.range);
    if let Some(condition) = &window.condition {
        let _ = writeln!(text, "  predicate: {condition}");
    }
    for warning in &window.warnings {
        let _ = writeln!(text, "  WARNING: {warning}");
    }
}

fn pushed(scan: &ScanPlan) -> Vec<String> {
    let projection =
        scan.projection.as_ref().map(|columns| format!("columns {}", columns.join(", ")));
    let filter = scan.filter.as_ref().map(|filter| format!("filter {filter}"));
    let limit = scan.limit.map(|limit| format!("limit {limit}"));
    [projection, filter, limit].into_iter().flatten().collect()
}
