//! The commit: every relation becomes visible, and then the manifest; or nothing does.
//!
//! What is published is in the ledger before it begins. From then on it is rolled forward, by this
//! process or by the next one; only when the store refuses for good is it all taken back.

use longshore_engine::catalog::{Registrar, Table};
use longshore_engine::destination::{Publication, Published, Target};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::{Part, Spot};
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::report::{RelationReport, RunReport, Status};
use crate::ledger::Ledger;
use crate::retry::{Retry, Work};

/// What is being done, for the log.
const PUBLISHING: &str = "publishing";
const REGISTERING: &str = "registering";

/// What a commit does: enough to do it in another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Commit {
    pub(super) manifest: Manifest,
    pub(super) relations: Vec<RelationCommit>,
    /// The tables that its folders become, in a catalog; none without one.
    #[serde(default)]
    pub(super) tables: Vec<Table>,
    /// Whether somebody began to make them.
    #[serde(default)]
    pub(super) registering: bool,
}

/// One relation of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RelationCommit {
    spot: Spot,
    parts: Vec<Part>,
    /// What the store needs to publish each part, which a part's own record does not keep.
    tokens: Vec<String>,
}

impl RelationCommit {
    pub(super) fn new(spot: Spot, parts: &[Part]) -> Self {
        let tokens = parts.iter().map(|part| part.token.clone()).collect();
        Self { spot, parts: parts.to_vec(), tokens }
    }

    fn publication(&self) -> Publication {
        let parts = self.parts.iter().zip(&self.tokens);
        let parts = parts.map(|(part, token)| Part { token: token.clone(), ..part.clone() });
        Publication { spot: self.spot.clone(), parts: parts.collect() }
    }
}

impl Commit {
    fn publications(&self) -> Vec<Publication> {
        self.relations.iter().map(RelationCommit::publication).collect()
    }
}

/// Where a run becomes visible.
#[derive(Clone, Copy)]
pub(super) struct CommitTargets<'a> {
    pub(super) target: &'a dyn Target,
    pub(super) registrar: Option<&'a Registrar>,
}

/// Why a commit did not succeed.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// Nothing is visible.
    TakenBack(Error),
    /// Some of it may be visible: it must be rolled forward later.
    HalfWay(Error),
}

impl From<Error> for Uncommitted {
    fn from(error: Error) -> Self {
        Self::TakenBack(error)
    }
}

/// Publishes a run, from the beginning or from where it was interrupted.
pub(super) async fn commit(
    ledger: &Ledger,
    places: CommitTargets<'_>,
    retry: Retry,
    mut commit: Commit,
) -> Result<RunReport, Uncommitted> {
    let run = commit.manifest.run.clone();
    let target = places.target;
    ledger.record_commit(&run, &commit)?;
    let published = publish(ledger, places, retry, &mut commit).await;
    let manifest = match published {
        Ok(manifest) => manifest,
        Err(error) if take_back(places, &commit).await => return Err(error.into()),
        Err(error) => return Err(Uncommitted::HalfWay(error)),
    };
    tracing::debug!(run, manifest, "all relations are published");
    let spots: Vec<Spot> = commit.relations.iter().map(|relation| relation.spot.clone()).collect();
    // What is published is published: a leftover is only a leftover.
    if let Err(error) = target.release(&run, &spots).await {
        tracing::warn!("{error}: its staging stays");
    }
    Ok(published_report(target, commit.manifest, manifest))
}

async fn publish(
    ledger: &Ledger,
    places: CommitTargets<'_>,
    retry: Retry,
    commit: &mut Commit,
) -> Result<String> {
    let (run, target) = (commit.manifest.run.clone(), places.target);
    let names = loop {
        let publications = commit.publications();
        let taken =
            match retry.run(Work::Request, PUBLISHING, || target.publish(&publications)).await? {
                Published::As(names) => break names,
                Published::Taken(position) => position,
            };
        let spot = &publications[taken].spot;
        tracing::warn!("{}: somebody else made it meanwhile", target.url(&spot.name));
        let reserve = || target.reserve(&run, &spot.relation, spot.mode);
        let other = retry.run(Work::Request, PUBLISHING, reserve).await?;
        commit.manifest.relations[taken].published_as = other.name.clone();
        if let Some(table) = commit.tables.get_mut(taken) {
            table.name = other.name.clone();
        }
        commit.relations[taken].spot = other;
        ledger.record_commit(&run, &commit)?;
    };
    for (relation, name) in commit.manifest.relations.iter_mut().zip(names) {
        relation.published_as = name;
    }
    if let Some(registrar) = places.registrar {
        commit.registering = true;
        ledger.record_commit(&run, &commit)?;
        let register = || registrar.register(&commit.tables);
        let names = retry.run(Work::Request, REGISTERING, register).await?;
        registrar.release().await;
        for (relation, name) in commit.manifest.relations.iter_mut().zip(names) {
            relation.registered_as = Some(name);
        }
    }
    let manifest = serde_json::to_vec_pretty(&commit.manifest)?;
    retry.run(Work::Request, PUBLISHING, || target.put_manifest(&run, &manifest)).await
}

/// Nothing of a failed commit may stay visible; whether nothing does.
async fn take_back(
    CommitTargets { target, registrar }: CommitTargets<'_>,
    commit: &Commit,
) -> bool {
    let mut all = true;
    for relation in commit.relations.iter().rev() {
        if let Err(error) = target.retract(&relation.publication()).await {
            tracing::error!("taking back {}: {error}", target.url(&relation.spot.name));
            all = false;
        }
    }
    if let Some(registrar) = registrar.filter(|_| commit.registering)
        && let Err(error) = registrar.withdraw(&commit.tables).await
    {
        tracing::error!("taking back tables: {error}");
        all = false;
    }
    all
}

/// Goes on with a commit that was interrupted.
pub(super) async fn roll_forward(
    ledger: &Ledger,
    places: CommitTargets<'_>,
    retry: Retry,
    run: &str,
) -> Result<RunReport, Uncommitted> {
    let recorded: Option<Commit> = ledger.commit(run)?;
    let recorded = recorded.ok_or_else(|| {
        Error::new(Class::Stale, format!("run {run}: the ledger has no commit to go on with"))
    })?;
    commit(ledger, places, retry, recorded).await
}

/// The report of a run that is published.
pub(super) fn published_report(target: &dyn Target, manifest: Manifest, at: String) -> RunReport {
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
            parts: relation.parts.len(),
            chunks: relation.chunks,
            retries: relation.retries,
        })
        .collect();
    RunReport {
        run: manifest.run,
        job: manifest.job.name,
        status: Status::Succeeded,
        started: manifest.started,
        seconds: manifest.seconds,
        rows: manifest.rows,
        bytes: manifest.bytes,
        consistency: Some(manifest.consistency),
        relations,
        interruptions: manifest.interruptions,
        manifest: Some(at),
        tapes: Vec::new(),
        error: None,
    }
}
