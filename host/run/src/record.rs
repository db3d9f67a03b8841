//! A plan as the ledger keeps it, and back.

use longshore_engine::plan::{Given, RunPlan};
use longshore_engine::scan::{Chunk, Scanned};
use longshore_model::config::Job;
use longshore_model::error::{Error, Result};
use longshore_model::part::Spot;
use longshore_model::relation::{Consistency, Relation};
use longshore_sandbox::{Hold, Scan, Snapshot};
use serde::{Deserialize, Serialize};

use crate::ledger::{ChunkRecord, PlanRecord, RelationRecord, ScanRecord};

/// What a source holds, and who keeps it held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HoldRecord {
    /// An instant; it ends with the process that planned, unless a holder keeps it.
    Held { token: String, label: String, holder: bool },
    /// Nothing, and why: chunks can be read again at any time.
    Unavailable(String),
}

impl HoldRecord {
    pub(super) fn new(hold: &Hold, holder: bool) -> Self {
        match hold {
            Hold::Held(Snapshot { token, label }) => {
                Self::Held { token: token.clone(), label: label.clone(), holder }
            }
            Hold::Unavailable(reason) => Self::Unavailable(reason.clone()),
        }
    }

    fn hold(&self) -> Hold {
        match self {
            Self::Held { token, label, .. } => {
                Hold::Held(Snapshot { token: token.clone(), label: label.clone() })
            }
            Self::Unavailable(reason) => Hold::Unavailable(reason.clone()),
        }
    }
}

/// A plan is only good for the program and the plugins that made it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BuiltBy {
    /// The program's version.
    longshore: String,
    /// The digests of the plugins: see [`RunPlan::digests`].
    pub(super) plugins: Vec<String>,
}

impl BuiltBy {
    pub(super) fn of(plan: &RunPlan) -> Self {
        let plugins = plan.digests().into_iter().map(str::to_owned).collect();
        Self { longshore: env!("CARGO_PKG_VERSION").to_owned(), plugins }
    }

    /// What a plan in the ledger says; nobody's if another version wrote it in another way.
    pub(super) fn read(record: &PlanRecord) -> Self {
        serde_json::from_str(&record.built_by).unwrap_or_default()
    }
}

pub(super) fn to_record(plan: &RunPlan, spots: &[Spot], holder: bool) -> Result<PlanRecord> {
    let relation = |(plan, spot): (&longshore_engine::plan::RelationPlan, &Spot)| RelationRecord {
        spot: spot.clone(),
        scans: plan.scans.iter().map(scan_record).collect(),
    };
    Ok(PlanRecord {
        built_by: serde_json::to_string(&BuiltBy::of(plan))?,
        hold: serde_json::to_string(&HoldRecord::new(&plan.hold, holder))?,
        consistency: plan.consistency.name().to_owned(),
        relations: plan.relations.iter().zip(spots).map(relation).collect(),
    })
}

fn scan_record(scanned: &Scanned) -> ScanRecord {
    let Scan { projection, filter, limit, .. } = scanned.scan.clone();
    let chunk = |chunk: &Chunk| ChunkRecord {
        label: chunk.label.clone(),
        descriptor: chunk.descriptor.clone(),
        rows: chunk.rows,
        bytes: chunk.bytes,
    };
    ScanRecord {
        input: scanned.input,
        projection,
        filter,
        limit,
        consistency: scanned.consistency.name().to_owned(),
        strategy: scanned.strategy.clone(),
        chunks: scanned.chunks.iter().map(chunk).collect(),
    }
}

/// What stands already when a run goes on.
pub(super) fn given(record: &PlanRecord, job: &Job) -> Result<Given> {
    let held: HoldRecord = serde_json::from_str(&record.hold)?;
    let hold = held.hold();
    let snapshot = match &hold {
        Hold::Held(snapshot) => Some(snapshot.token.clone()),
        Hold::Unavailable(_) => None,
    };
    if record.relations.len() != job.relations.len() {
        return Err(Error::internal("the ledger has other relations than the job"));
    }
    let scanned = |scan: &ScanRecord, relation: &Relation| {
        let chunk = |chunk: &ChunkRecord| Chunk {
            label: chunk.label.clone(),
            descriptor: chunk.descriptor.clone(),
            rows: chunk.rows,
            bytes: chunk.bytes,
        };
        Scanned {
            input: scan.input,
            scan: Scan {
                relation: relation.clone().into(),
                projection: scan.projection.clone(),
                filter: scan.filter.clone(),
                limit: scan.limit,
                snapshot: snapshot.clone(),
            },
            chunks: scan.chunks.iter().map(chunk).collect(),
            consistency: Consistency::from_name(&scan.consistency),
            strategy: scan.strategy.clone(),
            // It was planned with that in mind.
            depends_on_previous: false,
        }
    };
    let relations = record.relations.iter().zip(&job.relations).map(|(record, relation)| {
        let scanned = |scan: &ScanRecord| {
            let input = relation.inputs.get(scan.input);
            let input = input.ok_or_else(|| Error::internal("the ledger has other inputs"))?;
            Ok(scanned(scan, &input.relation))
        };
        record.scans.iter().map(scanned).collect::<Result<Vec<_>>>()
    });
    let plugins = BuiltBy::read(record).plugins;
    Ok(Given { scans: Some(relations.collect::<Result<_>>()?), hold: Some(hold), plugins })
}
