//! A session: statements, their rows, and another session when the server has lost this one.

use std::sync::Arc;

use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use longshore_sdk::schema::{DataType, Field, Schema, SchemaRef};
use longshore_sdk::{Error, ErrorClass, Result, host};

use crate::address::{Address, Product};
use crate::decode::ColumnDecoder;
use crate::service::{self, Column, State};
use crate::wire::Wire;
use crate::{Config, Timestamps, fault};

/// The waits between looks at an operation: short at first, for catalogs answer at once.
const FIRST_LOOK_MILLIS: u32 = 2;
const LAST_LOOK_MILLIS: u32 = 500;

/// Rows asked for at a time where only the catalog is read.
const CATALOG_ROWS: i64 = 10_000;

/// The most rows of the catalog's answers: partitions, tables.
const CATALOG_LIMIT_ROWS: usize = 1_000_000;

/// How much makes a batch.
const BATCH_BYTES: usize = 1 << 20;

pub struct Session {
    pub address: Address,
    config: Config,
    wire: Wire,
    handle: Vec<u8>,
}

/// A statement under way, or done.
pub struct Operation(Vec<u8>);

impl Session {
    pub fn open(address: Address, config: Config) -> Result<Self> {
        let (wire, handle) = Self::connect(&address, &config)?;
        let mut session = Self { address, config, wire, handle };
        session.enter()?;
        Ok(session)
    }

    fn connect(address: &Address, config: &Config) -> Result<(Wire, Vec<u8>)> {
        let mut wire = Wire::open(address, config)?;
        let settings =
            config.query_options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // Hive takes none that it does not know here; they are set one by one.
        let settings = match address.product {
            Product::Impala => settings.collect::<Vec<_>>(),
            Product::Hive => Vec::new(),
        };
        let handle = service::open_session(&mut wire, &address.user, settings.into_iter())?;
        Ok((wire, handle))
    }

    /// What every session begins with.
    fn enter(&mut self) -> Result<()> {
        if let Some(database) = self.address.database.clone() {
            self.run(&format!("USE {}", quote(&database)))?;
        }
        if self.address.product == Product::Hive {
            for (name, value) in self.config.query_options.clone() {
                self.run(&format!("SET {name}={value}"))?;
            }
        }
        Ok(())
    }

    /// Runs a statement whose rows nobody wants.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        let operation = self.complete(sql)?;
        self.close(operation);
        Ok(())
    }

    /// Runs a statement; in a session that the server has lost meanwhile, in another one.
    pub fn execute(&mut self, sql: &str) -> Result<Operation> {
        match self.complete(sql) {
            Err(error) if fault::is_lost(&error) && !fault::is_outdated(&error) => {
                (self.wire, self.handle) = Self::connect(&self.address, &self.config)?;
                self.enter()?;
                self.complete(sql)
            }
            done => done,
        }
    }

    /// Runs a statement until it has rows.
    fn complete(&mut self, sql: &str) -> Result<Operation> {
        let operation = self.begin(sql)?;
        match self.wait(&operation) {
            Ok(()) => Ok(operation),
            Err(error) => {
                self.close(operation);
                Err(error)
            }
        }
    }

    fn begin(&mut self, sql: &str) -> Result<Operation> {
        service::execute(&mut self.wire, &self.handle, sql).map(Operation)
    }

    /// Waits until an operation has rows. If the plugin is stopped meanwhile, the host cancels it.
    fn wait(&mut self, operation: &Operation) -> Result<()> {
        self.wire.set_cancel_message(&service::cancel_message(&operation.0))?;
        let mut wait = FIRST_LOOK_MILLIS;
        while service::state(&mut self.wire, &operation.0)? == State::UnderWay {
            host::sleep(wait);
            wait = (wait * 2).min(LAST_LOOK_MILLIS);
        }
        Ok(())
    }

    pub fn columns(&mut self, operation: &Operation) -> Result<Vec<Column>> {
        service::columns(&mut self.wire, &operation.0)
    }

    /// Ends an operation; that it cannot be matters to nobody.
    pub fn close(&mut self, operation: Operation) {
        let closed = service::close_operation(&mut self.wire, &operation.0);
        let _ = closed.and_then(|()| self.wire.set_cancel_message(&[]));
    }

    /// Stops an operation whose rows are not wanted any more.
    pub fn cancel(&mut self, operation: Operation) {
        let _ = service::cancel(&mut self.wire, &operation.0);
        self.close(operation);
    }

    /// The columns of a statement's result, without its rows.
    pub fn describe(&mut self, sql: &str) -> Result<Vec<Column>> {
        let operation = self.execute(sql)?;
        let columns = self.columns(&operation);
        self.close(operation);
        columns
    }

    /// All rows of a small result, as texts.
    pub fn rows(&mut self, sql: &str) -> Result<Table> {
        let operation = self.execute(sql)?;
        let table = self.read_table(&operation);
        self.close(operation);
        table
    }

    /// The same, of what not every relation has, such as partitions.
    pub fn rows_if_any(&mut self, sql: &str) -> Result<Option<Table>> {
        match self.rows(sql) {
            Ok(table) => Ok(Some(table)),
            Err(error) if matches!(error.class(), ErrorClass::Data | ErrorClass::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read_table(&mut self, operation: &Operation) -> Result<Table> {
        let columns = self.columns(operation)?;
        let schema = schema(&columns, Timestamps::Text);
        let mut rows = Rows::new(schema, CATALOG_ROWS);
        let mut table = Table {
            names: columns.iter().map(|column| column.name.to_lowercase()).collect(),
            rows: Vec::new(),
        };
        while let Some(batch) = rows.next(self, operation)? {
            let texts: Vec<Vec<Option<String>>> = batch.columns().iter().map(texts).collect();
            let row = |row: usize| texts.iter().map(|column| column[row].clone()).collect();
            table.rows.extend((0..batch.num_rows()).map(row));
            if table.rows.len() > CATALOG_LIMIT_ROWS {
                return Err(Error::resource(format!(
                    "the catalog's answer has over {CATALOG_LIMIT_ROWS} rows"
                )));
            }
        }
        Ok(table)
    }

    /// One value of the first row.
    pub fn value(&mut self, sql: &str) -> Result<Option<String>> {
        let table = self.rows(sql)?;
        Ok(table.rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = service::close_session(&mut self.wire, &self.handle);
    }
}

/// A small result.
pub struct Table {
    /// In lower case.
    names: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Table {
    #[cfg(test)]
    pub fn of_rows(rows: Vec<Vec<Option<String>>>) -> Self {
        Self { names: Vec::new(), rows }
    }

    /// A column's number.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// A row's value in a column.
    pub fn value<'a>(&self, row: &'a [Option<String>], name: &str) -> Option<&'a str> {
        row.get(self.column(name)?)?.as_deref()
    }

    /// A column's name.
    pub fn name(&self, column: usize) -> &str {
        &self.names[column]
    }
}

/// The rows of an operation, batch by batch.
pub struct Rows {
    schema: SchemaRef,
    decoders: Vec<ColumnDecoder>,
    fetch_rows: i64,
    is_over: bool,
}

impl Rows {
    pub fn new(schema: SchemaRef, fetch_rows: i64) -> Self {
        let decoder = |field: &Arc<Field>| ColumnDecoder::new(field.name(), field.data_type());
        let mut decoders: Vec<ColumnDecoder> = schema.fields().iter().map(decoder).collect();
        if decoders.is_empty() {
            // Rows only count: each has one constant.
            decoders.push(ColumnDecoder::new("1", &DataType::Int32));
        }
        Self { schema, decoders, fetch_rows, is_over: false }
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Several fetches, until they are worth a batch.
    pub fn next(
        &mut self,
        session: &mut Session,
        operation: &Operation,
    ) -> Result<Option<RecordBatch>> {
        while !self.is_over && self.bytes() < BATCH_BYTES {
            self.fetch(session, operation)?;
        }
        if self.held() == 0 {
            return Ok(None);
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(self.held()));
        let mut columns: Vec<ArrayRef> =
            self.decoders.iter_mut().map(ColumnDecoder::finish).collect::<Result<_>>()?;
        columns.truncate(self.schema.fields().len());
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &rows);
        batch.map(Some).map_err(|error| {
            Error::internal(format!("the server's columns do not fit together: {error}"))
        })
    }

    fn fetch(&mut self, session: &mut Session, operation: &Operation) -> Result<()> {
        let before = self.held();
        let decoders = &mut self.decoders;
        let mut columns = 0;
        let has_more =
            service::fetch(&mut session.wire, &operation.0, self.fetch_rows, |reader, number| {
                columns += 1;
                let decoder = decoders.get_mut(number);
                let decoder = decoder.ok_or_else(|| {
                    Error::internal("the server sent more columns than it declared")
                })?;
                decoder.read(reader)
            })?;
        let after = self.held();
        if columns > 0 && self.decoders.iter().any(|decoder| decoder.rows() != after) {
            return Err(Error::internal("the server's columns have different numbers of rows"));
        }
        // Hive always says that there are no more: an empty fetch is the end. Impala sends empty ones
        // in the middle, and means what it says.
        self.is_over = after == before && !has_more;
        Ok(())
    }

    fn held(&self) -> usize {
        self.decoders.first().map_or(0, ColumnDecoder::rows)
    }

    fn bytes(&self) -> usize {
        self.decoders.iter().map(ColumnDecoder::bytes).sum()
    }
}

pub fn schema(columns: &[Column], timestamps: Timestamps) -> SchemaRef {
    let fields: Vec<Field> = columns.iter().map(|column| column.field(timestamps)).collect();
    Arc::new(Schema::new(fields))
}

/// A name, so that it means itself.
pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text in SQL.
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn texts(array: &ArrayRef) -> Vec<Option<String>> {
    use longshore_sdk::array::types::{Int16Type, Int32Type, Int64Type};
    let text = |row: usize| match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row).to_owned()),
        DataType::Int16 => Some(array.as_primitive::<Int16Type>().value(row).to_string()),
        DataType::Int32 => Some(array.as_primitive::<Int32Type>().value(row).to_string()),
        DataType::Int64 => Some(array.as_primitive::<Int64Type>().value(row).to_string()),
        DataType::Boolean => Some(array.as_boolean().value(row).to_string()),
        _ => None,
    };
    (0..array.len()).map(|row| if array.is_null(row) { None } else { text(row) }).collect()
}
