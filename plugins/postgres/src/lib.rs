//! The `postgres` connector: tables and queries of PostgreSQL and its relatives.
//!
//! Rows come as `COPY (...) TO STDOUT (FORMAT binary)` and are decoded straight into Arrow,
//! column by column. Tables are cut by physical page ranges (`ctid`), queries are one chunk.
//!
//! | file | what |
//! |---|---|
//! | `address` | the URL |
//! | `session` | start-up, TLS, login, simple queries |
//! | `catalog` | what the server says of relations and their columns |
//! | `types` | a column's type: Arrow's, and how its bytes are decoded |
//! | `chunks` | page ranges |
//! | `snapshot` | one instant for all chunks of a run |
//! | `copy` | the COPY stream: messages, rows, fields |
//! | `columns` | fields become arrays |

mod address;
mod catalog;
mod chunks;
mod columns;
mod copy;
mod fault;
mod session;
mod snapshot;
pub mod types;

use address::Address;
use catalog::Table;
use copy::CopyReader;
use longshore_sdk::{
    ChunkWish, Connector, ConnectorInfo, Consistency, Error, Hold, Plan, Pushdown, Reader, Relation,
    RelationInfo, Result, ResultExt, Scan, Secret,
};
use schemars::JsonSchema;
use serde::Deserialize;
use session::Session;
use types::UnknownTypes;

/// PostgreSQL's port.
const PORT: u16 = 5432;

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
    /// What becomes of a column whose type has no Arrow type: it is refused, or moved as text.
    #[serde(default)]
    unknown_types: UnknownTypes,
}

/// Whether to speak TLS, and how far to verify the server; as libpq means it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server can; verified by nobody.
    Prefer,
    /// Always; verified by nobody, unless there is a `root_cert`.
    Require,
    /// Always; signed by a trusted authority.
    VerifyCa,
    /// Always; signed by a trusted authority, for the host's name.
    VerifyFull,
}

/// The connector, with one open session.
pub struct Postgres {
    session: Session,
    unknown_types: UnknownTypes,
    /// What was looked up last: a plan and its chunks ask for the same relation again and again.
    known: Option<(Relation, Table)>,
    /// The snapshot that the session's transaction sees.
    adopted: Option<String>,
}

impl Postgres {
    fn table(&mut self, relation: &Relation) -> Result<Table> {
        if let Some((known, table)) = &self.known
            && same(known, relation)
        {
            return Ok(table.clone());
        }
        let table = catalog::look_up(&mut self.session, relation, self.unknown_types)?;
        self.known = Some((relation.clone(), table.clone()));
        Ok(table)
    }
}

impl Postgres {
    fn adopt(&mut self, snapshot: Option<&String>) -> Result<()> {
        if let Some(token) = snapshot
            && self.adopted.as_ref() != Some(token)
        {
            snapshot::adopt(&mut self.session, token)?;
            self.adopted = Some(token.clone());
        }
        Ok(())
    }
}

fn same(a: &Relation, b: &Relation) -> bool {
    match (a, b) {
        (Relation::Table(a), Relation::Table(b)) | (Relation::Query(a), Relation::Query(b)) => {
            a == b
        }
        _ => false,
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
        let unknown_types = config.unknown_types;
        let session = Session::open(address, config)?;
        Ok(Self { session, unknown_types, known: None, adopted: None })
    }

    fn test(&mut self) -> Result<String> {
        let rows = self.session.query("SELECT version(), current_user, current_database()")?;
        match rows.first().map(Vec::as_slice) {
            Some([Some(version), Some(user), Some(database)]) => {
                let product = version.split(',').next().unwrap_or(version);
                Ok(format!(
                    "{product}: user {user}, database {database}, {}",
                    self.session.protection()
                ))
            }
            _ => Err(Error::internal("the server did not say what it is")),
        }
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        catalog::list(&mut self.session)
    }

    fn hold(&mut self, relations: &[Relation]) -> Result<Hold> {
        snapshot::export(&mut self.session, relations)
    }

    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        let table = self.table(relation)?;
        Ok(RelationInfo {
            schema: table.schema(),
            columns: table.columns.iter().map(types::Column::describe).collect(),
            rows: table.rows,
            bytes: table.size.as_ref().map(catalog::Size::bytes),
        })
    }

    fn plan(&mut self, scan: &Scan, wish: &ChunkWish) -> Result<Plan> {
        let table = self.table(&scan.relation)?;
        let plan = chunks::plan(&table, self.session.version(), wish);
        Ok(match scan.snapshot {
            Some(_) => Plan { consistency: Consistency::Snapshot, ..plan },
            None => plan,
        })
    }

    fn read(&mut self, scan: &Scan, descriptor: &[u8]) -> Result<Box<dyn Reader>> {
        let pages = chunks::Pages::parse(descriptor)?;
        self.adopt(scan.snapshot.as_ref())?;
        let table = self.table(&scan.relation)?;
        let columns = table.project(scan.projection.as_deref())?;
        let sql = table.copy_sql(&columns, &pages, scan.filter.as_deref(), scan.limit);
        let stream = self.session.start_copy(&sql)?;
        Ok(Box::new(CopyReader::new(stream, columns)))
    }
}

longshore_sdk::export_connector!(Postgres);
