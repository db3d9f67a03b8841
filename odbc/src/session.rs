//! A session with a database: connecting, looking around, small queries, reading.

use longshore_odbc_wire::{Catalog, Column, Product, Reading, Rows, TableName, Value};
use odbc_api::handles::{
    AsStatementRef, ColumnDescription, Connection as Handle, Nullability, SqlText, Statement,
    StatementImpl,
};
use odbc_api::parameter::InputParameter;
use odbc_api::sys::{CDataType, InfoType, SqlDataType};
use odbc_api::{ConnectionOptions, CursorImpl, Environment, IntoParameter, Preallocated};

use crate::fault::{Result, Trouble, checked};
use crate::lifeline::Lifeline;
use crate::raw;
use crate::reading;

/// The most rows of an answer from a database's catalog.
const CATALOG_LIMIT_ROWS: u32 = 100_000;

/// The most bytes of an answer of texts.
const ROWS_LIMIT_BYTES: usize = 64 << 20;

/// `SQL_BIGINT`, `SQL_TINYINT`, `SQL_INTEGER`, `SQL_SMALLINT`.
const WHOLE_NUMBERS: &[i16] = &[-5, -6, 4, 5];

/// What can be read.
const TABLE_TYPES: &str = "TABLE,VIEW,MATERIALIZED VIEW,FOREIGN TABLE,PARTITIONED TABLE";

/// A session.
pub struct Session<'e>(Handle<'e>);

/// The drivers that are installed.
pub fn drivers(environment: &Environment) -> Result<Vec<String>> {
    let mut drivers: Vec<String> =
        environment.drivers()?.into_iter().map(|driver| driver.description).collect();
    drivers.sort();
    Ok(drivers)
}

/// The data sources that are set up, and their drivers.
pub fn sources(environment: &Environment) -> Result<Vec<(String, String)>> {
    let sources = environment.data_sources()?.into_iter();
    let mut sources: Vec<_> = sources.map(|source| (source.server_name, source.driver)).collect();
    sources.sort();
    Ok(sources)
}

/// A value of a connection string, in braces where it would not be taken as it stands: with blanks at its
/// ends, for one.
fn written(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:\\,@".contains(c);
    let is_braced = value.starts_with('{') && value.ends_with('}');
    if value.chars().all(is_plain) || is_braced {
        value.to_owned()
    } else {
        format!("{{{}}}", value.replace('}', "}}"))
    }
}

impl<'e> Session<'e> {
    /// Connects.
    pub fn open(
        environment: &'e Environment,
        attributes: &[(String, String)],
        login_timeout_secs: u32,
    ) -> Result<Self> {
        check_driver(environment, attributes)?;
        let text: String =
            attributes.iter().map(|(name, value)| format!("{name}={};", written(value))).collect();
        let login_timeout_sec = Some(login_timeout_secs);
        let options = ConnectionOptions { login_timeout_sec, ..ConnectionOptions::default() };
        let connection = environment.connect_with_connection_string(&text, options)?;
        Ok(Self(connection.into_handle()))
    }

    /// What answered.
    pub fn product(&self) -> Result<Product> {
        let text = |what| raw::info_text(self.0.as_sys(), what);
        Ok(Product {
            name: text(InfoType::DbmsName),
            version: text(InfoType::DbmsVer),
            driver: text(InfoType::DriverName),
            driver_version: text(InfoType::DriverVer),
            user: text(InfoType::UserName),
            quote: text(InfoType::IdentifierQuoteChar).trim().to_owned(),
        })
    }

    /// What the database has.
    pub fn catalog(&self, what: &Catalog) -> Result<Rows> {
        match what {
            Catalog::Tables => {
                let cursor = self.statement()?.into_tables_cursor("", "", "", TABLE_TYPES)?;
                texts(cursor.into_stmt(), CATALOG_LIMIT_ROWS)
            }
            Catalog::PrimaryKey(TableName { catalog, schema, name }) => {
                let (catalog, schema) = (catalog.as_deref(), schema.as_deref());
                let cursor = self.statement()?.into_primary_keys_cursor(catalog, schema, name)?;
                texts(cursor.into_stmt(), CATALOG_LIMIT_ROWS)
            }
            Catalog::Statistics(table) => {
                let mut statement = self.statement()?.into_handle();
                raw::statistics(&mut statement, table)?;
                texts(statement, CATALOG_LIMIT_ROWS)
            }
        }
    }

    /// A statement's columns; it is prepared, and not run.
    pub fn describe(&self, sql: &str) -> Result<Vec<Column>> {
        let mut statement = self.statement()?.into_handle();
        statement.prepare(&SqlText::new(sql)).into_result(&statement)?;
        let count = statement.num_result_cols().into_result(&statement)?;
        (1..=u16::try_from(count).unwrap_or(0))
            .map(|number| column(&mut statement, number))
            .collect()
    }

    /// A statement's rows as texts.
    pub fn query(
        &self,
        lifeline: &Lifeline,
        sql: &str,
        parameters: &[Value],
        max_rows: u32,
    ) -> Result<Rows> {
        self.execute(lifeline, sql, parameters, |statement| match statement {
            Some(statement) => texts(statement, max_rows),
            None => Ok(Rows::new()),
        })
    }

    /// A statement's rows as Arrow.
    pub fn read(
        &self,
        lifeline: &Lifeline,
        wanted: &Reading,
        mut piece: impl FnMut(&[&[u8]]) -> Result<()>,
    ) -> Result<()> {
        let again = raw::any_value_again(self.0.as_sys());
        self.execute(lifeline, &wanted.sql, &wanted.parameters, |statement| match statement {
            Some(mut statement) => reading::read(&mut statement, wanted, again, &mut piece),
            None => Err(Trouble::own("the statement gives no rows")),
        })
    }

    /// Runs a statement that can be cancelled; it is, or its rows are, given to `then`.
    fn execute<T>(
        &self,
        lifeline: &Lifeline,
        sql: &str,
        parameters: &[Value],
        then: impl FnOnce(Option<StatementImpl<'_>>) -> Result<T>,
    ) -> Result<T> {
        let parameters: Vec<Box<dyn InputParameter>> = parameters.iter().map(parameter).collect();
        let mut statement = self.statement()?;
        let _under_way = lifeline.watch(statement.as_stmt_ref().as_sys());
        let cursor = statement.into_cursor(sql, parameters.as_slice());
        then(cursor?.map(CursorImpl::into_stmt))
    }

    fn statement(&self) -> Result<Preallocated<StatementImpl<'_>>> {
        let statement = self.0.allocate_statement().into_result(&self.0)?;
        // SAFETY: it is new, and nothing is bound to it.
        Ok(unsafe { Preallocated::new(statement) })
    }
}

/// A driver is one that is installed: the manager would load any file of that name.
fn check_driver(environment: &Environment, attributes: &[(String, String)]) -> Result<()> {
    let named = attributes.iter().filter(|(name, _)| name.trim().eq_ignore_ascii_case("driver"));
    let installed = drivers(environment)?;
    for (_, driver) in named {
        if !installed.iter().any(|name| name.eq_ignore_ascii_case(driver)) {
            let there = installed.join(", ");
            return Err(Trouble::NoDriver(format!(
                "`{driver}` is not installed; there are: {there}"
            )));
        }
    }
    Ok(())
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // Whoever cannot leave in peace is gone anyway.
        let _ = self.0.disconnect();
    }
}

fn parameter(value: &Value) -> Box<dyn InputParameter> {
    match value {
        Value::Integer(number) => Box::new(number.into_parameter()),
        Value::Text(text) => Box::new(text.clone().into_parameter()),
    }
}

fn column(statement: &mut StatementImpl<'_>, number: u16) -> Result<Column> {
    let mut described = ColumnDescription::default();
    statement.describe_col(number, &mut described).into_result(&*statement)?;
    let SqlDataType(code) = statement.col_concise_type(number).into_result(&*statement)?;
    Ok(Column {
        name: String::from_utf8_lossy(&described.name).into_owned(),
        data_type: code,
        type_name: raw::type_name(statement, number),
        size: described.data_type.column_size().map_or(0, |size| size.get() as u64),
        digits: described.data_type.decimal_digits(),
        nullable: described.nullability != Nullability::NoNulls,
        unsigned: WHOLE_NUMBERS.contains(&code)
            && statement.is_unsigned_column(number).into_result(&*statement).unwrap_or(false),
    })
}

/// All rows, each value as a text.
fn texts(mut statement: StatementImpl<'_>, max_rows: u32) -> Result<Rows> {
    let count = statement.num_result_cols().into_result(&statement)?;
    let columns = u16::try_from(count).unwrap_or(0);
    let (mut rows, mut bytes, mut value) = (Rows::new(), 0, Vec::new());
    loop {
        // SAFETY: nothing is bound.
        let more = unsafe { statement.fetch() };
        if !checked(more, &mut statement)? {
            return Ok(rows);
        }
        let mut row = Vec::with_capacity(columns.into());
        for column in 1..=columns {
            let is_there =
                raw::whole_value(&mut statement, column, CDataType::Char, 1, &mut value)?;
            bytes += value.len();
            row.push(is_there.then(|| String::from_utf8_lossy(&value).into_owned()));
        }
        rows.push(row);
        if rows.len() > max_rows as usize || bytes > ROWS_LIMIT_BYTES {
            return Err(Trouble::own(format!("more than {max_rows} rows, or too long ones")));
        }
    }
}
