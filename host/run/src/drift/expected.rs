//! The columns that a target is known to hold: those that the last run published, by its manifest. Files that
//! somebody else wrote are not looked at.

use futures::future::try_join_all;
use longshore_engine::destination::Target;
use longshore_engine::drift::{ColumnRecord, Expectation, Rule};
use longshore_model::config::drift::{OnAdded, OnNarrowed, OnRemoved};
use longshore_model::config::job::JobRelation;
use longshore_model::config::target::{Format, Mode, To};
use longshore_model::config::{DriftPolicy, Job};
use longshore_model::error::Result;

use crate::ledger::AcceptedSchema;
use crate::manifest::{Manifest, RelationRecord};

/// The newest manifests that are searched where the run depends on what is there.
const MANIFESTS_LIMIT: usize = 1_000;

/// The limit where differences are only reported.
const REPORTED_MANIFESTS_LIMIT: usize = 50;

/// So many more manifests are looked at when one is found: they are in the order in which their runs began, and
/// a run that began before can have published after it.
const OVERLAPPING_RUNS: usize = 8;

/// How many manifests are asked for at the same time.
const READ_AT_ONCE: usize = 8;

/// The columns that the target expects of a relation.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedColumns {
    /// The name in the target of the version that is there.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) expectation: Expectation,
}

impl ExpectedColumns {
    /// What is expected of each relation of a job; of one that nobody has published yet, nothing.
    pub(crate) async fn of_job(
        job: &Job,
        target: &dyn Target,
        accepted: &[AcceptedSchema],
    ) -> Result<Vec<Option<Self>>> {
        let relations = &job.relations;
        let wanted: Vec<WantedPublication<'_>> =
            relations.iter().map(|own| WantedPublication::new(job, own)).collect();
        let is_reported = wanted.iter().all(|wanted| wanted.rule == Rule::Report);
        let limit = if is_reported { REPORTED_MANIFESTS_LIMIT } else { MANIFESTS_LIMIT };
        let published = match newest(job, target, &wanted, limit).await {
            Err(error) if is_reported => {
                tracing::warn!("{error}: whether columns have changed is not known");
                return Ok(vec![None; wanted.len()]);
            }
            published => published?,
        };
        let expected = wanted.iter().zip(published).map(|(wanted, record)| {
            let record = record?;
            let accepted = accepted.iter().find(|own| own.relation == wanted.relation.name);
            Some(Self {
                name: record.published_as,
                expectation: Expectation {
                    columns: record.schema,
                    rule: wanted.rule,
                    accepted: accepted.map(|own| own.digest.clone()),
                    is_beside: job.target.mode.adds_beside(),
                    is_by_place: matches!(job.target.to, To::Folder(_, Format::Csv(..))),
                },
            })
        });
        Ok(expected.collect())
    }
}

/// A relation whose last publication is looked for.
struct WantedPublication<'a> {
    relation: &'a JobRelation,
    rule: Rule,
    /// Whether the job's own last version counts, under whatever name it was published.
    is_versioned: bool,
}

impl<'a> WantedPublication<'a> {
    fn new(job: &Job, relation: &'a JobRelation) -> Self {
        let mode = job.target.mode;
        let is_folder = matches!(job.target.to, To::Folder(..)) && job.register.is_none();
        let rule = match relation.drift {
            Some(policy) => Rule::Policy(policy),
            // A database and a catalog know their tables' columns themselves.
            None if mode.adds_beside() && is_folder => Rule::Refuse,
            None => Rule::Report,
        };
        let makes_versions =
            relation.drift.is_some_and(|policy| policy.on_narrowed == OnNarrowed::Version);
        Self { relation, rule, is_versioned: makes_versions || mode == Mode::Version }
    }
}

/// The newest publications of a relation, as far as manifests were looked at.
#[derive(Default)]
struct Newest {
    /// That of the job's own relation, under whatever name.
    own: Option<Publication>,
    /// That under the relation's name, by whichever job.
    by_name: Option<Publication>,
    /// How many manifests were looked at since there was one.
    looked: usize,
}

/// A relation as a run published it.
struct Publication {
    /// When, in RFC 3339.
    finished: String,
    record: RelationRecord,
}

impl Newest {
    fn take(&mut self, job: &Job, wanted: &WantedPublication<'_>, manifest: &Manifest) {
        let name = &wanted.relation.name;
        self.looked += usize::from(self.is_found(wanted));
        let publication = |is: &dyn Fn(&RelationRecord) -> bool| {
            let record = manifest.relations.iter().find(|record| is(record))?.clone();
            Some(Publication { finished: manifest.finished.clone(), record })
        };
        if manifest.job.name == job.name {
            later(&mut self.own, publication(&|record| record.name == *name));
        }
        later(&mut self.by_name, publication(&|record| record.published_as == *name));
    }

    fn is_found(&self, wanted: &WantedPublication<'_>) -> bool {
        if wanted.is_versioned { self.own.is_some() } else { self.by_name.is_some() }
    }

    fn of(self, wanted: &WantedPublication<'_>) -> Option<RelationRecord> {
        let own = self.own.filter(|_| wanted.is_versioned);
        own.or(self.by_name).map(|publication| publication.record)
    }
}

/// Keeps the later one of two.
fn later(kept: &mut Option<Publication>, other: Option<Publication>) {
    let Some(other) = other else { return };
    if kept.as_ref().is_none_or(|kept| kept.finished < other.finished) {
        *kept = Some(other);
    }
}

/// The newest publication of each relation.
async fn newest(
    job: &Job,
    target: &dyn Target,
    wanted: &[WantedPublication<'_>],
    limit: usize,
) -> Result<Vec<Option<RelationRecord>>> {
    let mut found: Vec<Newest> = wanted.iter().map(|_| Newest::default()).collect();
    // Nothing may be there, or it is replaced as a whole: no table has to fit another one.
    if job.target.mode == Mode::Error || job.target.file.is_some() {
        return Ok(vec![None; wanted.len()]);
    }
    let manifests = target.manifests();
    let mut runs = manifests.runs().await?;
    runs.sort();
    runs.reverse();
    runs.truncate(limit);
    for some in runs.chunks(READ_AT_ONCE) {
        if found.iter().all(|found| found.looked >= OVERLAPPING_RUNS) {
            break;
        }
        let texts: Vec<_> = some.iter().map(|run| manifests.get(run)).collect();
        for text in try_join_all(texts).await?.into_iter().flatten() {
            // Another version may have written it in another way.
            let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { continue };
            // The manifests of all sinks are in one folder.
            if matches!(job.target.to, To::Sink(_)) && manifest.job.target != job.target.url {
                continue;
            }
            for (found, wanted) in found.iter_mut().zip(wanted) {
                found.take(job, wanted, &manifest);
            }
        }
    }
    Ok(found.into_iter().zip(wanted).map(|(found, wanted)| found.of(wanted)).collect())
}

/// The columns of a manifest's relation, as they are expected of the same rows once more.
pub(crate) fn as_published(columns: Vec<ColumnRecord>) -> Expectation {
    let policy = DriftPolicy {
        on_added: OnAdded::Ignore,
        on_removed: OnRemoved::Keep,
        ..DriftPolicy::default()
    };
    Expectation {
        columns,
        rule: Rule::Policy(policy),
        accepted: None,
        is_beside: true,
        is_by_place: false,
    }
}
