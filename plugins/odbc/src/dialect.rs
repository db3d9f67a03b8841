//! What is particular to a database. To add one, add it to the table.

use longshore_sdk::sql::Lexis;

/// A database behind an ODBC driver.
#[derive(Debug)]
pub struct Dialect {
    /// Its name.
    pub name: &'static str,
    /// The URL schemes that mean it.
    pub schemes: &'static [&'static str],
    /// How the name that its drivers tell of it begins, in lower case.
    pub products: &'static [&'static str],
    /// Words in the names of its drivers, in lower case; the best first.
    pub drivers: &'static [&'static str],
    /// The attributes for a URL's host, port, database and user, and for a password.
    pub attributes: Attributes,
    /// Attributes that each session has.
    pub options: &'static [(&'static str, &'static str)],
    /// Statements that each session runs first.
    pub setup: &'static [&'static str],
    /// Those of sessions that read tables; their statements are this connector's own.
    pub own_setup: &'static [&'static str],
    /// What encloses names, where the driver does not say what this connector needs.
    pub quote: Option<&'static str>,
    /// What becomes of a name that nothing encloses.
    pub folds: Folds,
    /// How a statement says that it wants a few rows.
    pub limit: Limit,
    /// A bucket's number, from 0: of a column, in place of `{k}`, and so many buckets, of `{n}`.
    pub bucket: Option<&'static str>,
    /// A moment's or a date's text as a value.
    pub moment: &'static str,
    /// Estimated rows and bytes of a table, by its schema, which can be empty, and its name, as the catalog has them.
    pub size: Option<&'static str>,
    /// Its columns and their types, in the database's own words, by its name as the job gives it.
    pub types: Option<&'static str>,
    /// Whether values are bound: one driver holds a whole result in memory where they are.
    pub binds: bool,
    /// Whether any value may be in any column: then all are fetched as texts, and read strictly.
    pub loose: bool,
    /// How far comparisons mean what they mean in Arrow.
    pub compares: Compares,
    /// How its SQL is read.
    pub lexis: Lexis,
    /// Makes a text, in place of `{k}`, an error where a driver would cut it at a NUL character; `{m}` is
    /// the error's text.
    pub guard: Option<&'static str>,
    /// Whether there are dates such as `0000-00-00`, which drivers give as NULL unless they are texts.
    pub zero_dates: bool,
}

/// Names of attributes.
#[derive(Debug)]
pub struct Attributes {
    pub host: &'static str,
    /// Nothing where the host's has it too, behind this.
    pub port: Port,
    pub database: &'static str,
    pub user: &'static str,
    pub password: &'static str,
}

/// Where a port goes.
#[derive(Debug)]
pub enum Port {
    /// Into an attribute of its own.
    Own(&'static str),
    /// Behind the host: `db,1433`.
    Behind(char),
}

/// What becomes of a name that nothing encloses.
#[derive(Clone, Copy, Debug)]
pub enum Folds {
    Lower,
    Upper,
    Not,
}

/// How a statement says that it wants a few rows.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// `LIMIT 5`, at its end.
    Last,
    /// `TOP 5`, at its beginning.
    Top,
    /// `FETCH FIRST 5 ROWS ONLY`, at its end.
    Fetch,
}

/// Which comparisons mean what they mean in Arrow, besides those of whole numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compares {
    /// Decimals.
    pub decimals: bool,
    /// Dates.
    pub dates: bool,
    /// Texts, by equality: none are alike that are not the same.
    pub texts: bool,
}

const USUAL: Attributes = Attributes {
    host: "Server",
    port: Port::Own("Port"),
    database: "Database",
    user: "UID",
    password: "PWD",
};

const GENERIC: Dialect = Dialect {
    name: "odbc",
    schemes: &["odbc"],
    products: &[],
    drivers: &[],
    attributes: USUAL,
    options: &[],
    setup: &[],
    own_setup: &[],
    quote: None,
    folds: Folds::Not,
    limit: Limit::Fetch,
    bucket: None,
    moment: "?",
    size: None,
    types: None,
    binds: true,
    loose: false,
    compares: Compares { decimals: false, dates: false, texts: false },
    lexis: Lexis::STANDARD,
    guard: None,
    zero_dates: false,
};

const POSTGRESQL: Dialect = Dialect {
    name: "postgresql",
    schemes: &["odbc+postgresql"],
    products: &["postgresql"],
    drivers: &["postgresql unicode", "postgresql"],
    // Results come in blocks, not at once; booleans and bytes are what they are; lines end as they do.
    options: &[
        ("UseDeclareFetch", "1"),
        ("Fetch", "4096"),
        ("BoolsAsChar", "0"),
        ("ByteaAsLongVarBinary", "1"),
        ("LFConversion", "0"),
        ("UpdatableCursors", "0"),
    ],
    setup: &["SET TIME ZONE 'UTC'"],
    folds: Folds::Lower,
    limit: Limit::Last,
    bucket: Some("COALESCE((hashtext(CAST({k} AS text)) & 2147483647) % {n}, 0)"),
    moment: "CAST(? AS timestamp)",
    size: Some(
        "SELECT CAST(c.reltuples AS bigint), pg_table_size(c.oid) FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = COALESCE(NULLIF(?, ''), current_schema()) AND c.relname = ? \
         AND c.reltuples >= 0",
    ),
    types: Some(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute \
         WHERE attrelid = CAST(? AS regclass) AND attnum > 0 AND NOT attisdropped",
    ),
    compares: Compares { decimals: true, dates: true, texts: true },
    lexis: Lexis::POSTGRESQL,
    ..GENERIC
};

const GREENPLUM: Dialect = Dialect {
    name: "greenplum",
    schemes: &["odbc+greenplum"],
    products: &["greenplum"],
    drivers: &["greenplum", "postgresql unicode", "postgresql"],
    ..POSTGRESQL
};

const MYSQL: Dialect = Dialect {
    name: "mysql",
    schemes: &["mysql", "mariadb"],
    products: &["mysql", "mariadb"],
    drivers: &["mysql odbc 9", "mysql odbc 8", "mariadb", "mysql"],
    // Forward only, and not all rows at once: FLAG_FORWARD_CURSOR and FLAG_NO_CACHE.
    options: &[("OPTION", "3145728")],
    setup: &["SET time_zone = '+00:00'"],
    own_setup: &["SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES')"],
    quote: Some("`"),
    limit: Limit::Last,
    bucket: Some("COALESCE(CRC32(CAST({k} AS CHAR)) % {n}, 0)"),
    moment: "CAST(? AS DATETIME(6))",
    size: Some(
        "SELECT TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ?",
    ),
    compares: Compares { decimals: true, dates: true, texts: false },
    lexis: Lexis::MYSQL,
    guard: Some(
        "CASE WHEN LOCATE(X'00', CAST({k} AS BINARY)) > 0 THEN EXTRACTVALUE('<a/>', CONCAT('~', {m})) \
         ELSE {k} END",
    ),
    zero_dates: true,
    ..GENERIC
};

const SQLSERVER: Dialect = Dialect {
    name: "sqlserver",
    schemes: &["sqlserver", "mssql"],
    products: &["microsoft sql server"],
    drivers: &["odbc driver 18", "odbc driver 17", "sql server", "freetds"],
    attributes: Attributes { port: Port::Behind(','), ..USUAL },
    limit: Limit::Top,
    bucket: Some("COALESCE(ABS(CAST(CHECKSUM({k}) AS bigint)) % {n}, 0)"),
    moment: "CAST(? AS datetime2)",
    lexis: Lexis::SQLSERVER,
    size: Some(
        "SELECT SUM(row_count), SUM(used_page_count) * 8192 FROM sys.dm_db_partition_stats \
         WHERE object_id = OBJECT_ID(COALESCE(NULLIF(?, ''), SCHEMA_NAME()) + '.' + ?) \
         AND index_id IN (0, 1)",
    ),
    compares: Compares { decimals: true, dates: true, texts: false },
    ..GENERIC
};

const ORACLE: Dialect = Dialect {
    name: "oracle",
    schemes: &["oracle"],
    products: &["oracle"],
    drivers: &["oracle"],
    attributes: Attributes { host: "DBQ", port: Port::Behind(':'), database: "", ..USUAL },
    folds: Folds::Upper,
    limit: Limit::Fetch,
    bucket: Some("ORA_HASH({k}, {n} - 1)"),
    lexis: Lexis::ORACLE,
    moment: "TO_TIMESTAMP(?, 'YYYY-MM-DD HH24:MI:SS.FF6')",
    size: Some(
        "SELECT num_rows, blocks * 8192 FROM all_tables \
         WHERE owner = COALESCE(?, USER) AND table_name = ?",
    ),
    ..GENERIC
};

const VERTICA: Dialect = Dialect {
    name: "vertica",
    schemes: &["vertica"],
    products: &["vertica"],
    drivers: &["vertica"],
    limit: Limit::Last,
    lexis: Lexis::VERTICA,
    bucket: Some("COALESCE(HASH({k}) % {n}, 0)"),
    moment: "CAST(? AS timestamp)",
    compares: Compares { decimals: true, dates: true, texts: false },
    ..GENERIC
};

const SQLITE: Dialect = Dialect {
    name: "sqlite",
    schemes: &["sqlite"],
    products: &["sqlite"],
    drivers: &["sqlite3", "sqlite"],
    // Row by row out of the file, not all rows at once.
    // A file that is not there is not made.
    options: &[("StepAPI", "1"), ("NoCreat", "1")],
    limit: Limit::Last,
    types: Some("SELECT name, type FROM pragma_table_info(?)"),
    binds: false,
    loose: true,
    lexis: Lexis::SQLITE,
    guard: Some("CASE WHEN instr({k}, char(0)) > 0 THEN json_extract('[]', {m}) ELSE {k} END"),
    ..GENERIC
};

const ALL: &[&Dialect] =
    &[&POSTGRESQL, &GREENPLUM, &MYSQL, &SQLSERVER, &ORACLE, &VERTICA, &SQLITE, &GENERIC];

/// The one that a URL's scheme means; nothing for `odbc`, which can be any.
pub fn of_scheme(scheme: &str) -> Option<&'static Dialect> {
    let named = |dialect: &&&Dialect| dialect.schemes.contains(&scheme);
    ALL.iter().find(named).copied().filter(|dialect| dialect.name != GENERIC.name)
}

/// The one whose database this is.
pub fn of_product(name: &str) -> &'static Dialect {
    let name = name.to_ascii_lowercase();
    let named = |dialect: &&&Dialect| dialect.products.iter().any(|known| name.starts_with(known));
    ALL.iter().find(named).copied().unwrap_or(&GENERIC)
}

impl Dialect {
    /// The best of the drivers that are installed.
    pub fn driver(&self, installed: &[String]) -> Option<String> {
        let called = |word: &&str| {
            installed.iter().find(|driver| driver.to_ascii_lowercase().contains(*word)).cloned()
        };
        self.drivers.iter().find_map(called)
    }
}
