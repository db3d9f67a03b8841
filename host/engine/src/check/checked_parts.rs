//! `CheckedParts`: parts whose rows are checked on their way.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, future};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::Part;
use longshore_sandbox::tape::Tapes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::kept_rows::KeptWriter;
use super::measure::ChunkChecks;
use super::meter::Meter;
use super::quarantine::quarantine_schema;
use super::relation_checks::RelationChecks;
use crate::datafusion_fault::IntoDataFusion;
use crate::write::{Attempt, Parts, WriteResult};

/// Parts whose rows are checked on their way: as they are after all transforms.
#[derive(Debug)]
pub struct CheckedParts {
    /// The parts that take the rows.
    pub parts: Arc<dyn Parts>,
    /// The checks of the rows.
    pub checks: Arc<RelationChecks>,
    /// What takes the rows that are quarantined, if any can be.
    pub quarantine: Option<Arc<dyn Parts>>,
    /// The rows that are needed again, if any are.
    pub keep: Option<Keep>,
}

/// The columns of a relation's rows that are kept until the commit.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The folder, which is there.
    pub folder: PathBuf,
    /// The beginning of the files' names.
    pub prefix: String,
    /// The columns.
    pub columns: Vec<usize>,
}

impl Keep {
    fn create(&self, schema: &SchemaRef, chunk: u64, attempt: Attempt) -> Result<KeptWriter> {
        let name = format!("{}-{chunk}-{}.arrow", self.prefix, attempt.0);
        KeptWriter::create(&self.folder, &name, schema, &self.columns)
    }
}

/// Measures the rows of a chunk on their way.
struct Inspector {
    meter: Meter,
    keep: Option<KeptWriter>,
}

impl Inspector {
    /// Checks a batch; gives the rows that go on, and those that are quarantined.
    fn inspect(&mut self, batch: RecordBatch) -> Result<(RecordBatch, Option<RecordBatch>)> {
        let split = self.meter.measure(batch)?;
        if let Some(keep) = &mut self.keep {
            keep.write(&split.passing)?;
        }
        Ok((split.passing, split.quarantined))
    }

    fn finish(self) -> Result<ChunkChecks> {
        let kept = self.keep.map(KeptWriter::finish).transpose()?;
        Ok(ChunkChecks { kept: kept.into_iter().collect(), ..self.meter.finish() })
    }
}

/// A batch on its way to quarantine; none behind the last.
type QuarantineItem = Option<RecordBatch>;

#[async_trait]
impl Parts for CheckedParts {
    async fn write(
        &self,
        rows: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
        tapes: Option<&Tapes>,
    ) -> Result<WriteResult> {
        let schema = rows.schema();
        let keep = self.keep.as_ref().map(|keep| keep.create(&schema, chunk, attempt));
        let inspector =
            Inspector { meter: Meter::new(self.checks.clone()), keep: keep.transpose()? };
        let inspector = Arc::new(Mutex::new(inspector));
        let (send, receive) = channel(1);
        let passing = passing(rows, inspector.clone(), send.clone());
        let aside = self.write_quarantine(quarantine_schema(&schema), receive, chunk, attempt);
        let main = async {
            let written = self.parts.write(passing, chunk, attempt, tapes).await;
            if written.is_ok() {
                // Whoever does not get it knows that rows are missing.
                let _ = send.send(None).await;
            }
            drop(send);
            written
        };
        let (written, quarantine) = match future::join(main, aside).await {
            (Ok(written), Ok(quarantine)) => (written, quarantine),
            // The other one was only cut off.
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
            (Err(error), Err(other)) if error.class() != Class::Cancelled => {
                tracing::debug!("{other}");
                return Err(error);
            }
            (Err(_), Err(error)) => return Err(error),
        };
        let inspector = Arc::into_inner(inspector);
        let inspector = inspector.ok_or_else(|| Error::internal("rows are still being checked"))?;
        let quarantine = quarantine.into_iter().map(Into::into).collect();
        let checks = ChunkChecks { quarantine, ..inspector.into_inner().finish()? };
        Ok(WriteResult { checks: Some(checks), ..written })
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

impl CheckedParts {
    /// Writes the rows that are quarantined, until all have come.
    async fn write_quarantine(
        &self,
        schema: SchemaRef,
        receive: Receiver<QuarantineItem>,
        chunk: u64,
        attempt: Attempt,
    ) -> Result<Vec<Part>> {
        let Some(quarantine) = &self.quarantine else { return Ok(Vec::new()) };
        let rows = futures::stream::unfold(Some(receive), |receive| async {
            let mut receive = receive?;
            match receive.recv().await {
                Some(Some(batch)) => Some((Ok(batch), Some(receive))),
                Some(None) => None,
                None => Some((Err(cut_off()), None)),
            }
        });
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        Ok(quarantine.write(rows, chunk, attempt, None).await?.parts)
    }
}

/// The rows that go on; others go to quarantine.
fn passing(
    rows: SendableRecordBatchStream,
    inspector: Arc<Mutex<Inspector>>,
    quarantine: Sender<QuarantineItem>,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let rows = rows.then(move |batch| {
        let (inspector, quarantine) = (inspector.clone(), quarantine.clone());
        async move { inspect(batch?, &inspector, &quarantine).await }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

async fn inspect(
    batch: RecordBatch,
    inspector: &Mutex<Inspector>,
    quarantine: &Sender<QuarantineItem>,
) -> DfResult<RecordBatch> {
    let (passing, failing) = inspector.lock().inspect(batch).map_err(Error::external)?;
    if let Some(failing) = failing {
        quarantine.send(Some(failing)).await.map_err(|_| cut_off())?;
    }
    Ok(passing)
}

/// What one of the two writers sees when the other one has failed.
fn cut_off() -> DataFusionError {
    Error::cancelled("the rows were cut off").external()
}
