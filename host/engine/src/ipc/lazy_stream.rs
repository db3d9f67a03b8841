//! Streams that do nothing until somebody wants their rows: what waits for another one, as the second
//! side of a join does, must not keep a place, or a plugin's instance, from it.

use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

/// The stream that `begin` makes when it is first asked for rows.
pub fn lazy_stream(
    schema: SchemaRef,
    begin: impl FnOnce() -> SendableRecordBatchStream + Send + 'static,
) -> SendableRecordBatchStream {
    let rows = futures::stream::once(async move { begin() }).flatten();
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}
