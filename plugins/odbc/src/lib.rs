//! The `odbc` connector: tables and queries of any database that has an ODBC driver. It decides, the host
//! moves: what it plans are statements, whose rows the host reads from the driver itself.
//!
//! | file | what |
//! |---|---|
//! | `login` | the job's URL: how a session begins |
//! | `dialect` | what is particular to a database: a table of them |
//! | `relation` | what is known of a table or a query |
//! | `types` | a column's type: ODBC's and Arrow's |
//! | `chunks` | ranges of a key, buckets of a hash, or one |

mod chunks;
mod dialect;
mod login;
mod relation;
mod types;

use std::collections::BTreeMap;

use longshore_sdk::host::OdbcSession;
use longshore_sdk::host::odbc::{Login, Setting};
use longshore_sdk::{
    ChunkHints, Connector, ConnectorInfo, Consistency, Error, Plan, Pushdown, Reader, Relation,
    RelationInfo, Result, Scan, Secret,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::dialect::Dialect;
use crate::relation::RelationFacts;

/// What a job's `source:` holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `odbc:` and a connection string, as in `odbc:DSN=shop` or
    /// `odbc:Driver={ODBC Driver 18 for SQL Server};Server=db.internal;Database=shop`; or a URL of a
    /// database that is known: `mysql://user@host:3306/database`, `mariadb:`, `sqlserver:`, `oracle:`,
    /// `vertica:`, `sqlite:///path`, `odbc+postgresql:`, `odbc+greenplum:`.
    url: String,
    /// The password.
    password: Option<Secret>,
    /// The user, where the URL names none.
    user: Option<String>,
    /// The driver, if not the first that is installed for the URL's database; see `longshore odbc drivers`.
    driver: Option<String>,
    /// More attributes of the connection string, such as `{ Encrypt: yes }`.
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// Statements that each session runs first.
    #[serde(default)]
    setup: Vec<String>,
    /// How rows are fetched: `auto`, in blocks where the driver does it without cutting a value; `rows`,
    /// one after the other.
    #[serde(default)]
    fetch: FetchMode,
    /// How the driver gives text: `utf-8`, or `utf-16` for one that spoils characters otherwise.
    #[serde(default)]
    encoding: Encoding,
    /// Seconds that any one answer of the driver may take, the next rows among them.
    #[serde(default = "default_timeout_secs")]
    timeout: u32,
}

/// How rows are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FetchMode {
    /// In blocks where nothing is cut.
    #[default]
    Auto,
    /// One after the other.
    Rows,
}

/// How the driver gives text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-16.
    #[serde(rename = "utf-16")]
    Utf16,
}

/// A statement may work long before its first row.
fn default_timeout_secs() -> u32 {
    3_600
}

/// An open session.
pub struct Odbc {
    config: Config,
    dialect: &'static Dialect,
    /// How sessions that read begin.
    login: Login,
    session: OdbcSession,
    quote: String,
}

longshore_sdk::export_connector!(Odbc);

/// SQLite's number for a file that cannot be opened.
const SQLITE_CANNOT_OPEN: &str = "HY000/14";

/// SQLite's driver does not name the file.
fn not_opened(error: Error, login: &Login, dialect: Option<&Dialect>) -> Error {
    let is_it = dialect.is_some_and(|dialect| dialect.loose);
    let file = login.attributes.iter().find_map(|attribute| match &attribute.value {
        Setting::Text(file) if attribute.name == "Database" => Some(file),
        _ => None,
    });
    match (error.code() == Some(SQLITE_CANNOT_OPEN) && is_it, file) {
        (true, Some(file)) => Error::config(format!("{file} cannot be opened as a database"))
            .with_hint("check `url`: the file must be there, and its user must be able to read it"),
        _ => error,
    }
}

impl Connector for Odbc {
    type Config = Config;

    fn describe() -> ConnectorInfo {
        ConnectorInfo {
            name: "odbc",
            version: env!("CARGO_PKG_VERSION"),
            summary: "reads whatever has an ODBC driver: SQL Server, Oracle, Vertica, MySQL, SQLite, ..",
            schemes: &[
                "odbc",
                "mysql",
                "mariadb",
                "sqlserver",
                "mssql",
                "oracle",
                "vertica",
                "sqlite",
                "odbc+postgresql",
                "odbc+greenplum",
            ],
            endpoints: &[],
            secrets: &["password"],
            pushdown: Pushdown { projection: true, filter: Some("generic".into()), limit: true },
            consistency: Consistency::PerChunk,
        }
    }

    fn open(config: Config) -> Result<Self> {
        let (login, named) = login::login(&config)?;
        let mut session =
            OdbcSession::connect(&login).map_err(|error| not_opened(error, &login, named))?;
        let product = session.product()?;
        let dialect = match named {
            Some(dialect) => dialect,
            None => dialect::of_product(&product.name),
        };
        let settled = login::settled(login.clone(), dialect, &config);
        if settled != login {
            session = OdbcSession::connect(&settled)?;
        }
        let quote = dialect.quote.map_or(product.quote, str::to_owned);
        Ok(Self { config, dialect, login: settled, session, quote })
    }

    fn test(&mut self) -> Result<String> {
        let product = self.session.product()?;
        let user = match product.user.as_str() {
            "" => String::new(),
            user => format!(", as {user}"),
        };
        Ok(format!(
            "{} {}{user}, by {} {}",
            product.name, product.version, product.driver, product.driver_version
        ))
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        relation::list(self)
    }

    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        let RelationFacts { columns, rows, bytes, .. } = relation::describe(self, relation)?;
        types::info(&columns, rows, bytes)
    }

    fn plan(&mut self, scan: &Scan, hints: &ChunkHints) -> Result<Plan> {
        chunks::plan(self, scan, hints)
    }

    fn read(&mut self, _: &Scan, _: &[u8]) -> Result<Box<dyn Reader>> {
        Err(Error::data("the host reads these chunks itself").with_hint("plan the run again"))
    }
}

/// A name as it stands in a statement.
fn quoted(name: &str, quote: &str) -> String {
    let Some(first) = quote.chars().next() else { return name.to_owned() };
    let last = if first == '[' { ']' } else { first };
    format!("{first}{}{last}", name.replace(last, &format!("{last}{last}")))
}
