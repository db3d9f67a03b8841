//! Database servers: their namespaces, and how their tables are called in full.

use longshore_model::config::table_name::{NamePart, name_parts};
use longshore_odbc_wire::attributes;
use url::Url;

use crate::lineage::dataset::DatasetName;

/// How a database writes a name that stands in no quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Folds {
    Lower,
    Upper,
    Never,
}

/// A database server.
#[derive(Debug)]
pub(super) struct Server {
    namespace: String,
    /// What stands before a table's name, where a job leaves it out: the database, the schema.
    before: Vec<String>,
    folds: Folds,
}

/// A kind of database: how OpenLineage calls it, its port, its schema where a job names none, and whether names
/// have a schema at all.
struct Product {
    name: &'static str,
    port: u16,
    schema: Option<&'static str>,
    folds: Folds,
}

const POSTGRES: Product =
    Product { name: "postgres", port: 5_432, schema: Some("public"), folds: Folds::Lower };
const IMPALA: Product = Product { name: "impala", port: 21_050, schema: None, folds: Folds::Lower };
const HIVE: Product = Product { name: "hive", port: 10_000, schema: None, folds: Folds::Lower };
const MYSQL: Product = Product { name: "mysql", port: 3_306, schema: None, folds: Folds::Never };
const MSSQL: Product =
    Product { name: "mssql", port: 1_433, schema: Some("dbo"), folds: Folds::Never };
const ORACLE: Product = Product { name: "oracle", port: 1_521, schema: None, folds: Folds::Upper };
const VERTICA: Product =
    Product { name: "vertica", port: 5_433, schema: Some("public"), folds: Folds::Never };

impl Server {
    /// The server of a connector's or a sink's URL.
    pub(super) fn of_url(url: &str) -> Self {
        let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let product = match scheme.as_str() {
            "postgres" | "postgresql" | "odbc+postgresql" | "odbc+greenplum" => POSTGRES,
            "impala" => IMPALA,
            "hive" => HIVE,
            "mysql" | "mariadb" => MYSQL,
            "sqlserver" | "mssql" => MSSQL,
            "oracle" => ORACLE,
            "vertica" => VERTICA,
            "odbc" => return Self::of_connection_string(url),
            _ => return Self::of_unknown(&scheme, url),
        };
        let Ok(url) = Url::parse(url) else { return Self::of_unknown(&scheme, url) };
        let user = decoded(url.username());
        let database = match decoded(url.path().trim_matches('/')) {
            database if !database.is_empty() => Some(database),
            _ if product.name == POSTGRES.name => Some(user.clone()),
            _ if matches!(product.name, "hive" | "impala") => Some("default".to_owned()),
            _ => None,
        };
        let schema = match product.name {
            // A user's tables are in the schema of the user's name.
            "oracle" => Some(user.to_uppercase()).filter(|user| !user.is_empty()),
            _ => product.schema.map(str::to_owned),
        };
        product.server(url.host_str().unwrap_or_default(), url.port(), database, schema)
    }

    /// `odbc:Driver=..;Server=..;Database=..`: by its driver as well as can be told; or `odbc:DSN=..`.
    fn of_connection_string(url: &str) -> Self {
        let said = attributes(url.split_once(':').map_or("", |(_, rest)| rest));
        let value = |names: &[&str]| {
            let named = |(name, _): &&(String, String)| {
                names.iter().any(|known| name.eq_ignore_ascii_case(known))
            };
            said.iter().find(named).map(|(_, value)| value.clone())
        };
        let driver = value(&["driver"]).unwrap_or_default().to_lowercase();
        let product = [
            ("postgres", POSTGRES),
            ("psql", POSTGRES),
            ("maria", MYSQL),
            ("mysql", MYSQL),
            ("sql server", MSSQL),
            ("freetds", MSSQL),
            ("oracle", ORACLE),
            ("vertica", VERTICA),
            ("impala", IMPALA),
            ("hive", HIVE),
        ];
        let product = product.into_iter().find(|(part, _)| driver.contains(part));
        let (database, host) =
            (value(&["database", "db"]), value(&["server", "host", "servername"]));
        if let (Some((_, product)), Some(host)) = (product, host) {
            let port = value(&["port"]).and_then(|port| port.parse().ok());
            let schema = product.schema.map(str::to_owned);
            return product.server(&host, port, database, schema);
        }
        let name = value(&["dsn"]).or(database).unwrap_or_default();
        Self { namespace: format!("odbc://{name}"), before: Vec::new(), folds: Folds::Never }
    }

    /// `SCHEME://HOST:PORT`, without what could be a login; the path is a part of names.
    fn of_unknown(scheme: &str, url: &str) -> Self {
        let url = Url::parse(url).ok();
        let host = url.as_ref().and_then(Url::host_str).filter(|host| !host.is_empty());
        let port = url.as_ref().and_then(Url::port).map(|port| format!(":{port}"));
        let namespace = match host {
            Some(host) => format!("{scheme}://{host}{}", port.unwrap_or_default()),
            None => scheme.to_owned(),
        };
        let path = url.as_ref().map_or("", |url| url.path().trim_end_matches('/'));
        // Without a host, it is a path of this machine.
        let path = if host.is_some() { path.trim_start_matches('/') } else { path };
        let path = decoded(path);
        let before = Some(path).filter(|path| !path.is_empty());
        Self { namespace, before: before.into_iter().collect(), folds: Folds::Never }
    }

    /// The same server, with another schema for tables that are named without one.
    pub(super) fn with_schema(mut self, schema: Option<&str>) -> Self {
        if let (Some(schema), [_, own]) = (schema, self.before.as_mut_slice()) {
            schema.clone_into(own);
        }
        self
    }

    /// A table, as a job names it.
    pub(super) fn table(&self, name: &str) -> DatasetName {
        let parts = name_parts(name).into_iter().map(|part| self.folded(part)).collect();
        self.of_parts(parts)
    }

    /// A table of a name that is exactly this.
    pub(super) fn exactly(&self, name: &str) -> DatasetName {
        self.of_parts(vec![name.to_owned()])
    }

    /// What the URL itself names.
    pub(super) fn itself(&self) -> DatasetName {
        DatasetName { namespace: self.namespace.clone(), name: self.before.join(".") }
    }

    /// A table by the parts of its name; what is left out is put before it.
    pub(super) fn of_parts(&self, parts: Vec<String>) -> DatasetName {
        let missing = (self.before.len() + 1).saturating_sub(parts.len());
        let whole: Vec<String> = self.before[..missing].iter().cloned().chain(parts).collect();
        DatasetName { namespace: self.namespace.clone(), name: whole.join(".") }
    }

    /// A table that a query names, by the parts of its name: in small letters where it stands in no quotes.
    pub(super) fn of_query(&self, parts: Vec<String>) -> DatasetName {
        let in_capitals = |part: String| {
            let is_small = !part.chars().any(char::is_uppercase);
            if self.folds == Folds::Upper && is_small { part.to_uppercase() } else { part }
        };
        self.of_parts(parts.into_iter().map(in_capitals).collect())
    }

    fn folded(&self, part: NamePart) -> String {
        match self.folds {
            Folds::Lower if !part.is_quoted => part.text.to_lowercase(),
            Folds::Upper if !part.is_quoted => part.text.to_uppercase(),
            _ => part.text,
        }
    }
}

impl Product {
    fn server(
        self,
        host: &str,
        port: Option<u16>,
        database: Option<String>,
        schema: Option<String>,
    ) -> Server {
        let (name, port) = (self.name, port.unwrap_or(self.port));
        // Names of servers have no case.
        let namespace = format!("{name}://{}:{port}", host.to_lowercase());
        // A schema without its database would look like one.
        let before = match (database, schema) {
            (None, _) => Vec::new(),
            (Some(database), schema) => std::iter::once(database).chain(schema).collect(),
        };
        Server { namespace, before, folds: self.folds }
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(url: &str, name: &str) -> String {
        let DatasetName { namespace, name } = Server::of_url(url).table(name);
        format!("{namespace} {name}")
    }

    #[test]
    fn a_query_names_tables_as_a_job_does() {
        for (url, part, name) in [
            ("oracle://me@db/xe", "orders", "orders"),
            ("oracle://me@db/xe", "Orders", "\"Orders\""),
            ("postgres://db/shop", "orders", "Orders"),
            ("vertica://db/shop", "Orders", "Orders"),
        ] {
            let server = Server::of_url(url);
            assert_eq!(server.of_query(vec![part.to_owned()]), server.table(name), "{url} {part}");
        }
    }

    #[test]
    fn tables_are_named_by_the_standard() {
        for (url, name, expected) in [
            ("postgres://me@DB:6000/shop", "orders", "postgres://db:6000 shop.public.orders"),
            ("postgres://me@db", "Sales.\"My.Orders\"", "postgres://db:5432 me.sales.My.Orders"),
            ("odbc+postgresql://me@db/shop", "a.b.c", "postgres://db:5432 a.b.c"),
            ("hive://h/lake", "Nation", "hive://h:10000 lake.nation"),
            ("impala://[::1]", "raw.`Nation`", "impala://[::1]:21050 raw.Nation"),
            ("impala://h", "nation", "impala://h:21050 default.nation"),
            ("mysql://me@db/shop", "Orders", "mysql://db:3306 shop.Orders"),
            ("mysql://me@db", "shop.Orders", "mysql://db:3306 shop.Orders"),
            ("sqlserver://db:1/shop", "[Order Lines]", "mssql://db:1 shop.dbo.Order Lines"),
            ("oracle://me@db/xe", "orders", "oracle://db:1521 xe.ME.ORDERS"),
            ("odbc:DSN=shop", "orders", "odbc://shop orders"),
            (
                "odbc:Driver={ODBC Driver 18 for SQL Server};Server=DB.internal;Database=shop",
                "orders",
                "mssql://db.internal:1433 shop.dbo.orders",
            ),
            ("sqlite:///data/shop.db", "orders", "sqlite /data/shop.db.orders"),
            ("tpch:", "nation", "tpch nation"),
            ("kafka://me:secret@broker:9092/topic", "t", "kafka://broker:9092 topic.t"),
        ] {
            assert_eq!(table(url, name), expected, "{url} {name}");
        }
    }
}
