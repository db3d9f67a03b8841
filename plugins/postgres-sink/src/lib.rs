//! The `postgres-sink`: rows into tables of PostgreSQL, by binary COPY.
//!
//! A load's rows go into a staging table; each chunk is a transaction, which also writes itself down
//! in the run's own table, so that a chunk that is tried again never doubles. The run's commit is one
//! transaction for all of its tables.
//!
//! | file | what |
//! |---|---|
//! | `names` | the tables of a run |
//! | `types` | a column's type in PostgreSQL, and how its values become bytes |
//! | `numeric` | decimals as PostgreSQL sends them |
//! | `encode` | batches become rows of a COPY |
//! | `staging` | what lies out of sight: the staging tables, the run's table, chunks |
//! | `fit` | whether staged values are the same in a table that is there |
//! | `commit` | staging becomes tables |
//! | `load_mode` | staged rows are joined with those of a table that is there |

mod commit;
mod encode;
mod fit;
mod load_mode;
mod names;
pub mod numeric;
mod staging;
mod types;

use std::cell::RefCell;
use std::rc::Rc;

use longshore_postgres_client::{Address, Client, Login, PORT, SslMode};
use longshore_sdk::load_modes::LoadModes;
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{
    Error, FinishedLoad, Load, Result, ResultExt, Secret, Sink, SinkInfo, SinkWriter,
};
use names::Names;
use schemars::JsonSchema;
use serde::Deserialize;

/// What a job's `target:` holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://user@host:5432/database`, with `?sslmode=..` if need be.
    url: String,
    /// The password; none for `trust`.
    password: Option<Secret>,
    /// Whether to speak TLS and how far to verify the server; `prefer` unless told.
    sslmode: Option<SslMode>,
    /// The authority's certificate, PEM, for `verify-ca` and `verify-full`; the system's
    /// authorities without it.
    root_cert: Option<Secret>,
    /// The schema that tables are made in, and staging tables before them; the user's own unless
    /// told.
    schema: Option<String>,
    /// How long to wait for a table that somebody else has locked.
    #[serde(default = "default_lock_timeout_secs")]
    #[schemars(range(min = 1, max = 86_400))]
    lock_timeout_secs: u32,
    /// How relations are loaded into tables that are there. Longshore says it, by `mode` and its sections.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    load_modes: LoadModes,
    /// How long the server may take for one chunk, or for the commit.
    #[serde(default = "default_statement_timeout_secs")]
    #[schemars(range(min = 1, max = 604_800))]
    statement_timeout_secs: u32,
}

fn default_lock_timeout_secs() -> u32 {
    60
}

fn default_statement_timeout_secs() -> u32 {
    6 * 3_600
}

/// The sink, with one open session.
pub struct PostgresSink {
    client: Rc<RefCell<Client>>,
    names: Names,
    load_modes: LoadModes,
    /// What every transaction begins with.
    begin: String,
}

impl PostgresSink {
    /// Runs this within one transaction; what fails leaves nothing.
    fn transaction<T>(&mut self, work: impl FnOnce(&mut Client, &Names) -> Result<T>) -> Result<T> {
        let mut client = self.client.borrow_mut();
        client.query(&self.begin)?;
        let done = work(&mut client, &self.names)?;
        client.query("COMMIT")?;
        Ok(done)
    }
}

impl Sink for PostgresSink {
    type Config = Config;

    fn describe() -> SinkInfo {
        SinkInfo {
            name: "postgres-sink",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Tables of PostgreSQL, by binary COPY, in one transaction for a whole run",
            schemes: &["postgres", "postgresql"],
            endpoints: &[("url", PORT)],
            secrets: &["password", "root_cert"],
        }
    }

    fn open(config: Config) -> Result<Self> {
        let Config { password, sslmode, root_cert, .. } = config;
        let address = Address::parse(&config.url).context("`url`")?;
        let mut client = Client::open(&address, &Login { password, sslmode, root_cert })?;
        if client.server().is_greenplum {
            return Err(Error::config("Greenplum is not a server that this sink writes to")
                .with_hint("write files, and load them by gpfdist or external tables"));
        }
        let begin = format!(
            "BEGIN; SET LOCAL timezone = 'UTC'; SET LOCAL lock_timeout = '{}s'; SET LOCAL statement_timeout = '{}s'; \
             SET LOCAL client_min_messages = warning; SET LOCAL datestyle = 'ISO'",
            config.lock_timeout_secs, config.statement_timeout_secs
        );
        let names = Names { schema: schema(&mut client, config.schema)? };
        let load_modes = config.load_modes;
        Ok(Self { client: Rc::new(RefCell::new(client)), names, load_modes, begin })
    }

    fn test(&mut self) -> Result<String> {
        let mut client = self.client.borrow_mut();
        let answer = client.introduce()?;
        staging::check_rights(&mut client, &self.names)?;
        Ok(format!("{answer}, schema {}", self.names.schema))
    }

    fn begin(&mut self, load: &Load, schema: SchemaRef) -> Result<()> {
        let columns = types::columns(&schema)?;
        let mode = self.load_modes.get(&load.relation).cloned();
        mode.as_ref().map_or(Ok(()), |mode| load_mode::check_names(&schema, mode))?;
        self.transaction(|client, names| {
            let is_counted = mode.as_ref().is_some_and(load_mode::needs_order);
            staging::begin(client, names, load, &columns, is_counted)?;
            match &mode {
                Some(mode) => load_mode::check(client, names, load, mode),
                None => staging::check_target(client, names, load),
            }
        })
    }

    fn write(&mut self, load: &Load, chunk: u64, attempt: u32) -> Result<Box<dyn SinkWriter>> {
        self.client.borrow_mut().query(&self.begin)?;
        let staging = self.names.staging(load);
        let chunk = staging::Chunk {
            run_table: self.names.run(&load.run),
            relation: load.relation.clone(),
            chunk,
            attempt,
        };
        let is_counted = self.load_modes.get(&load.relation).is_some_and(load_mode::needs_order);
        let into = if is_counted {
            load_mode::copied_columns(&mut self.client.borrow_mut(), &staging)?
        } else {
            String::new()
        };
        let writer = encode::Writer::start(self.client.clone(), staging, &into, chunk)?;
        Ok(Box::new(writer))
    }

    fn is_intact(&mut self, load: &Load, receipt: &[u8]) -> Result<bool> {
        let receipt = staging::Receipt::parse(receipt)?;
        staging::is_intact(&mut self.client.borrow_mut(), &self.names, load, &receipt)
    }

    fn commit(&mut self, run: &str, loads: &[FinishedLoad]) -> Result<Vec<String>> {
        let modes = self.load_modes.clone();
        self.transaction(|client, names| commit::commit(client, names, &modes, run, loads))
    }

    fn discard(&mut self, run: &str) -> Result<()> {
        self.transaction(|client, names| staging::discard(client, names, run))
    }
}

/// The schema that the job names, or that the server puts new tables in.
fn schema(client: &mut Client, wanted: Option<String>) -> Result<String> {
    if let Some(schema) = wanted {
        return Ok(schema);
    }
    client.value("SELECT current_schema()")?.ok_or_else(|| {
        Error::config("the user has no schema of its own to make tables in")
            .with_hint("name one with `schema`")
    })
}

longshore_sdk::export_sink!(PostgresSink);
