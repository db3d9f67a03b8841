//! A relation of the source as a DataFusion table: what a query needs of it is asked of the source.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use longshore_model::error::{Class, Error, Result};
use longshore_model::relation::Consistency;
use longshore_model::watermark::Window;
use longshore_sandbox::{ChunkHints, Column, Relation, Scan};
use parking_lot::Mutex;

use super::pushdown::{is_pushable, to_sql};
use crate::datafusion_fault::{IntoDataFusion, from_datafusion};
use crate::decimal_width::widen_plan;
use crate::scan::{ChunkScan, ScanPlan, Source, chunk_rows};

/// One relation. Remembers how it was scanned, for whoever explains the plan.
#[derive(Debug)]
pub(super) struct RelationTable {
    pub(super) source: Arc<dyn Source>,
    /// Its place among the inputs.
    pub(super) input: usize,
    pub(super) relation: Relation,
    /// The schema that the query over it sees.
    pub(super) schema: SchemaRef,
    /// The schema in which the source gives its rows: the same, but for the widths of decimals.
    pub(super) source_schema: SchemaRef,
    pub(super) columns: Vec<Column>,
    pub(super) hints: ChunkHints,
    /// The token of the instant that the run reads.
    pub(super) snapshot: Option<String>,
    /// The rows that the run loads, if the relation is incremental.
    pub(super) window: Option<Window>,
    /// How it was scanned when the run began, if it goes on.
    pub(super) recorded: Option<Mutex<Vec<ScanPlan>>>,
    pub(super) scans: Mutex<Vec<ScanPlan>>,
}

impl RelationTable {
    /// How it was scanned, once.
    pub(super) fn take_scans(&self) -> Vec<ScanPlan> {
        std::mem::take(&mut *self.scans.lock())
    }

    async fn plan_scan(
        &self,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let can = self.source.pushdown(&self.relation);
        // Without it the connector reads every column, and the plan above drops them.
        let projection = projection.filter(|_| can.projection);
        let schema = match projection {
            Some(indices) => Arc::new(
                self.source_schema
                    .project(indices)
                    .map_err(DataFusionError::from)
                    .map_err(from_datafusion)?,
            ),
            None => self.source_schema.clone(),
        };
        let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect();
        let scan = Scan {
            relation: self.relation.clone(),
            projection: projection.map(|_| names(&schema)),
            filter: match &can.filter {
                Some(dialect) => self.within_window(to_sql(filters, dialect)?),
                None => None,
            },
            limit: limit.filter(|_| can.limit).map(|limit| limit as u64),
            snapshot: self.snapshot.clone(),
        };
        let plan = match &self.recorded {
            Some(recorded) => take_recorded(recorded, &scan)?,
            None => self.plan_chunks(&scan).await?,
        };
        let input = chunk_rows(&plan.chunks)?;
        self.scans.lock().push(plan);
        let scan = Arc::new(ChunkScan::new(input, self.source.clone(), Arc::new(scan), schema));
        if self.schema == self.source_schema { Ok(scan) } else { widen_plan(scan) }
    }
}

impl RelationTable {
    /// The condition for rows of the window that a filter leaves.
    fn within_window(&self, filter: Option<String>) -> Option<String> {
        let window = self.window.as_ref().filter(|window| !window.is_of_files());
        let window = window.and_then(|window| window.condition.clone());
        match (window, filter) {
            (Some(window), Some(filter)) => Some(format!("({window}) AND ({filter})")),
            (window, filter) => window.or(filter),
        }
    }

    /// The chunks of a scan; none where its window is empty.
    async fn plan_chunks(&self, scan: &Scan) -> Result<ScanPlan> {
        let plan = match &self.window {
            Some(window) if window.condition.is_none() => {
                let strategy = "no chunk: nothing is new".to_owned();
                ScanPlan::new(scan, Vec::new(), Consistency::Snapshot, strategy)
            }
            Some(window) if window.is_of_files() => {
                self.source.plan_files(scan, &self.hints, window).await?
            }
            _ => self.source.plan(scan, &self.hints).await?,
        };
        Ok(ScanPlan { input: self.input, window: self.window.clone(), ..plan })
    }
}

/// The same scan as it was made before. A query that reads a relation several times plans these at the same time: they
/// come in any order.
fn take_recorded(recorded: &Mutex<Vec<ScanPlan>>, wanted: &Scan) -> Result<ScanPlan> {
    let mut recorded = recorded.lock();
    let place = recorded.iter().position(|plan| plan.is_of(wanted));
    place.map(|place| recorded.remove(place)).ok_or_else(|| {
        Error::new(Class::Stale, "the run would be planned otherwise than when it began")
    })
}

#[async_trait]
impl TableProvider for RelationTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let speaks_sql = self.source.pushdown(&self.relation).filter.is_some();
        let carried_out = if self.source.filters_exactly(&self.relation) {
            TableProviderFilterPushDown::Exact
        } else {
            TableProviderFilterPushDown::Inexact
        };
        let support = |filter: &&Expr| {
            if speaks_sql && is_pushable(filter, &self.schema, &self.columns) {
                carried_out.clone()
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self.plan_scan(projection, filters, limit).await.map_err(Error::external)?)
    }
}
