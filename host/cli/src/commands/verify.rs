//! `longshore verify MANIFEST`: whether what was published is still what was written.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use longshore_engine::destination;
use longshore_engine::destination::{Folder, checksum, read_small};
use longshore_engine::plan::Planner;
use longshore_model::config::Job;
use longshore_model::config::place::{Place, parse_place};
use longshore_model::config::store_url::StoreUrl;
use longshore_model::config::target::{Mode, To};
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::format::{counted, grouped};
use longshore_run::{Fingerprint, Manifest, RelationRecord};
use serde_json::json;

use super::params::ParamArgs;
use super::{App, Failed, show};

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

/// What is not as it was written.
struct Fault {
    path: String,
    what: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Part,
    /// A relation, whose source says something else.
    Relation,
}

pub(super) fn verify(app: &App, args: &VerifyArgs) -> Result<(), Failed> {
    app.io.block_on(async {
        let (manifest, target) = open(app, args).await?;
        let mut faults = Vec::new();
        for relation in &manifest.relations {
            for part in &relation.parts {
                let path = format!("{}/{}", relation.published_as, part.file);
                if let Some(what) = fault(target.as_ref(), &path, part).await? {
                    faults.push(Fault { path: target.url(&path), what, kind: Kind::Part });
                }
            }
            if !faults.is_empty()
                && let Some(later) = superseded_by(target.as_ref(), &manifest, relation).await?
            {
                return Err(superseded(&manifest, relation, &later).into());
            }
        }
        if let Some(job) = args.job.as_deref().filter(|_| args.source && faults.is_empty()) {
            let job = args.params.read_job(app, job)?;
            faults = compare(app, &manifest, target.as_ref(), &job).await?;
        }
        answer(app, args, &manifest, faults)
    })
}

/// The later run that took a relation's place, if one did.
async fn superseded_by(
    target: &dyn Folder,
    manifest: &Manifest,
    relation: &RelationRecord,
) -> Result<Option<String>> {
    let mut latest: Option<Manifest> = None;
    for run in target.manifests().await? {
        let Some(text) = target.manifest(&run).await? else { continue };
        let Ok(other) = serde_json::from_slice::<Manifest>(&text) else { continue };
        let is_it = |record: &RelationRecord| record.published_as == relation.published_as;
        let replaces = other.job.mode != Some(Mode::Append) && other.relations.iter().any(is_it);
        let after = latest.as_ref().map_or(&manifest.finished, |latest| &latest.finished);
        if replaces && other.run != manifest.run && other.finished > *after {
            latest = Some(other);
        }
    }
    Ok(latest.map(|latest| latest.run))
}

fn superseded(manifest: &Manifest, relation: &RelationRecord, later: &str) -> Error {
    Error::data(format!(
        "run {}: `{}` was superseded by run {later}",
        manifest.run, relation.published_as
    ))
    .with_hint(format!("verify the manifest of run {later}"))
}

/// Reads the source as the job says, and compares it with what was published.
async fn compare(
    app: &App,
    manifest: &Manifest,
    target: &dyn Folder,
    job: &Job,
) -> Result<Vec<Fault>> {
    let plan = Planner::new(app.resolve(job).await?, &app.settings).plan(job).await?;
    let mut faults = Vec::new();
    for relation in &plan.relations {
        let name = &relation.relation.name;
        let Some(published) = manifest.relations.iter().find(|r| r.name == *name) else {
            let what = "is not in the manifest".into();
            faults.push(Fault { path: name.clone(), what, kind: Kind::Relation });
            continue;
        };
        let paths: Vec<String> = published
            .parts
            .iter()
            .map(|p| format!("{}/{}", published.published_as, p.file))
            .collect();
        // What computes does so on its own runtime.
        let reading = Fingerprint::of_plan(relation.physical.clone(), plan.parallel);
        let read = app.compute().spawn(reading).await;
        let source =
            read.map_err(|error| Error::internal(error.to_string()))?.context(name.clone())?;
        // What folders tell stands in no file: only their rows are counted.
        let files = if published.parts.iter().any(|part| part.file.contains('/')) {
            None
        } else {
            Fingerprint::of_files(target, &manifest.job.format, &paths).await?
        };
        let what = match files {
            _ if source.rows != published.rows => {
                format!("the source has {} rows, {} were published", source.rows, published.rows)
            }
            Some(files) if files != source => "the source has other values in as many rows".into(),
            _ => continue,
        };
        faults.push(Fault { path: name.clone(), what, kind: Kind::Relation });
    }
    plan.source.release().await;
    Ok(faults)
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
            let place = match from_job {
                Some((url, place)) if same_folder(&url, root) => place,
                Some((url, _)) => return Err(elsewhere(root, &url)),
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
    let place = match place {
        Some(place) => place,
        None => parse_place(&manifest.job.target)?,
    };
    let target = destination::open(&place, secrets, None).await?;
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

async fn fault(
    target: &dyn Folder,
    path: &str,
    part: &longshore_model::part::Part,
) -> Result<Option<String>> {
    let Some(written) = &part.checksum else {
        return Ok(Some("the manifest has no checksum of it".into()));
    };
    let hasher = written.hasher().context(target.url(path))?;
    match checksum(target.read(path).await, hasher).await {
        Ok((bytes, _)) if bytes != part.bytes => {
            Ok(Some(format!("{bytes} bytes, {} were written", part.bytes)))
        }
        Ok((_, found)) if found != *written => Ok(Some("its bytes are others".into())),
        Ok(_) => Ok(None),
        Err(error) if error.class() == Class::NotFound => Ok(Some("is gone".into())),
        Err(error) => Err(error),
    }
}

fn answer(
    app: &App,
    args: &VerifyArgs,
    manifest: &Manifest,
    faults: Vec<Fault>,
) -> Result<(), Failed> {
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
    let relations = faults.iter().filter(|fault| fault.kind == Kind::Relation).count();
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
    Err(Failed { error, reported: true })
}
