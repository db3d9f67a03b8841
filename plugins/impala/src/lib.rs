//! The `impala` connector: tables and queries of Impala, Hive and Spark, by HiveServer2's protocol.
//!
//! | file | what |
//! |---|---|
//! | `address` | the URL |
//! | `wire` | bytes to the server and back: bare, within SASL, over HTTP |
//! | `thrift` | the protocol's values |
//! | `service` | HiveServer2's calls |
//! | `session` | statements and their rows |
//! | `relation` | what the catalog says of a relation |
//! | `facts` | what it says of a table, in its own words |
//! | `chunks` | partitions, ranges of a key, buckets of a hash |
//! | `types` | a column's type: Hive's and Arrow's |
//! | `decode`, `text` | columns and values become arrays |
//! | `storage` | where a table's files are |
//! | `register`, `ddl` | tables over files that a run published |
//! | `fault` | the server's errors, by who must act |

mod address;
mod chunks;
mod ddl;
mod decode;
mod explain;
mod facts;
mod fault;
mod register;
mod relation;
mod service;
mod session;
mod storage;
mod text;
mod thrift;
mod types;
mod wire;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;

use address::{Address, HIVE_PORT, IMPALA_PORT, Product};
use chunks::Slice;
use longshore_sdk::array::RecordBatch;
use longshore_sdk::host;
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{
    ChunkHints, Connector, ConnectorInfo, Consistency, Error, Plan, Pushdown, Reader, Relation,
    RelationInfo, Result, ResultExt, Scan, Secret, Storage, TableRegistration,
};
use schemars::JsonSchema;
use serde::Deserialize;
use service::Column;
use session::{Operation, Rows, Session, quote};

/// What a job's `source:` holds.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `impala://user@host:21050/database`, or `hive://user@host:10000/database` for Hive and Spark.
    url: String,
    /// The password, for servers that ask LDAP or PAM. It is sent as it is: only over TLS, or to
    /// this machine.
    password: Option<Secret>,
    /// How to log in: `nosasl`, `plain` (which is also LDAP's) or `kerberos`. Unless told: `kerberos` where the
    /// job gives it, `plain` for Hive and where there is a password, `nosasl` for Impala.
    auth: Option<Auth>,
    /// The service's name in its Kerberos principal, as in `hive/host@REALM`; if absent `hive` or `impala`.
    kerberos_service: Option<String>,
    /// How messages travel: `binary`, or `http`.
    #[serde(default)]
    transport: Transport,
    /// The path of HTTP's URL.
    #[serde(default = "default_http_path")]
    http_path: String,
    /// Whether to speak TLS and how far to verify the server.
    #[serde(default)]
    tls: Tls,
    /// The authority's certificate, PEM; the system's authorities without it.
    root_cert: Option<Secret>,
    /// Options of the session, such as `mem_limit: 4g` or `spark.sql.session.timeZone: UTC`.
    #[serde(default)]
    query_options: BTreeMap<String, String>,
    /// What timestamps become: `microseconds`; `nanoseconds`, which reach from 1677 to 2262; `text`.
    #[serde(default)]
    timestamps: Timestamps,
    /// Rows asked for at a time.
    #[serde(default = "default_fetch_rows")]
    fetch_rows: NonZeroU32,
    /// Whether tables that are registered get statistics, `COMPUTE STATS`; they do in Impala if absent.
    statistics: Option<bool>,
}

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Auth {
    /// Not at all.
    Nosasl,
    /// By SASL PLAIN: a name and a password.
    Plain,
    /// By Kerberos: SASL GSSAPI, over HTTP Negotiate.
    Kerberos,
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Transport {
    /// On a connection of their own.
    #[default]
    Binary,
    /// As bodies of requests.
    Http,
}

/// Whether to speak TLS, and how far to verify the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Tls {
    /// Never.
    #[default]
    Disable,
    /// Verified by nobody.
    Require,
    /// Signed by a trusted authority.
    VerifyCa,
    /// Signed by a trusted authority, for the host's name.
    VerifyFull,
}

/// What timestamps become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Timestamps {
    /// Microseconds; one with more digits is an error.
    #[default]
    Microseconds,
    /// Nanoseconds; one before 1677 or after 2262 is an error.
    Nanoseconds,
    /// What the server writes.
    Text,
}

fn default_http_path() -> String {
    "cliservice".into()
}

fn default_fetch_rows() -> NonZeroU32 {
    const { NonZeroU32::new(10_000).unwrap() }
}

impl Config {
    fn auth(&self, address: &Address) -> Auth {
        self.auth.unwrap_or_else(|| match (address.product, &self.password) {
            (_, None) if host::kerberos_granted() => Auth::Kerberos,
            (Product::Impala, None) => Auth::Nosasl,
            _ => Auth::Plain,
        })
    }

    fn service(&self, address: &Address) -> &str {
        self.kerberos_service.as_deref().unwrap_or(match address.product {
            Product::Impala => "impala",
            Product::Hive => "hive",
        })
    }

    /// A password that everybody on the way could read is not sent.
    fn check(&self, address: &Address) -> Result<()> {
        let is_here = matches!(address.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if self.password.is_some() && self.tls == Tls::Disable && !is_here {
            Err(Error::config("`password` would be sent so that everybody can read it")
                .with_hint("give `tls: verify-full`, and have the server speak TLS"))
        } else {
            Ok(())
        }
    }
}

/// The connector, with one open session.
pub struct Impala {
    session: Rc<RefCell<Session>>,
    timestamps: Timestamps,
    fetch_rows: NonZeroU32,
    statistics: bool,
    /// What was looked up last: a plan and its chunks ask for the same relation again and again.
    known: Option<(Relation, Vec<Column>)>,
}

impl Impala {
    fn columns(&mut self, relation: &Relation) -> Result<Vec<Column>> {
        if let Some((known, columns)) = &self.known
            && known == relation
        {
            return Ok(columns.clone());
        }
        let columns = relation::columns(&mut self.session.borrow_mut(), relation)?;
        self.known = Some((relation.clone(), columns.clone()));
        Ok(columns)
    }
}

impl Connector for Impala {
    type Config = Config;

    fn describe() -> ConnectorInfo {
        ConnectorInfo {
            name: "impala",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Tables and queries of Impala, Hive and Spark, by HiveServer2's protocol",
            schemes: &["impala", "hive"],
            endpoints: &[("url", IMPALA_PORT), ("url", HIVE_PORT)],
            secrets: &["password", "root_cert"],
            pushdown: Pushdown { projection: true, filter: Some("mysql".into()), limit: true },
            consistency: Consistency::PerChunk,
        }
    }

    fn open(config: Config) -> Result<Self> {
        let address = Address::parse(&config.url).context("`url`")?;
        config.check(&address)?;
        let (timestamps, fetch_rows) = (config.timestamps, config.fetch_rows);
        let statistics = config.statistics.unwrap_or(address.product == Product::Impala);
        let session = Rc::new(RefCell::new(Session::open(address, config)?));
        Ok(Self { session, timestamps, fetch_rows, statistics, known: None })
    }

    fn test(&mut self) -> Result<String> {
        let mut session = self.session.borrow_mut();
        let version = session.value("SELECT version()")?.unwrap_or_default();
        let version: String = version.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        Ok(format!("{version}, user {}", session.address.user))
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        relation::list(&mut self.session.borrow_mut())
    }

    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        let columns = self.columns(relation)?;
        let size = relation::size(&mut self.session.borrow_mut(), relation)?;
        Ok(RelationInfo {
            schema: session::schema(&columns, self.timestamps),
            columns: columns.iter().map(Column::describe).collect(),
            rows: size.rows,
            bytes: size.bytes,
        })
    }

    fn tables_of_query(&mut self, query: &str) -> Result<Vec<String>> {
        explain::tables(&mut self.session.borrow_mut(), query)
    }

    fn storage(&mut self, relation: &Relation) -> Result<Storage> {
        let columns = self.columns(relation)?;
        storage::storage(&mut self.session.borrow_mut(), relation, &columns)
    }

    fn plan(&mut self, scan: &Scan, hints: &ChunkHints) -> Result<Plan> {
        let columns = self.columns(&scan.relation)?;
        chunks::plan(&mut self.session.borrow_mut(), &columns, scan, hints)
    }

    fn read(&mut self, scan: &Scan, descriptor: &[u8]) -> Result<Box<dyn Reader>> {
        let slice = Slice::parse(descriptor)?;
        let columns = project(self.columns(&scan.relation)?, scan.projection.as_deref())?;
        let rows =
            Rows::new(session::schema(&columns, self.timestamps), i64::from(self.fetch_rows.get()));
        let sql = select(&columns, scan, &slice)?;
        let table = match &scan.relation {
            Relation::Table(_) => Some(relation::from(&scan.relation)?),
            Relation::Query(_) => None,
        };
        let operation = execute(&mut self.session.borrow_mut(), &sql, table.as_deref())?;
        Ok(Box::new(ResultReader {
            session: self.session.clone(),
            operation: Some(operation),
            rows,
            table,
        }))
    }

    fn check_tables(&mut self, tables: &[TableRegistration]) -> Result<()> {
        register::check(&mut self.session.borrow_mut(), tables)
    }

    fn register(&mut self, tables: &[TableRegistration]) -> Result<Vec<String>> {
        register::register(&mut self.session.borrow_mut(), tables, self.statistics)
    }

    fn unregister(&mut self, tables: &[TableRegistration]) -> Result<()> {
        register::unregister(&mut self.session.borrow_mut(), tables)
    }
}

fn project(columns: Vec<Column>, projection: Option<&[String]>) -> Result<Vec<Column>> {
    let Some(names) = projection else { return Ok(columns) };
    let find = |name: &String| {
        let found = columns.iter().find(|column| column.name == *name).cloned();
        found.ok_or_else(|| Error::internal(format!("no column `{name}` to project")))
    };
    names.iter().map(find).collect()
}

fn select(columns: &[Column], scan: &Scan, slice: &Slice) -> Result<String> {
    let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    // Of rows that only count, one constant each.
    let names = if names.is_empty() { "CAST(1 AS INT)".to_owned() } else { names.join(", ") };
    let conditions: Vec<String> =
        slice.condition.iter().chain(&scan.filter).map(|own| format!("({own})")).collect();
    let mut sql = format!("SELECT {names} FROM {}", relation::from(&scan.relation)?);
    if !conditions.is_empty() {
        sql += &format!(" WHERE {}", conditions.join(" AND "));
    }
    if let Some(limit) = scan.limit {
        sql += &format!(" LIMIT {limit}");
    }
    Ok(sql)
}

/// Runs a query; when what the server knows of the table's files is out of date, once more after a
/// look at them.
fn execute(session: &mut Session, sql: &str, table: Option<&str>) -> Result<Operation> {
    match (session.execute(sql), table) {
        (Err(error), Some(table)) if fault::is_outdated(&error) => {
            refresh(session, table);
            session.execute(sql)
        }
        (done, _) => done,
    }
}

/// Has the server look at a table's files again. Where that is not allowed, it stays as it was.
fn refresh(session: &mut Session, table: &str) {
    let _ = match session.address.product {
        Product::Impala => session.run(&format!("REFRESH {table}")),
        Product::Hive => session.run(&format!("REFRESH TABLE {table}")),
    };
}

/// A chunk's rows.
struct ResultReader {
    session: Rc<RefCell<Session>>,
    operation: Option<Operation>,
    rows: Rows,
    /// The table, if it is one.
    table: Option<String>,
}

impl Reader for ResultReader {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(operation) = &self.operation else { return Ok(None) };
        let session = &mut self.session.borrow_mut();
        let next = self.rows.next(session, operation);
        if let (Err(error), Some(table)) = (&next, &self.table)
            && fault::is_outdated(error)
        {
            // The chunk is read again, and then finds what is there.
            refresh(session, table);
        }
        if let Ok(None) = &next
            && let Some(operation) = self.operation.take()
        {
            session.close(operation);
        }
        next
    }
}

impl Drop for ResultReader {
    fn drop(&mut self) {
        if let Some(operation) = self.operation.take() {
            self.session.borrow_mut().cancel(operation);
        }
    }
}

longshore_sdk::export_connector!(Impala);
