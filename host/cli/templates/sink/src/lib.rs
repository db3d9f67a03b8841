//! The `{{name}}` sink: for a start, it counts rows and keeps none.

use longshore_sdk::array::RecordBatch;
use longshore_sdk::host::{Level, log};
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{Load, Result, Sink, SinkInfo, SinkWriter, FinishedLoad};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a job's `target:` holds. What is written here is its documentation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `{{name}}:`
    #[expect(dead_code, reason = "nothing is connected to yet")]
    url: String,
}

/// The sink, with one open session.
pub struct {{Type}};

impl Sink for {{Type}} {
    type Config = Config;

    fn describe() -> SinkInfo {
        SinkInfo {
            name: "{{name}}",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Counts rows and keeps none, for a start",
            schemes: &["{{name}}"],
            // Name the config fields that hold a host or a URL, and their port: only there may
            // `longshore_sdk::host::Connection` and `http` go.
            endpoints: &[],
            // Name the config fields that are of type `longshore_sdk::Secret`.
            secrets: &[],
        }
    }

    fn open(_: Config) -> Result<Self> {
        Ok(Self)
    }

    fn test(&mut self) -> Result<String> {
        Ok("nothing is kept".into())
    }

    /// Make room for the load, out of sight. What is there of it stays.
    fn begin(&mut self, load: &Load, schema: SchemaRef) -> Result<()> {
        let columns = schema.fields().len();
        log(Level::Info, &format!("{}: {columns} columns are to come", load.relation));
        Ok(())
    }

    /// Whatever an earlier attempt at the chunk wrote, this one replaces.
    fn write(&mut self, _: &Load, chunk: u64, _: u32) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Counter { chunk, rows: 0 }))
    }

    /// Whether the chunk behind a receipt is still there, after a crash.
    fn is_intact(&mut self, _: &Load, _: &[u8]) -> Result<bool> {
        Ok(true)
    }

    /// Make what the receipts stand for visible, all or nothing; when asked again, the same.
    fn commit(&mut self, _: &str, loads: &[FinishedLoad]) -> Result<Vec<String>> {
        let name = |written: &FinishedLoad| {
            let chunks = written.receipts.len();
            log(Level::Info, &format!("{}: {chunks} chunks", written.load.relation));
            written.load.relation.clone()
        };
        Ok(loads.iter().map(name).collect())
    }

    /// Remove what the run left here.
    fn discard(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// One chunk.
struct Counter {
    chunk: u64,
    rows: u64,
}

impl SinkWriter for Counter {
    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<u8>> {
        Ok(format!("chunk {}: {} rows", self.chunk, self.rows).into_bytes())
    }
}

longshore_sdk::export_sink!({{Type}});

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use longshore_sdk::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn a_receipt_counts_the_rows() {
        let numbers = Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
        let mut counter = Counter { chunk: 7, rows: 0 };
        counter.write(RecordBatch::try_from_iter([("n", numbers)]).unwrap()).unwrap();
        assert_eq!(counter.finish().unwrap(), b"chunk 7: 3 rows");
    }
}
