//! `longshore lineage JOB`: what a job reads and writes, and which columns come from which, without reading rows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use longshore_engine::incremental::LoadState;
use longshore_engine::lineage::Transformation;
use longshore_model::error::{Error, Result};
use longshore_run::inspection;
use longshore_run::lineage::{DatasetName, FieldOrigin, JobLineage, OutputDataset, job_event};

use super::params::ParamArgs;
use super::table::Table;
use super::{App, show};

pub(super) fn lineage(app: &App, path: &Path, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    // Which rows a window has does not change what they are made of.
    let loads = LoadState::default();
    let lineage = app.io.block_on(async {
        let plan = inspection::plan(&job, app.resolve(&job).await?, &app.settings, loads).await?;
        let lineage = JobLineage::new(&job, &plan).await;
        plan.source.release().await;
        Ok::<_, Error>(lineage)
    })?;
    let namespace = &app.settings.lineage.namespace;
    if app.json {
        show::json(&job_event(&job, namespace, &lineage))
    } else {
        show::answer(&as_text(&job.name, namespace, &lineage))
    }
    Ok(())
}

fn as_text(job: &str, namespace: &str, lineage: &JobLineage) -> String {
    let mut text = format!("job {job}, namespace {namespace}\n");
    for input in &lineage.inputs {
        let _ = writeln!(text, "reads  {}", shown(&input.dataset));
    }
    for output in &lineage.outputs {
        let _ = writeln!(text, "writes {}", shown(&output.dataset));
        if let Some(table) = &output.table {
            let _ = writeln!(text, "       which is the table {}", shown(table));
        }
    }
    for output in &lineage.outputs {
        let _ = write!(text, "\n{}:\n{}", output.relation, fields_text(output));
    }
    text
}

fn shown(dataset: &DatasetName) -> String {
    format!("{}  {}", dataset.namespace, dataset.name)
}

fn fields_text(output: &OutputDataset) -> String {
    let Some(origins) = &output.origins else {
        return "  its columns have too many origins to be told\n".to_owned();
    };
    let origins: BTreeMap<&str, &Vec<FieldOrigin>> =
        origins.iter().map(|(name, origins)| (name.as_str(), origins)).collect();
    let mut table = Table::new(&["COLUMN", "TYPE", "FROM"]);
    for field in &output.fields {
        let from = origins.get(field.name.as_str()).map(|origins| origins_text(origins));
        table.add([field.name.clone(), field.r#type.clone(), from.unwrap_or_default()]);
    }
    let mut text: String = table.to_text().lines().map(|line| format!("  {line}\n")).collect();
    if !output.row_origins.is_empty() {
        let _ = writeln!(text, "  which rows: {}", origins_text(&output.row_origins));
    }
    text
}

fn origins_text(origins: &[FieldOrigin]) -> String {
    let origin = |origin: &FieldOrigin| {
        let how: Vec<String> = origin.transformations.iter().map(how).collect();
        match how.join(", ").as_str() {
            "identity" => format!("{}.{}", origin.dataset.name, origin.field),
            how => format!("{}.{} ({how})", origin.dataset.name, origin.field),
        }
    };
    origins.iter().map(origin).collect::<Vec<_>>().join("; ")
}

fn how(transformation: &Transformation) -> String {
    let name = transformation.kind.name().to_lowercase().replace('_', " ");
    if transformation.is_masking { format!("{name}, masked") } else { name }
}
