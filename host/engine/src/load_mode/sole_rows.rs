//! One row for each key, of rows that are sorted by it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter};
use datafusion::error::Result as DfResult;
use datafusion::physical_plan::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use longshore_model::error::{Error, Result};

use super::key::{Key, kernel};
use crate::datafusion_fault::IntoDataFusion;

/// How many keys an error names.
const NAMED_KEYS: usize = 3;

/// The last row of each key; or an error that names keys with several.
pub(super) struct SoleRows {
    rows: SendableRecordBatchStream,
    key: Key,
    converter: RowConverter,
    /// Whether several rows are an error.
    is_strict: bool,
    /// The last row so far: whether it is the last of its key is not known yet.
    held: Option<(OwnedRow, RecordBatch)>,
    /// Keys of several rows, as people read them.
    twice: Vec<String>,
}

impl SoleRows {
    /// Rows that are sorted by the key.
    pub(super) fn of(rows: SendableRecordBatchStream, key: Key, is_strict: bool) -> Result<Self> {
        let converter = key.converter(&rows.schema())?;
        Ok(Self { rows, key, converter, is_strict, held: None, twice: Vec::new() })
    }

    /// The rows of a batch that are the last of their key, behind the one before it if that was.
    fn last_of_keys(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let last = batch.num_rows() - 1;
        let values = self.key.values(batch.columns());
        let rows = self.converter.convert_columns(&values).map_err(kernel)?;
        let is_last = |row: usize| row < last && rows.row(row) != rows.row(row + 1);
        let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_last(row))).collect();
        let mut twice: Vec<usize> = (0..last).filter(|row| !mask.value(*row)).collect();
        let mut given = Vec::new();
        let next = (rows.row(last).owned(), batch.slice(last, 1));
        if let Some((key, row)) = self.held.replace(next) {
            if key.row() == rows.row(0) {
                twice.insert(0, 0);
            } else {
                given.push(row);
            }
        }
        given.push(filter_record_batch(batch, &mask).map_err(kernel)?);
        drop(rows);
        for row in twice {
            self.note(&values, row);
        }
        Ok(given)
    }

    fn note(&mut self, values: &[ArrayRef], row: usize) {
        if !self.is_strict || self.twice.len() > NAMED_KEYS {
            return;
        }
        let shown = self.key.shown(values, row);
        if self.twice.last() != Some(&shown) {
            self.twice.push(shown);
        }
    }

    /// The error of keys with several rows.
    fn refusal(&self) -> Option<Error> {
        let more = if self.twice.len() > NAMED_KEYS { ", and others" } else { "" };
        let named: Vec<&str> = self.twice.iter().take(NAMED_KEYS).map(String::as_str).collect();
        (!named.is_empty()).then(|| {
            Error::data(format!("the source has several rows of {}{more}", named.join(", ")))
                .with_hint(
                    "name all columns of the key, or take the last of them: `duplicates: latest`",
                )
        })
    }
}

impl Stream for SoleRows {
    type Item = DfResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(batch) = ready!(self.rows.poll_next_unpin(context)).transpose()? else {
                if let Some(refusal) = self.refusal() {
                    self.twice.clear();
                    self.held = None;
                    return Poll::Ready(Some(Err(refusal.external())));
                }
                return Poll::Ready(self.held.take().map(|(_, row)| Ok(row)));
            };
            if batch.num_rows() == 0 {
                continue;
            }
            let given = self.last_of_keys(&batch).map_err(Error::external)?;
            if self.twice.len() > NAMED_KEYS {
                let refusal = self.refusal().map(Error::external);
                return Poll::Ready(refusal.map(Err));
            }
            let schema = batch.schema();
            let given = arrow::compute::concat_batches(&schema, &given)?;
            if given.num_rows() > 0 {
                return Poll::Ready(Some(Ok(given)));
            }
        }
    }
}

impl RecordBatchStream for SoleRows {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
