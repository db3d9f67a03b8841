//! The `http-sink`: rows to an endpoint, a request for so many of them, as JSON lines or as an Arrow
//! stream.
//!
//! Rows are sent while the run goes on. Each request has a key that is made of its place and of its
//! bytes, so that a server that keeps the keys takes no rows twice: not when a request is sent again,
//! and not when a chunk is, as long as its rows come in their order. A server that shows rows only at
//! the run's commit is told of it at `events_url`.
//!
//! | file | what |
//! |---|---|
//! | `request` | a request, its retries, and what an answer means |
//! | `batches` | rows gathered and encoded |
//! | `events` | what is told of a run |

mod batches;
mod events;
mod request;

use std::collections::BTreeMap;
use std::rc::Rc;

use batches::Writer;
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{Error, FinishedLoad, Load, Result, Secret, Sink, SinkInfo, SinkWriter};
use request::Client;
use schemars::JsonSchema;
use serde::Deserialize;

/// The port of `https`; the host knows that of `http`.
const PORT: u16 = 443;

/// What a job's `target:` holds.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://host/path`; `{relation}` in it stands for the relation's name.
    url: String,
    /// Where a run is told of: an event `begin` for each relation, `commit` for all that was sent,
    /// `end`. Nobody is told without it.
    events_url: Option<String>,
    /// Sent as `Authorization: Bearer ..`.
    token: Option<Secret>,
    /// Headers of every request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What a request holds.
    #[serde(default)]
    format: Format,
    /// How many rows to a request.
    #[serde(default = "default_batch_rows")]
    #[schemars(range(min = 1, max = 1_000_000))]
    batch_rows: u32,
    /// How long to wait for an answer.
    #[serde(default = "default_timeout_secs")]
    #[schemars(range(min = 1, max = 3_600))]
    timeout_secs: u32,
    /// How often a request is sent again before the chunk is given up.
    #[serde(default = "default_retries")]
    #[schemars(range(max = 100))]
    retries: u32,
    /// The authority's certificate, PEM; the system's authorities without it.
    root_cert: Option<Secret>,
}

fn default_batch_rows() -> u32 {
    1_000
}

fn default_timeout_secs() -> u32 {
    60
}

fn default_retries() -> u32 {
    5
}

/// What a request holds.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON object a line.
    #[default]
    Json,
    /// An Arrow IPC stream.
    Arrow,
}

/// The sink.
pub struct HttpSink {
    config: Config,
    client: Rc<Client>,
}

impl Sink for HttpSink {
    type Config = Config;

    fn describe() -> SinkInfo {
        SinkInfo {
            name: "http-sink",
            version: env!("CARGO_PKG_VERSION"),
            summary: "An HTTP endpoint, as JSON lines or Arrow, with idempotency keys",
            schemes: &["http", "https"],
            endpoints: &[("url", PORT), ("events_url", PORT)],
            secrets: &["token", "root_cert"],
        }
    }

    fn open(config: Config) -> Result<Self> {
        if config.batch_rows == 0 {
            return Err(Error::config("`batch_rows` is 0").with_hint("give 1 or more"));
        }
        let client = Rc::new(Client::new(&config)?);
        Ok(Self { config, client })
    }

    fn test(&mut self) -> Result<String> {
        if self.config.url.contains("{relation}") {
            Ok("not asked: each relation has an address of its own".into())
        } else {
            self.client.probe(&self.config.url)
        }
    }

    fn begin(&mut self, load: &Load, schema: SchemaRef) -> Result<()> {
        self.tell(events::begin(load, &schema), &format!("{}-begin-{}", load.run, load.relation))
    }

    fn write(&mut self, load: &Load, chunk: u64, attempt: u32) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Writer::new(self.client.clone(), &self.config, load, chunk, attempt)))
    }

    /// What was sent was taken.
    fn is_intact(&mut self, _: &Load, _: &[u8]) -> Result<bool> {
        Ok(true)
    }

    fn commit(&mut self, run: &str, loads: &[FinishedLoad]) -> Result<Vec<String>> {
        self.tell(events::commit(run, loads)?, &format!("{run}-commit"))?;
        Ok(loads.iter().map(|written| written.load.relation.clone()).collect())
    }

    fn discard(&mut self, run: &str) -> Result<()> {
        self.tell(events::end(run), &format!("{run}-end"))
    }
}

impl HttpSink {
    fn tell(&self, event: serde_json::Value, key: &str) -> Result<()> {
        match &self.config.events_url {
            Some(url) => {
                let key = request::header_text(key);
                let headers = vec![("idempotency-key".to_owned(), key)];
                self.client.post(url, "application/json", headers, event.to_string().into_bytes())
            }
            None => Ok(()),
        }
    }
}

longshore_sdk::export_sink!(HttpSink);
