//! The `postgres` connector: tables and queries of PostgreSQL and its relatives.
//!
//! Rows come as `COPY (...) TO STDOUT (FORMAT binary)` and are decoded straight into Arrow,
//! column by column. Tables are cut by physical page ranges (`ctid`) or by ranges of a key.
//!
//! | file | what |
//! |---|---|
//! | `policy` | what the job decides about values that have no exact place in Arrow |
//! | `session` | transactions, queries, the start of a COPY |
//! | `snapshot` | one instant for all chunks of a run |
//! | `relation` | what the server says of relations |
//! | `types` | a column's type: Arrow's, and how its bytes are decoded |
//! | `chunks` | page ranges, key ranges, segments |
//! | `copy` | the COPY stream: messages, rows |
//! | `field` | where a value of a row lies |
//! | `decode` | fields become arrays |

mod chunks;
mod column;
mod copy;
mod decode;
mod field;
mod kind;
mod policy;
mod relation;
mod session;
mod snapshot;
pub mod types;

use std::collections::{BTreeSet, HashMap};

use chunks::Slice;
use copy::CopyReader;
use longshore_postgres_client::{Address, Login, PORT, SslMode};
use longshore_sdk::{
    ChunkHints, Connector, ConnectorInfo, Consistency, Plan, Pushdown, Reader, Relation,
    RelationInfo, Result, ResultExt, Scan, Secret, SnapshotResult,
};
use policy::{Arrays, Numerics, Policy, SpecialValues, UnknownTypes};
use relation::{Catalog, Table};
use schemars::JsonSchema;
use serde::Deserialize;
use session::{Limits, Session};

/// What a job's `source:` holds.
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
    /// What becomes of a `numeric` without a precision, or with more than 76 digits: `text`, or
    /// `decimal(P,S)`.
    #[serde(default)]
    numeric: Numerics,
    /// What becomes of values that Arrow has not, such as infinity: `refuse`, `nullify`, or `text`
    /// for all of their columns.
    #[serde(default)]
    special_values: SpecialValues,
    /// What becomes of arrays: `list` or `text`.
    #[serde(default)]
    arrays: Arrays,
    /// What becomes of types that PostgreSQL has not by itself: `text` or `refuse`.
    #[serde(default)]
    unknown_types: UnknownTypes,
    /// The time zone that a query's casts and functions work in: `utc`, or the `server`'s own. Values of
    /// `timestamptz` are the same either way.
    #[serde(default)]
    timezone: Timezone,
    /// How long to wait for a table that somebody else has locked.
    #[serde(default = "default_lock_timeout_secs")]
    #[schemars(range(min = 1, max = 86_400))]
    lock_timeout_secs: u32,
    /// How long the server may take for one chunk.
    #[serde(default = "default_statement_timeout_secs")]
    #[schemars(range(min = 1, max = 604_800))]
    statement_timeout_secs: u32,
    /// The most MiB that a row may hold. Beyond 120, the operator's limits `call_mib` and `memory_mib` must be
    /// raised, too.
    #[serde(default = "default_row_mib")]
    #[schemars(range(min = 1, max = 1_024))]
    row_mib: u32,
}

/// A time zone for casts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Timezone {
    /// The same on every server.
    #[default]
    Utc,
    /// The one that the server gives to other clients.
    Server,
}

fn default_lock_timeout_secs() -> u32 {
    60
}

fn default_statement_timeout_secs() -> u32 {
    6 * 3_600
}

/// A row is in memory several times on its way: as a message, as values, and as Arrow's bytes.
fn default_row_mib() -> u32 {
    96
}

/// The connector, with one open session.
pub struct Postgres {
    session: Session,
    row_limit_bytes: usize,
    policy: Policy,
    /// What was looked up last: a plan and its chunks ask for the same relation again and again.
    known: Option<(Relation, Table)>,
    /// Tables that are planned next. Each is used once: what is read later is looked up again.
    prepared: HashMap<String, Table>,
    /// The types that come with the server, as far as they were asked for.
    types: types::Types,
}

impl Postgres {
    fn table(&mut self, relation: &Relation) -> Result<Table> {
        if let Some((known, table)) = &self.known
            && known == relation
        {
            return Ok(table.clone());
        }
        let prepared = match relation {
            Relation::Table(name) => self.prepared.remove(name),
            Relation::Query(_) => None,
        };
        let table = match prepared {
            Some(table) => table,
            None => self.catalog().relation(relation)?,
        };
        self.known = Some((relation.clone(), table.clone()));
        Ok(table)
    }

    fn catalog(&mut self) -> Catalog<'_> {
        Catalog { session: &mut self.session, policy: self.policy, types: &mut self.types }
    }
}

impl Connector for Postgres {
    type Config = Config;

    fn describe() -> ConnectorInfo {
        ConnectorInfo {
            name: "postgres",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Tables and queries of PostgreSQL, by binary COPY",
            schemes: &["postgres", "postgresql"],
            endpoints: &[("url", PORT)],
            secrets: &["password", "root_cert"],
            pushdown: Pushdown { projection: true, filter: Some("postgresql".into()), limit: true },
            consistency: Consistency::Snapshot,
        }
    }

    fn open(config: Config) -> Result<Self> {
        let address = Address::parse(&config.url).context("`url`")?;
        let policy = Policy {
            numeric: config.numeric,
            special_values: config.special_values,
            arrays: config.arrays,
            unknown_types: config.unknown_types,
        };
        let row_limit_bytes = (config.row_mib as usize) << 20;
        let Config { password, sslmode, root_cert, .. } = config;
        let limits = Limits {
            lock_timeout_secs: config.lock_timeout_secs,
            statement_timeout_secs: config.statement_timeout_secs,
            keeps_timezone: config.timezone == Timezone::Server,
        };
        let session = Session::open(&address, &Login { password, sslmode, root_cert }, &limits)?;
        let (known, prepared, types) = Default::default();
        Ok(Self { session, row_limit_bytes, policy, known, prepared, types })
    }

    fn test(&mut self) -> Result<String> {
        self.session.introduce()
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        relation::list(&mut self.session)
    }

    fn open_snapshot(&mut self, _: &[Relation]) -> Result<SnapshotResult> {
        snapshot::export(&mut self.session)
    }

    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        self.session.begin(None);
        let table = self.table(relation)?;
        self.session.commit()?;
        Ok(RelationInfo {
            schema: table.schema(),
            columns: table.columns.iter().map(column::Column::describe).collect(),
            rows: table.rows,
            bytes: table.bytes,
        })
    }

    fn prepare(&mut self, relations: &[Relation]) -> Result<()> {
        let name = |relation: &Relation| match relation {
            Relation::Table(name) => Some(name.clone()),
            Relation::Query(_) => None,
        };
        let names: BTreeSet<String> = relations.iter().filter_map(name).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.session.begin(None);
        let tables =
            self.catalog().tables(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.session.commit()?;
        let found =
            names.into_iter().zip(tables).filter_map(|(name, table)| Some((name, table.ok()?)));
        self.prepared = found.collect();
        Ok(())
    }

    fn plan(&mut self, scan: &Scan, hints: &ChunkHints) -> Result<Plan> {
        self.session.begin(scan.snapshot.as_deref());
        let table = self.table(&scan.relation)?;
        let plan = chunks::plan(&mut self.session, &table, scan, hints)?;
        self.session.commit()?;
        Ok(plan)
    }

    fn read(&mut self, scan: &Scan, descriptor: &[u8]) -> Result<Box<dyn Reader>> {
        let slice = Slice::parse(descriptor)?;
        self.session.begin(scan.snapshot.as_deref());
        relation::guard(&mut self.session, &slice.files)?;
        let table = self.table(&scan.relation)?;
        let columns = table.project(scan.projection.as_deref())?;
        let from = slice.from.as_ref().unwrap_or(&table.from);
        let conditions = slice.conditions();
        let conditions: Vec<&str> =
            conditions.iter().map(String::as_str).chain(scan.filter.as_deref()).collect();
        let select = Table::select(&columns, from, &conditions, scan.limit);
        self.session.keep_memory(columns.len())?;
        let stream =
            self.session.start_copy(&format!("COPY ({select}) TO STDOUT (FORMAT binary)"))?;
        Ok(Box::new(CopyReader::new(stream, columns, self.row_limit_bytes)))
    }
}

longshore_sdk::export_connector!(Postgres);
