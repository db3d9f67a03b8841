//! `CheckedParts`: parts whose rows are checked on their way.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;
use longshore_sandbox::tape::Tapes;
use parking_lot::Mutex;

use super::meter::Meter;
use super::relation_checks::RelationChecks;
use crate::datafusion_fault::IntoDataFusion;
use crate::write::{Attempt, Parts, Written};

/// Parts whose rows are checked on their way: as they are after all transforms.
#[derive(Debug)]
pub struct CheckedParts {
    /// What takes the rows.
    pub parts: Arc<dyn Parts>,
    /// What they are checked for.
    pub checks: Arc<RelationChecks>,
}

#[async_trait]
impl Parts for CheckedParts {
    async fn write(
        &self,
        rows: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
        tapes: Option<&Tapes>,
    ) -> Result<Written> {
        let meter = Arc::new(Mutex::new(Meter::new(self.checks.clone())));
        let schema = rows.schema();
        let measuring = meter.clone();
        let measured = rows.map(move |batch| {
            let batch = batch?;
            measuring.lock().measure(&batch).map_err(Error::external)?;
            Ok(batch)
        });
        let measured = Box::pin(RecordBatchStreamAdapter::new(schema, measured));
        let written = self.parts.write(measured, chunk, attempt, tapes).await?;
        let meter = Arc::into_inner(meter);
        let meter = meter.ok_or_else(|| Error::internal("rows are still being checked"))?;
        Ok(Written { checks: Some(meter.into_inner().finish()), ..written })
    }

    async fn write_empty(&self, schema: SchemaRef) -> Result<Option<Part>> {
        self.parts.write_empty(schema).await
    }

    fn format(&self) -> &'static str {
        self.parts.format()
    }

    fn relation(&self) -> &str {
        self.parts.relation()
    }
}
