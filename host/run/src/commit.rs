//! The commit: makes every relation visible, and then writes the manifest; or makes nothing visible.
//!
//! The ledger holds what is published before anything is. From then on the commit is rolled forward, by
//! this process or by the next one. It is taken back only when the store refuses for good.

use longshore_engine::catalog::{Registrar, Table};
use longshore_engine::destination::{Publication, PublishResult, Target};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::{Part, RelationTarget};
use longshore_model::watermark::Advance;
use serde::{Deserialize, Serialize};

use super::manifest::{FORMAT, Manifest};
use super::panic::catch_panic;
use super::report::{RelationReport, RunReport, Status};
use crate::check_result::CheckReport;
use crate::incremental::WindowRecord;
use crate::ledger::{JobAdvances, Ledger};
use crate::retry::{Retry, Work};

/// Names of requests in the log.
const PUBLISHING: &str = "publishing";
pub(super) const RELEASING: &str = "removing the staging";
const REMOVING: &str = "removing what is replaced";
const REGISTERING: &str = "registering";

/// A commit, with all that another process needs to complete it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Commit {
    pub(super) manifest: Manifest,
    pub(super) relations: Vec<RelationCommit>,
    /// The rows in quarantine, where relations have any. Nobody else takes their names.
    #[serde(default)]
    pub(super) quarantine: Vec<RelationCommit>,
    /// The tables of a catalog that its folders become; none without a catalog.
    #[serde(default)]
    pub(super) tables: Vec<Table>,
    /// Whether some of them may be there already.
    #[serde(default)]
    pub(super) registering: bool,
    /// Whether some of the files that are replaced may be gone: then the commit is only rolled forward.
    #[serde(default)]
    pub(super) removing: bool,
    /// The watermarks that move when it is done.
    #[serde(default)]
    pub(super) advances: Vec<Advance>,
}

/// One relation of a commit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RelationCommit {
    /// Older versions called it `spot`.
    #[serde(alias = "spot")]
    target: RelationTarget,
    parts: Vec<Part>,
    /// The tokens by which the store publishes the parts. The manifest does not hold them.
    tokens: Vec<String>,
    /// The files that the parts take the place of.
    #[serde(default)]
    replaced: Vec<String>,
}

impl RelationCommit {
    /// Parts that become visible, and the files that they take the place of.
    pub(super) fn new(target: RelationTarget, parts: &[Part], replaced: &[String]) -> Self {
        let tokens = parts.iter().map(|part| part.token.clone()).collect();
        Self { target, parts: parts.to_vec(), tokens, replaced: replaced.to_vec() }
    }

    fn publication(&self) -> Publication {
        let parts = self.parts.iter().zip(&self.tokens);
        let parts = parts.map(|(part, token)| Part { token: token.clone(), ..part.clone() });
        let (target, replaced) = (self.target.clone(), self.replaced.clone());
        Publication { target, parts: parts.collect(), replaced }
    }
}

impl Commit {
    /// Records it, before what it says is done.
    fn record(&self, ledger: &Ledger) -> Result<()> {
        let moved = JobAdvances { job: &self.manifest.job.name, advances: &self.advances };
        ledger.record_commit(&self.manifest.run, self, moved)
    }

    fn publications(&self) -> Vec<Publication> {
        self.each().map(RelationCommit::publication).collect()
    }

    /// All that becomes visible: the relations, and then what is in quarantine.
    fn each(&self) -> impl DoubleEndedIterator<Item = &RelationCommit> {
        self.relations.iter().chain(&self.quarantine)
    }
}

/// The target in which a run becomes visible, and the catalog.
#[derive(Clone, Copy)]
pub(super) struct CommitTargets<'a> {
    pub(super) target: &'a dyn Target,
    pub(super) registrar: Option<&'a Registrar>,
}

/// Why a commit did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    /// Nothing is visible.
    #[error("{0}")]
    TakenBack(Error),
    /// Some of it may be visible: it must be rolled forward later.
    #[error("{0}")]
    Incomplete(Error),
}

impl CommitError {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::TakenBack(error) | Self::Incomplete(error) => error,
        }
    }
}

/// Publishes a run.
pub(super) async fn commit(
    ledger: &Ledger,
    targets: CommitTargets<'_>,
    retry: Retry,
    commit: Commit,
) -> Result<RunReport, CommitError> {
    commit.record(ledger).map_err(CommitError::TakenBack)?;
    publish_recorded(ledger, targets, retry, commit).await
}

/// Publishes a commit that is in the ledger.
async fn publish_recorded(
    ledger: &Ledger,
    targets: CommitTargets<'_>,
    retry: Retry,
    mut commit: Commit,
) -> Result<RunReport, CommitError> {
    let run = commit.manifest.run.clone();
    let target = targets.target;
    let published = catch_panic(publish(ledger, targets, retry, &mut commit)).await;
    let manifest = match published {
        Ok(manifest) => manifest,
        Err(error) if !commit.removing && take_back(targets, &commit).await => {
            return Err(CommitError::TakenBack(error));
        }
        Err(error) => return Err(CommitError::Incomplete(error)),
    };
    tracing::debug!(run, manifest, "all relations are published");
    release(target, retry, &commit).await;
    Ok(published_report(target, commit.manifest, manifest))
}

/// Removes the staging of a commit that is done. A leftover harms nobody.
async fn release(target: &dyn Target, retry: Retry, commit: &Commit) {
    let run = &commit.manifest.run;
    let reserved: Vec<RelationTarget> =
        commit.relations.iter().map(|relation| relation.target.clone()).collect();
    let released = retry.run(Work::Request, RELEASING, || target.release(run, &reserved)).await;
    if let Err(error) = released {
        tracing::warn!("{error}: its staging stays");
    }
}

async fn publish(
    ledger: &Ledger,
    targets: CommitTargets<'_>,
    retry: Retry,
    commit: &mut Commit,
) -> Result<String> {
    let (run, target) = (commit.manifest.run.clone(), targets.target);
    let names = loop {
        let publications = commit.publications();
        let taken =
            match retry.run(Work::Request, PUBLISHING, || target.publish(&publications)).await? {
                PublishResult::As(names) => break names,
                PublishResult::Taken(position) => position,
            };
        let refused = &publications[taken].target;
        let what = format!("{}: somebody else made it meanwhile", target.url(&refused.name));
        if taken >= commit.relations.len() {
            // Folders in quarantine have no other name.
            return Err(Error::config(what).with_hint("move it away, then run again"));
        }
        tracing::warn!("{what}");
        let reserve = || target.reserve(&run, &refused.relation, refused.mode);
        let other = retry.run(Work::Request, PUBLISHING, reserve).await?;
        commit.manifest.relations[taken].published_as = other.name.clone();
        if let Some(table) = commit.tables.get_mut(taken) {
            table.name = other.name.clone();
        }
        commit.relations[taken].target = other;
        commit.record(ledger)?;
    };
    for (relation, name) in commit.manifest.relations.iter_mut().zip(names) {
        relation.published_as = name;
    }
    remove_replaced(ledger, target, retry, commit).await?;
    if let Some(registrar) = targets.registrar {
        commit.registering = true;
        commit.record(ledger)?;
        let register = || registrar.register(&commit.tables);
        let names = retry.run(Work::Request, REGISTERING, register).await?;
        registrar.release().await;
        for (relation, name) in commit.manifest.relations.iter_mut().zip(names) {
            relation.registered_as = Some(name);
        }
    }
    let (manifest, manifests) = (serde_json::to_vec_pretty(&commit.manifest)?, target.manifests());
    retry.run(Work::Request, PUBLISHING, || manifests.put(&run, &manifest)).await
}

/// Removes the files that the parts take the place of, once all parts of all relations are visible: whoever lists
/// a folder never misses a row.
async fn remove_replaced(
    ledger: &Ledger,
    target: &dyn Target,
    retry: Retry,
    commit: &mut Commit,
) -> Result<()> {
    if commit.relations.iter().all(|relation| relation.replaced.is_empty()) {
        return Ok(());
    }
    commit.removing = true;
    commit.record(ledger)?;
    for relation in commit.publications() {
        let remove = || target.remove_replaced(&relation);
        retry.run(Work::Request, REMOVING, remove).await?;
    }
    Ok(())
}

/// Makes everything of a failed commit invisible; gives whether that is done.
async fn take_back(
    CommitTargets { target, registrar }: CommitTargets<'_>,
    commit: &Commit,
) -> bool {
    let mut all = true;
    for relation in commit.each().rev() {
        if let Err(error) = target.retract(&relation.publication()).await {
            tracing::error!("taking back {}: {error}", target.url(&relation.target.name));
            all = false;
        }
    }
    if let Some(registrar) = registrar.filter(|_| commit.registering)
        && let Err(error) = registrar.unregister(&commit.tables).await
    {
        tracing::error!("taking back tables: {error}");
        all = false;
    }
    all
}

/// Completes a commit that was interrupted.
pub(super) async fn roll_forward(
    ledger: &Ledger,
    targets: CommitTargets<'_>,
    retry: Retry,
    run: &str,
) -> Result<RunReport, CommitError> {
    let recorded: Option<Commit> = ledger.commit(run).map_err(CommitError::Incomplete)?;
    let Some(mut recorded) = recorded else {
        let missing = format!("run {run}: the ledger has no commit to go on with");
        return Err(CommitError::TakenBack(Error::new(Class::Stale, missing)));
    };
    // The manifest is written last. Once it is there, the staging may be gone, and nothing is left to publish.
    if let Some(manifest) = written_manifest(targets.target, retry, run).await? {
        release(targets.target, retry, &recorded).await;
        let at = targets.target.manifests().url(run);
        return Ok(published_report(targets.target, manifest, at));
    }
    // An older version may have recorded it; this one writes it.
    recorded.manifest.format = FORMAT;
    recorded.record(ledger).map_err(CommitError::Incomplete)?;
    publish_recorded(ledger, targets, retry, recorded).await
}

/// The manifest of a run, if it has been written. One that this version cannot read is written again.
async fn written_manifest(
    target: &dyn Target,
    retry: Retry,
    run: &str,
) -> Result<Option<Manifest>, CommitError> {
    let manifests = target.manifests();
    let found = retry.run(Work::Request, PUBLISHING, || manifests.get(run)).await;
    let bytes = found.map_err(CommitError::Incomplete)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The report of a run that is published.
pub(super) fn published_report(target: &dyn Target, manifest: Manifest, at: String) -> RunReport {
    let loads = manifest.relations.iter().flat_map(|relation| &relation.incremental);
    let advances = loads.filter_map(WindowRecord::advance).collect();
    let relations: Vec<RelationReport> = manifest
        .relations
        .iter()
        .map(|relation| RelationReport {
            relation: relation.name.clone(),
            published_as: relation.published_as.clone(),
            folder: target.url(&relation.published_as),
            registered_as: relation.registered_as.clone(),
            rows: relation.rows,
            bytes: relation.bytes,
            load: relation.load.clone(),
            parts: relation.parts.len(),
            chunks: relation.chunks,
            retries: relation.retries,
            incremental: relation.incremental.iter().map(WindowRecord::range_only).collect(),
            drift: relation.drift.clone(),
            left_out: relation.left_out.clone(),
        })
        .collect();
    let results = manifest.relations.iter().map(|relation| (&relation.name, &relation.checks));
    let checks = results
        .flat_map(|(name, results)| results.iter().map(|result| CheckReport::new(name, result)))
        .collect();
    RunReport {
        run: manifest.run,
        trigger: manifest.trigger,
        job: manifest.job.name,
        parameters: manifest.job.parameters,
        status: Status::Succeeded,
        started: manifest.started,
        seconds: manifest.seconds,
        rows: manifest.rows,
        bytes: manifest.bytes,
        consistency: Some(manifest.consistency),
        relations,
        checks,
        interruptions: manifest.interruptions,
        manifest: Some(at),
        advances,
        tapes: Vec::new(),
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_an_older_version_is_completed() {
        let recorded = r#"{
            "spot": {"run": "r1", "relation": "orders", "name": "orders_v2", "mode": "version"},
            "parts": [{"chunk": 0, "file": "part-0", "rows": 1, "bytes": 2, "sha256": "ab"}],
            "tokens": ["t"]
        }"#;
        let commit: RelationCommit = serde_json::from_str(recorded).unwrap();
        let Publication { target, parts, replaced } = commit.publication();
        assert!(replaced.is_empty());
        assert_eq!((target.name.as_str(), parts[0].token.as_str()), ("orders_v2", "t"));
        assert_eq!(parts[0].checksum, Some("sha256:ab".to_owned().into()));
    }
}
