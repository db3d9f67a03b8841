//! A relation's inputs: looked up at the source, as tables for the query over them, with the job's steps
//! on top.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use longshore_model::config::job::Source as JobSource;
use longshore_model::config::job::{Input, JobRelation};
use longshore_model::config::target::{Format, To};
use longshore_model::config::{Dialect, Job, Step};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::watermark::Window;
use longshore_plugins::Bound;
use longshore_sandbox::{ChunkHints, Column, Relation, SnapshotResult, Transform};
use parking_lot::Mutex;

use super::relation_table::RelationTable;
use crate::decimal_width::{is_encodable, widen_schema};
use crate::drift::Expectation;
use crate::incremental::{LoadState, WindowRequest, open_window};
use crate::lineage::LineageTable;
use crate::scan::{RelationDescription, ScanPlan, Source};
use crate::transform::Rows;
use crate::write::parquet_type;

/// A column on its way from the source.
pub struct ColumnPlan {
    /// The place of its input among those of the relation.
    pub input: usize,
    /// Its name in the input.
    pub own_name: String,
    /// Its name in the relation: with the input's before it, if there is SQL over several.
    pub name: String,
    /// Its type in Arrow.
    pub arrow: String,
    /// Its type in a Parquet file, if nothing happens to it on the way.
    pub parquet: String,
    /// The column as the source describes it.
    pub source: Column,
}

/// The most chunks of one relation.
pub const CHUNK_LIMIT: u32 = 10_000;

/// Automatic chunks are not smaller than this at the source.
const MIN_CHUNK_BYTES: u64 = 16 << 20;

/// Automatic chunks are not larger than this at the source: as Parquet it becomes a part of 128 to
/// 512 MiB, which readers like.
const MAX_CHUNK_BYTES: u64 = 1 << 30;

/// Automatic chunks where the relation's size is not known.
const DEFAULT_CHUNK_BYTES: u64 = 64 << 20;

/// What is not to be cut is one chunk.
const UNCUT_CHUNK_BYTES: u64 = 1 << 40;

/// So many times more chunks than are read at the same time: nobody waits long for the last one.
const CHUNKS_PER_SLOT: u64 = 4;

/// What a relation's plan is made from.
#[derive(Clone)]
pub(super) struct PlanContext<'a> {
    pub(super) job: &'a Job,
    pub(super) relation: &'a JobRelation,
    pub(super) source: &'a Arc<dyn Source>,
    pub(super) snapshot: &'a SnapshotResult,
    pub(super) transforms: &'a BTreeMap<usize, Arc<Bound<Transform>>>,
    pub(super) parallel: usize,
    /// Inputs are read from their beginning, as long as rows are wanted.
    pub(super) is_uncut: bool,
    pub(super) recorded: Option<Vec<ScanPlan>>,
    /// How far incremental relations have been loaded; without it, they are planned whole.
    pub(super) loads: Option<&'a LoadState>,
    /// What the target holds, if it is known.
    pub(super) expected: Option<&'a Expectation>,
    /// What `now()` is.
    pub(super) now: DateTime<Utc>,
}

/// One input of a relation.
pub(super) struct InputPlan {
    /// What stands before its columns' names, if anything does.
    prefix: String,
    pub(super) table: Arc<RelationTable>,
    pub(super) described: RelationDescription,
}

impl InputPlan {
    /// The input as a table for a query.
    pub(super) fn as_table(&self) -> Arc<dyn TableProvider> {
        Arc::new(LineageTable::of_input(self.table.input, self.table.clone()))
    }

    /// Its columns, as a plan shows them.
    pub(super) fn columns(&self) -> Vec<ColumnPlan> {
        let schema = widen_schema(&self.described.schema);
        let fields = schema.fields().iter().zip(&self.described.columns);
        let column = |(field, source): (&FieldRef, &Column)| ColumnPlan {
            input: self.table.input,
            own_name: field.name().clone(),
            name: format!("{}{}", self.prefix, field.name()),
            arrow: field.data_type().to_string(),
            parquet: parquet_type(field),
            source: source.clone(),
        };
        fields.map(column).collect()
    }
}

impl PlanContext<'_> {
    /// The relation's inputs.
    pub(super) async fn inputs(&self) -> Result<Vec<InputPlan>> {
        let mut inputs = Vec::new();
        for (number, input) in self.relation.inputs.iter().enumerate() {
            let read = self.read(number, input).await;
            inputs.push(match self.relation.sql {
                None => read?,
                Some(_) => read.context(input.name.clone())?,
            });
        }
        Ok(inputs)
    }

    /// The rows before the steps: those of its only input, or what its SQL makes of several.
    pub(super) async fn rows(&self, inputs: &[InputPlan]) -> Result<Rows> {
        match (&self.relation.sql, inputs) {
            (None, [only]) => Ok(Rows::Table(only.as_table())),
            (None, _) => Err(Error::internal("several inputs, and no SQL over them")),
            (Some(sql), _) => {
                let names = self.relation.inputs.iter().map(|input| input.name.as_str());
                let tables = inputs.iter().map(InputPlan::as_table);
                Rows::over(names.zip(tables), sql, self.now).await.context("sql")
            }
        }
    }

    /// An input as a table.
    async fn read(&self, number: usize, input: &Input) -> Result<InputPlan> {
        let relation: Relation = input.relation.clone().into();
        let described = self.source.describe(&relation).await?;
        let (job, parallel) = (self.job, self.parallel);
        let automatic = || automatic_bytes(described.bytes, parallel);
        let hints = ChunkHints {
            rows: job.chunk.rows.filter(|_| !self.is_uncut),
            bytes: if self.is_uncut {
                UNCUT_CHUNK_BYTES
            } else {
                job.chunk.bytes.unwrap_or_else(automatic)
            },
            parallel: u32::try_from(parallel).unwrap_or(u32::MAX),
            max_chunks: CHUNK_LIMIT,
            key: input.chunk_by.clone(),
        };
        let recorded = self.recorded.as_ref().map(|scans| {
            let own = scans.iter().filter(|scan| scan.input == number);
            Mutex::new(own.cloned().collect())
        });
        let table = Arc::new(RelationTable {
            source: self.source.clone(),
            input: number,
            relation,
            schema: if self.is_straight_into_parquet() && is_encodable(&described.schema) {
                described.schema.clone()
            } else {
                widen_schema(&described.schema)
            },
            source_schema: described.schema.clone(),
            columns: described.columns.clone(),
            hints,
            snapshot: self.snapshot_token().map(str::to_owned),
            window: self.window(number, input, &described).await?,
            recorded,
            scans: Mutex::default(),
        });
        let prefix = match self.relation.sql {
            None => String::new(),
            Some(_) => format!("{}.", input.name),
        };
        Ok(InputPlan { prefix, table, described })
    }

    /// The token of the run's snapshot, if there is one.
    fn snapshot_token(&self) -> Option<&str> {
        match self.snapshot {
            SnapshotResult::Opened(snapshot) => Some(&snapshot.token),
            SnapshotResult::Unavailable(_) => None,
        }
    }

    /// The rows that the run loads of an incremental input: those that it began with, if it resumes.
    async fn window(
        &self,
        number: usize,
        input: &Input,
        described: &RelationDescription,
    ) -> Result<Option<Window>> {
        if let Some(recorded) = &self.recorded {
            let own = recorded.iter().find(|scan| scan.input == number);
            return Ok(own.and_then(|scan| scan.window.clone()));
        }
        let (Some(incremental), Some(state)) = (&input.incremental, self.loads) else {
            return Ok(None);
        };
        let dialect = match &self.job.source {
            JobSource::Connector(connector) => Dialect::of_scheme(&connector.scheme),
            JobSource::Files(_) => Dialect::DataFusion,
        };
        let request = WindowRequest {
            source: self.source,
            dialect,
            snapshot: self.snapshot_token(),
            input,
            incremental,
            described,
            state,
        };
        open_window(&request).await.map(Some)
    }

    /// Whether nothing is between the source and a Parquet file. A target that is one file is made of files of
    /// Arrow, in the scratch folder.
    fn is_straight_into_parquet(&self) -> bool {
        let target = &self.job.target;
        let is_parquet = matches!(target.to, To::Folder(_, Format::Parquet(_)));
        is_parquet
            && target.file.is_none()
            && self.relation.sql.is_none()
            && self.job.steps.is_empty()
            && !self.is_uncut
    }

    /// The job's steps on top.
    pub(super) async fn steps(&self, mut rows: Rows) -> Result<Rows> {
        for (index, step) in self.job.steps.iter().enumerate() {
            let at = format!("transform[{index}]");
            rows = match step {
                Step::Sql(sql) => rows.sql(sql, self.now).await.context(at)?,
                Step::Plugin { wanted, .. } => {
                    let bound = self.transforms.get(&index).ok_or_else(|| {
                        Error::internal(format!("transform `{wanted}` is not bound"))
                    })?;
                    rows.transform(bound.clone()).await.context(at)?
                }
            };
        }
        Ok(rows)
    }
}

fn automatic_bytes(bytes: Option<u64>, parallel: usize) -> u64 {
    match bytes {
        Some(bytes) => {
            (bytes / (parallel as u64 * CHUNKS_PER_SLOT)).clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES)
        }
        None => DEFAULT_CHUNK_BYTES,
    }
}
