//! The manifest of a run, read from its target.

use std::path::Path;

use axum::extract::State;
use longshore_engine::destination;
use longshore_model::config::place::{Place, parse_place};
use longshore_model::config::target::To;
use longshore_model::config::{Arguments, Job, Policy};
use longshore_model::error::{Error, Result};
use longshore_model::layout::MANIFESTS as MANIFESTS_KEPT;
use longshore_run::ledger::{RunEntry, TriggerEntry};
use serde_json::Value;

use super::answer::{Answer, ApiError, Json};
use super::extract::Names;
use super::runs::unknown;
use super::state::SharedState;

/// Where the manifests of a target lie.
const MANIFESTS: &str = "/.longshore/runs/";

pub(super) async fn manifest(
    State(state): State<SharedState>,
    Names(run): Names<String>,
) -> Answer<Value> {
    let id = run.clone();
    let read = move |state: &super::state::ApiState| {
        let Some(record) = state.ledger.record(&id)? else { return Ok(None) };
        Ok(Some((record, state.ledger.entry(&id)?)))
    };
    let (record, entry) = state.read(read).await?.ok_or_else(unknown)?;
    let url = record.report.and_then(|report| report["manifest"].as_str().map(str::to_owned));
    let (Some(url), Some(entry)) = (url, entry) else {
        return Err(ApiError::not_found("the run has published nothing"));
    };
    let found = state.inspect(move |state| read_manifest(state, url, run, entry)).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("the target does not have it any more"))
}

async fn read_manifest(
    state: SharedState,
    url: String,
    run: String,
    entry: RunEntry,
) -> Result<Option<Value>> {
    let kept = state.settings().state.join(MANIFESTS_KEPT).join(format!("{run}.json"));
    if kept.is_file() {
        let bytes = std::fs::read(&kept).map_err(|error| Error::io(kept.display(), error))?;
        return parsed(&bytes, &url).map(Some);
    }
    let trigger = state.ledger.trigger(&run)?;
    let place = match place_of_job(&entry, trigger.as_ref()) {
        Some(place) => place,
        None => place_of(url.rsplit_once(MANIFESTS).map_or(url.as_str(), |(root, _)| root))?,
    };
    let target = destination::open(&place, state.settings().secrets.as_deref(), None).await?;
    let Some(bytes) = target.manifests().get(&run).await? else { return Ok(None) };
    parsed(&bytes, &url).map(Some)
}

fn parsed(bytes: &[u8], url: &str) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::data(format!("{url}: not a manifest: {error}")))
}

/// A folder of this machine is shown as a path.
fn place_of(root: &str) -> Result<Place> {
    if root.starts_with('/') { Ok(Place::Local(root.into())) } else { parse_place(root) }
}

/// The job says how its target is reached, if its file is still there.
fn place_of_job(entry: &RunEntry, trigger: Option<&TriggerEntry>) -> Option<Place> {
    let name = entry.file.file_name()?.to_string_lossy().into_owned();
    // It was dropped into the inbox, and lies in a folder of that now.
    let inbox = entry.file.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let folder = trigger.map_or(inbox, |trigger| &trigger.folder);
    let arguments = Arguments::of_run(&entry.parameters);
    let job = match Job::read_in(&entry.file, &name, folder, &arguments, &Policy::default()) {
        Ok(job) => job,
        Err(error) => {
            tracing::debug!("{}: {error}", entry.file.display());
            return None;
        }
    };
    match job.target.to {
        To::Folder(place, _) => Some(place),
        To::Sink(_) => None,
    }
}
