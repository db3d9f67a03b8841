//! `LineageTable`: a table for a query, with where its columns come from.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::ColumnLineage;

/// The lineage of a table. One that is neither an input nor what a transform gave has none to tell, as has a
/// function that makes rows.
pub fn of_table(table: &dyn TableProvider) -> Option<ColumnLineage> {
    match table.downcast_ref::<LineageTable>() {
        Some(known) => known.lineage.clone(),
        None => Some(ColumnLineage::of_nothing(table.schema().fields().len())),
    }
}

/// A table, and the lineage of its columns.
#[derive(Debug)]
pub struct LineageTable {
    table: Arc<dyn TableProvider>,
    /// None if it is not known.
    lineage: Option<ColumnLineage>,
}

impl LineageTable {
    /// A table whose columns have this lineage.
    pub fn new(table: Arc<dyn TableProvider>, lineage: Option<ColumnLineage>) -> Self {
        Self { table, lineage }
    }

    /// An input of a relation, by its place among them.
    pub fn of_input(input: usize, table: Arc<dyn TableProvider>) -> Self {
        let lineage = ColumnLineage::of_input(input, table.schema().fields().len());
        Self::new(table, Some(lineage))
    }
}

#[async_trait]
impl TableProvider for LineageTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.table.scan(session, projection, filters, limit).await
    }
}
