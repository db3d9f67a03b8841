//! The watermarks that a run begins with: the ledger has them, and a lost ledger's are in the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use longshore_engine::destination::Target;
use longshore_engine::incremental::LoadState;
use longshore_model::config::Job;
use longshore_model::error::{Error, Result};
use longshore_model::watermark::Watermark;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::manifest::Manifest;
use crate::runner::ActiveRun;

/// The newest manifests that are searched for watermarks.
const MANIFESTS_LIMIT: usize = 1_000;

/// How often a run looks whether another one has published.
const CLAIM_LOOK_MILLIS: u64 = 100;

/// Manifests that are read at the same time.
const READS_AT_ONCE: usize = 16;

/// A watermark in a manifest.
struct FoundWatermark {
    run: String,
    finished: String,
    watermark: Watermark,
}

/// The watermarks of a job that the ledger knows, for a look at its plan.
pub fn known_load_state(ledger: &Ledger, job: &Job) -> Result<LoadState> {
    let entries = ledger.watermarks(Some(&job.name))?;
    let watermarks =
        entries.into_iter().filter_map(|entry| Some((entry.relation, entry.watermark?)));
    Ok(LoadState { watermarks: watermarks.collect(), backfill: None })
}

impl ActiveRun<'_> {
    /// The watermarks that the run begins with, and the window that it loads once more, if it does.
    pub(crate) async fn load_state(&self) -> Result<LoadState> {
        let inputs = self.job.relations.iter().flat_map(|relation| &relation.inputs);
        let names: BTreeSet<&str> = inputs
            .filter(|input| input.incremental.is_some())
            .map(|input| input.name.as_str())
            .collect();
        let backfill = self.ledger().backfill(self.id)?;
        if names.is_empty() {
            return match backfill {
                None => Ok(LoadState::default()),
                Some(_) => {
                    Err(Error::config("`--from` and `--to`: no relation of the job is incremental")
                        .with_hint("remove them, or give a relation `incremental: { column: .. }`"))
                }
            };
        }
        if backfill.is_none() {
            self.wait_for_claimant().await?;
            self.recover_watermarks(&names).await?;
        }
        Ok(LoadState { backfill, ..known_load_state(self.ledger(), self.job)? })
    }

    /// Waits for a run of the same job that is about to move a watermark.
    async fn wait_for_claimant(&self) -> Result<()> {
        loop {
            let claimant = self.ledger().watermark_claimant(&self.job.name)?;
            let Some(other) = claimant.filter(|other| other != self.id) else { return Ok(()) };
            if !self.ledger().is_locked(&other)? {
                return Err(Error::config(format!(
                    "run {other} of this job was interrupted while it published: what it loaded is not known"
                ))
                .with_hint(format!("complete it with `longshore runs retry {other}`")));
            }
            sleep(Duration::from_millis(CLAIM_LOOK_MILLIS)).await;
        }
    }

    /// Finds watermarks in the target's manifests that the ledger knows nothing of.
    async fn recover_watermarks(&self, names: &BTreeSet<&str>) -> Result<()> {
        let job = &self.job.name;
        let known = self.ledger().watermarks(Some(job))?;
        let is_known = |name: &str| known.iter().any(|entry| entry.relation == name);
        let unknown: BTreeSet<&str> =
            names.iter().copied().filter(|name| !is_known(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        for (name, FoundWatermark { run, watermark, .. }) in
            find_watermarks(self.target(), job, unknown).await?
        {
            let value = watermark.value.as_deref().unwrap_or("none");
            let text =
                format!("{name}: the watermark {value} was taken from the manifest of run {run}");
            tracing::info!("run {}: {text}", self.id);
            self.ledger().event(self.id, &text)?;
            self.ledger().remember_watermark(job, &name, &watermark, &run)?;
        }
        Ok(())
    }
}

/// The newest watermarks of a job in a target's manifests.
async fn find_watermarks(
    target: &dyn Target,
    job: &str,
    names: BTreeSet<&str>,
) -> Result<BTreeMap<String, FoundWatermark>> {
    let manifests = target.manifests();
    let mut runs = manifests.runs().await?;
    runs.sort();
    let newest = runs.iter().rev().take(MANIFESTS_LIMIT);
    let reads: Vec<_> = newest.map(|run| manifests.get(run)).collect();
    let mut texts = stream::iter(reads).buffered(READS_AT_ONCE);
    let mut found: BTreeMap<String, FoundWatermark> = BTreeMap::new();
    while let Some(text) = texts.try_next().await? {
        // Another version may have written it in another way.
        let manifest = text.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
        let Some(manifest) = manifest.filter(|manifest| manifest.job.name == job) else { continue };
        let Manifest { run, finished, relations, .. } = manifest;
        for load in relations.into_iter().flat_map(|relation| relation.incremental) {
            let Some(watermark) = load.watermark else { continue };
            // A run that began before another one may have ended after it.
            let is_newest = found.get(&load.relation).is_none_or(|other| other.finished < finished);
            if is_newest && names.contains(load.relation.as_str()) {
                let (run, finished) = (run.clone(), finished.clone());
                found.insert(load.relation, FoundWatermark { run, finished, watermark });
            }
        }
    }
    Ok(found)
}
