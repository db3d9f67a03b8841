//! `longshore verify MANIFEST`: whether what was published is still what was written.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use longshore_engine::destination;
use longshore_engine::destination::{Folder, read_small};
use longshore_engine::plan::Planner;
use longshore_model::config::place::{Place, parse_place};
use longshore_model::config::store_url::StoreUrl;
use longshore_model::config::target::{To, parse_target};
use longshore_model::error::{Error, Result};
use longshore_model::format::{counted, grouped};
use longshore_run::verification::{self, Fault, FaultKind};
use longshore_run::{Manifest, RelationRecord};
use serde_json::json;

use super::params::ParamArgs;
use super::{App, CommandError, show};

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// A run's manifest: a file, or its URL in the target
    manifest: String,
    /// The job file, where the target needs what it says: an endpoint, keys
    #[arg(long, value_name = "JOB")]
    job: Option<PathBuf>,
    #[command(flatten)]
    params: ParamArgs,
    /// Also read the source again, and compare its rows with those that were published
    #[arg(long, requires = "job")]
    source: bool,
}

pub(super) fn verify(app: &App, args: &VerifyArgs) -> Result<(), CommandError> {
    app.io.block_on(async {
        let (manifest, target) = open(app, args).await?;
        let mut faults = verification::check_parts(&manifest, target.as_ref()).await?;
        if let Some(job) = args.job.as_deref().filter(|_| args.source && faults.is_empty()) {
            refuse_window(&manifest)?;
            let job = args.params.read_job(app, job)?;
            let planner = Planner::new(app.resolve(&job).await?, &app.settings);
            let expected = verification::expected(&manifest, &job);
            let plan = Planner { expected, ..planner }.plan(&job).await?;
            let compute = app.compute();
            faults = verification::compare(&manifest, target.as_ref(), &plan, compute).await?;
            plan.source.release().await;
        }
        answer(app, args, &manifest, faults)
    })
}

/// A window is a part of what the source has by now.
fn refuse_window(manifest: &Manifest) -> Result<()> {
    let is_window = |relation: &&RelationRecord| !relation.incremental.is_empty();
    match manifest.relations.iter().find(is_window) {
        None => Ok(()),
        Some(relation) => Err(Error::config(format!(
            "--source: the run loaded a window of `{}`, and not all of it",
            relation.name
        ))
        .with_hint("verify it without --source: its files are checked")),
    }
}

async fn open(app: &App, args: &VerifyArgs) -> Result<(Manifest, std::sync::Arc<dyn Folder>)> {
    let secrets = app.settings.secrets.as_deref();
    let from_job = args.job.as_deref();
    let from_job = from_job.map(|path| args.params.read_job(app, path)).transpose()?;
    // The job says how its target is reached; where the manifest lies is what is verified.
    let from_job = from_job.map(|job| match job.target.to {
        To::Folder(place, _) => Ok((job.target.url, place)),
        To::Sink(_) => Err(not_files(&job.target.url)),
    });
    let from_job = from_job.transpose()?;
    let (bytes, place) = match args.manifest.rsplit_once("/.longshore/runs/") {
        Some((root, file)) if root.contains("://") => {
            let place = match &from_job {
                Some((url, place)) if same_folder(url, root) => place.clone(),
                Some((url, _)) => return Err(elsewhere(root, url)),
                None => parse_place(root)?,
            };
            let target = destination::open(&place, secrets, None).await?;
            let bytes = read_small(target.read(&format!(".longshore/runs/{file}")).await).await?;
            (bytes, Some(place))
        }
        _ => {
            let path = Path::new(&args.manifest);
            let bytes = fs::read(path)
                .map_err(|error| Error::io(format!("manifest {}", path.display()), error))?;
            (bytes, beside(path))
        }
    };
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
        Error::config(format!("{}: not a manifest: {error}", args.manifest))
            .with_hint("name a file of the target's .longshore/runs")
    })?;
    if manifest.job.format == "sink" {
        return Err(not_files(&manifest.job.target));
    }
    let target = match (&manifest.job.file, place) {
        (Some(file), _) => {
            let place = match from_job {
                Some((url, place)) if same_folder(&url, &manifest.job.target) => place,
                Some((url, _)) => return Err(elsewhere(&manifest.job.target, &url)),
                None => parse_target(&manifest.job.target)?.0,
            };
            let manifests = Path::new(&args.manifest).parent().unwrap_or(Path::new("."));
            destination::open_file(&place, file, manifests, secrets, None).await?
        }
        (None, Some(place)) => destination::open(&place, secrets, None).await?,
        (None, None) => {
            destination::open(&parse_place(&manifest.job.target)?, secrets, None).await?
        }
    };
    Ok((manifest, target))
}

/// However much of them is encoded.
fn same_folder(a: &str, b: &str) -> bool {
    let shown = |url: &str| StoreUrl::parse(url, url).map(|url| url.as_hadoop());
    matches!((shown(a), shown(b)), (Ok(a), Ok(b)) if a == b)
}

fn elsewhere(manifest: &str, job: &str) -> Error {
    Error::config(format!("the manifest lies in {manifest}, and the job writes to {job}"))
        .with_hint("name the job that wrote it, or leave `--job` away")
}

/// What a sink took is not there to be read again.
fn not_files(target: &str) -> Error {
    Error::config(format!("{target}: rows went into a sink, and there are no files to verify"))
        .with_hint("count and compare them at the sink itself")
}

/// The target that a manifest lies in, if it lies in one.
fn beside(manifest: &Path) -> Option<Place> {
    let runs = manifest.parent()?;
    let root = runs.parent()?.parent()?;
    let inside = runs.ends_with(".longshore/runs");
    // An empty path is the folder that we are in.
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    inside.then(|| Place::Local(root.to_owned()))
}

fn answer(
    app: &App,
    args: &VerifyArgs,
    manifest: &Manifest,
    faults: Vec<Fault>,
) -> Result<(), CommandError> {
    let parts: usize = manifest.relations.iter().map(|relation| relation.parts.len()).sum();
    if app.json {
        show::json(&json!({
            "run": manifest.run,
            "intact": faults.is_empty(),
            "parts": parts,
            "rows": manifest.rows,
            "faults": faults.iter().map(|fault| json!({ "path": fault.path, "fault": fault.what }))
                .collect::<Vec<_>>(),
        }));
    }
    if faults.is_empty() {
        if !app.json {
            let source = if args.source { "; the source has the same rows" } else { "" };
            show::answer(&format!(
                "run {}: intact: {}, {} rows, every checksum as written{source}",
                manifest.run,
                counted(parts as u64, "part"),
                grouped(manifest.rows)
            ));
        }
        return Ok(());
    }
    for fault in &faults {
        show::warning(&format!("{}: {}", fault.path, fault.what));
    }
    let relations = faults.iter().filter(|fault| fault.kind == FaultKind::Relation).count();
    let error = match relations {
        0 => Error::data(format!(
            "run {}: {} of {} are not what was written",
            manifest.run,
            faults.len(),
            counted(parts as u64, "part")
        ))
        .with_hint("publish the relation again, or restore the parts from a copy"),
        _ => Error::data(format!(
            "run {}: its files are as written, and the source differs in {} of {}",
            manifest.run,
            relations,
            counted(manifest.relations.len() as u64, "relation")
        ))
        .with_hint("the source has changed since: run the job again"),
    };
    Err(CommandError { error, reported: true })
}
