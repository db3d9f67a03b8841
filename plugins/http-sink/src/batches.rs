//! Rows, gathered to requests of the same number, so that a chunk that is sent again makes the same
//! ones.

use std::rc::Rc;
use std::sync::Arc;

use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_select::concat::concat_batches;
use longshore_sdk::array::RecordBatch;
use longshore_sdk::ipc::Encoder;
use longshore_sdk::{Error, Load, Mode, Result, SinkWriter};
use longshore_values::JsonValues;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::request::{Client, header_text};
use crate::{Config, Format};

/// Characters of a digest that tell one request's bytes from another's.
const DIGEST_DIGITS: usize = 16;

/// One chunk on its way.
pub(crate) struct Writer {
    client: Rc<Client>,
    url: String,
    format: Format,
    batch_rows: usize,
    /// The chunk, as the server is told of it.
    headers: Vec<(String, String)>,
    /// What the keys of the chunk's requests begin with.
    key: String,
    chunk: u64,
    attempt: u32,
    pending: Vec<RecordBatch>,
    pending_rows: usize,
    requests: u64,
    rows: u64,
}

impl Writer {
    pub(crate) fn new(
        client: Rc<Client>,
        config: &Config,
        load: &Load,
        chunk: u64,
        attempt: u32,
    ) -> Self {
        let relation = header_text(&load.relation);
        let header = |name: &str, value: String| (format!("longshore-{name}"), value);
        Self {
            client,
            url: config.url.replace("{relation}", &relation),
            format: config.format,
            batch_rows: config.batch_rows as usize,
            headers: vec![
                header("run", load.run.clone()),
                header("relation", relation.clone()),
                header("mode", mode(load.mode).to_owned()),
                header("chunk", chunk.to_string()),
                header("attempt", attempt.to_string()),
            ],
            key: format!("{}-{relation}-{chunk}", load.run),
            chunk,
            attempt,
            pending: Vec::new(),
            pending_rows: 0,
            requests: 0,
            rows: 0,
        }
    }

    fn send(&mut self) -> Result<()> {
        let Some(first) = self.pending.first() else { return Ok(()) };
        let batch = concat_batches(&first.schema(), &self.pending)?;
        let (content_type, body) = match self.format {
            Format::Json => ("application/x-ndjson", json_lines(&batch)?),
            Format::Arrow => ("application/vnd.apache.arrow.stream", arrow_stream(&batch)?),
        };
        let digest = Sha256::digest(&body);
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("{}-{}-{}", self.key, self.requests, &digits[..DIGEST_DIGITS]);
        let mut headers = self.headers.clone();
        headers.push(("idempotency-key".into(), key));
        headers.push(("longshore-rows".into(), batch.num_rows().to_string()));
        self.client.post(&self.url, content_type, headers, body)?;
        self.requests += 1;
        self.rows += batch.num_rows() as u64;
        self.pending.clear();
        self.pending_rows = 0;
        Ok(())
    }
}

impl SinkWriter for Writer {
    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let count = (self.batch_rows - self.pending_rows).min(batch.num_rows() - from);
            self.pending.push(batch.slice(from, count));
            self.pending_rows += count;
            from += count;
            if self.pending_rows == self.batch_rows {
                self.send()?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<u8>> {
        self.send()?;
        let Self { chunk, attempt, requests, rows, .. } = self;
        let receipt =
            json!({ "chunk": chunk, "attempt": attempt, "requests": requests, "rows": rows });
        Ok(receipt.to_string().into_bytes())
    }
}

pub(crate) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Version => "version",
        Mode::Append => "append",
        Mode::Replace => "replace",
        Mode::Error => "error",
    }
}

/// Every column of every row, also those that are null.
fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    let builder =
        WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(JsonValues));
    let mut writer = builder.build::<_, LineDelimited>(&mut lines);
    let unwritable = |error: longshore_sdk::schema::ArrowError| {
        Error::data(format!("rows cannot be written as JSON: {error}"))
            .with_hint("cast the column in an `sql` step, or give `format: arrow`")
    };
    writer.write(batch).and_then(|()| writer.finish()).map_err(unwritable)?;
    drop(writer);
    Ok(lines)
}

fn arrow_stream(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new(&batch.schema())?;
    let mut pieces = encoder.encode(batch)?;
    pieces.extend(encoder.finish()?);
    Ok(pieces.concat())
}
