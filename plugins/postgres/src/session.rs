//! A session with the server: transactions that read, statements described, and the start of a COPY.

use std::cell::RefCell;
use std::iter;
use std::rc::Rc;

use fallible_iterator::FallibleIterator;
use longshore_postgres_client::message::backend::{Message, RowDescriptionBody};
use longshore_postgres_client::message::frontend;
use longshore_postgres_client::{Address, Client, Login, Rows, Server, fault, quote_literal};
use longshore_sdk::{Error, ErrorClass, Result};

/// What a transaction begins with. Nothing is set for longer than a transaction: behind a pooler
/// the next one may run in another session, or leave ours to somebody else.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Settings of every transaction: texts have one form, and nothing waits or runs for ever.
const SETTINGS: &[(&str, &str)] = &[
    ("timezone", "UTC"),
    // The order of days and months in dates that a query casts is the server's.
    ("datestyle", "ISO"),
    ("intervalstyle", "iso_8601"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    // A text in a filter, and what NULL means, do not depend on how a server is set up.
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    // A session that waits for the run's next chunk is not idle.
    ("idle_in_transaction_session_timeout", "0"),
    ("transaction_timeout", "0"),
];

/// A row of so many columns takes about as much of the server's memory as glibc keeps by itself.
const WIDE_COLUMNS: usize = 100;

/// What is freed once, so that glibc keeps twice as much from then on.
const KEPT_BYTES: usize = 4 << 20;

/// How long the server may take, as the job says.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) lock_timeout_secs: u32,
    pub(crate) statement_timeout_secs: u32,
    /// Whether the server's own time zone stays.
    pub(crate) keeps_timezone: bool,
}

/// A session that reads. Its client is shared with the COPY that is read on it.
pub(crate) struct Session {
    client: Rc<RefCell<Client>>,
    server: Server,
    limits: Limits,
    /// The transaction that has begun, if the server has not been told yet.
    beginning: Option<TransactionStart>,
    /// The settings of every transaction that the server knows; none before the first.
    known_settings: Option<Vec<String>>,
    /// The server's process keeps its memory from row to row.
    keeps_memory: bool,
}

/// The beginning of a transaction.
struct TransactionStart {
    /// The exported snapshot that it reads.
    snapshot: Option<String>,
}

impl TransactionStart {
    fn sql(&self, settings: &str) -> String {
        match &self.snapshot {
            None => format!("{BEGIN}; {settings}"),
            Some(token) => {
                format!("{BEGIN}; SET TRANSACTION SNAPSHOT {}; {settings}", quote_literal(token))
            }
        }
    }

    fn failed(&self, error: Error) -> Error {
        match (&self.snapshot, error.class()) {
            (None, _) => error,
            // The server answers, and does not know the snapshot.
            (Some(_), ErrorClass::Data | ErrorClass::NotFound) => {
                Error::stale(format!("the run's snapshot is gone: {}", error.message()))
            }
            (Some(_), _) => error.with_context("adopting the run's snapshot"),
        }
    }
}

/// A column that a statement would give.
#[derive(Clone, Debug)]
pub(crate) struct StatementColumn {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    /// The table and the number of the column that it comes from; 0 if from none.
    pub(crate) table_oid: u32,
    pub(crate) attribute: i16,
}

impl Session {
    pub(crate) fn open(address: &Address, login: &Login, limits: &Limits) -> Result<Self> {
        let client = Client::open(address, login)?;
        let server = client.server().clone();
        let client = Rc::new(RefCell::new(client));
        let limits = limits.clone();
        Ok(Self {
            client,
            server,
            limits,
            beginning: None,
            known_settings: None,
            keeps_memory: false,
        })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Begins a transaction that reads, in an exported snapshot if one is given. The server is told with the first
    /// query.
    pub(crate) fn begin(&mut self, snapshot: Option<&str>) {
        self.beginning = Some(TransactionStart { snapshot: snapshot.map(str::to_owned) });
    }

    /// Tells the server of the transaction before what is no query.
    fn begin_now(&mut self) -> Result<()> {
        if self.beginning.is_some() {
            self.query_each(&[])?;
        }
        Ok(())
    }

    /// Runs queries, after the transaction's beginning; the rows of each.
    fn query_each(&mut self, queries: &[&str]) -> Result<Vec<Rows>> {
        let Some(beginning) = self.beginning.take() else {
            return self.client.borrow_mut().query_each(queries)?.into_iter().collect();
        };
        let begin = beginning.sql(&settings(&self.limits, self.known_settings.as_deref()));
        let all: Vec<&str> = iter::once(begin.as_str()).chain(queries.iter().copied()).collect();
        let mut answers = self.client.borrow_mut().query_each(&all)?.into_iter();
        let begun = answers.next().ok_or_else(|| fault::protocol("no answer to a BEGIN"))?;
        let known = begun.map_err(|error| beginning.failed(error))?;
        self.note_settings(known);
        answers.collect()
    }

    /// Keeps which settings a first transaction has set.
    fn note_settings(&mut self, known: Rows) {
        let names = known.into_iter().filter_map(|row| row.into_iter().next()?);
        self.known_settings.get_or_insert_with(|| names.collect());
    }

    /// Sending a row, the server takes a kilobyte for each column and gives it back. Above its
    /// C library's threshold it goes back to the kernel, row by row, which takes more time than the
    /// row itself; glibc raises the threshold for good once something larger was freed.
    pub(crate) fn keep_memory(&mut self, columns: usize) -> Result<()> {
        if columns >= WIDE_COLUMNS && !self.keeps_memory {
            self.query(&format!("SELECT length(repeat(' ', {KEPT_BYTES}))"))?;
            self.keeps_memory = true;
        }
        Ok(())
    }

    /// Ends a transaction, without waiting for the server. One that it was never told of just ends.
    pub(crate) fn commit(&mut self) -> Result<()> {
        match self.beginning.take() {
            Some(_) => Ok(()),
            None => self.client.borrow_mut().start("COMMIT"),
        }
    }

    /// The one number that a query gives; 0 for none.
    pub(crate) fn number(&mut self, sql: &str) -> Result<u64> {
        let rows = self.query(sql)?;
        Ok(rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok()).unwrap_or(0))
    }

    /// One line on the server and on who we are there.
    pub(crate) fn introduce(&mut self) -> Result<String> {
        self.client.borrow_mut().introduce()
    }

    /// Runs a query; its rows as texts.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Rows> {
        let rows = self.query_each(&[sql])?.pop();
        rows.ok_or_else(|| fault::protocol("no answer to a query"))
    }

    /// Runs two queries, and waits for the server once.
    pub(crate) fn query_both(&mut self, first: &str, second: &str) -> Result<(Rows, Rows)> {
        match <[Rows; 2]>::try_from(self.query_each(&[first, second])?) {
            Ok([first, second]) => Ok((first, second)),
            Err(_) => Err(fault::protocol("not an answer to each query")),
        }
    }

    /// The columns that a statement would give, without running it.
    pub(crate) fn describe(&mut self, sql: &str) -> Result<Vec<StatementColumn>> {
        self.begin_now()?;
        let mut client = self.client.borrow_mut();
        client.send(|out| {
            frontend::parse("", sql, [], out)?;
            frontend::describe(b'S', "", out)?;
            frontend::sync(out);
            Ok(())
        })?;
        let (mut columns, mut failed) = (Vec::new(), None);
        loop {
            match client.receive()? {
                Message::RowDescription(row) => columns = statement_columns(&row)?,
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(columns), Err)
    }

    /// Starts a COPY to us; its data is read from what this gives.
    pub(crate) fn start_copy(&mut self, sql: &str) -> Result<CopyStream> {
        self.begin_now()?;
        let mut client = self.client.borrow_mut();
        client.cancel_if_stopped(true)?;
        client.send(|out| frontend::query(sql, out))?;
        let mut failed = None;
        loop {
            match client.receive()? {
                Message::CopyOutResponse(_) => break,
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => {
                    return Err(failed.unwrap_or_else(|| fault::protocol("no COPY data")));
                }
                _ => {}
            }
        }
        Ok(CopyStream { client: self.client.clone() })
    }
}

/// The session during a COPY: raw bytes.
pub(crate) struct CopyStream {
    client: Rc<RefCell<Client>>,
}

impl CopyStream {
    /// The next bytes from the server: first what came along with the start.
    pub(crate) fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        self.client.borrow_mut().read_raw(max)
    }

    /// Ends the transaction of a COPY that was read to its end.
    pub(crate) fn end(&mut self) -> Result<()> {
        let mut client = self.client.borrow_mut();
        client.cancel_if_stopped(false)?;
        client.query("COMMIT").map(drop)
    }
}

/// One statement that sets what the server knows of [`SETTINGS`] and of the job's limits. As long as it is
/// not known what that is, the server is asked, and the statement gives the names.
fn settings(limits: &Limits, known: Option<&[String]>) -> String {
    let keeps_timezone = limits.keeps_timezone;
    let (lock, statement) =
        (format!("{}s", limits.lock_timeout_secs), format!("{}s", limits.statement_timeout_secs));
    let limits = [("lock_timeout", lock.as_str()), ("statement_timeout", statement.as_str())];
    let wanted =
        SETTINGS.iter().filter(|(name, _)| *name != "timezone" || !keeps_timezone).chain(&limits);
    let Some(known) = known else {
        let values: Vec<String> =
            wanted.map(|(name, value)| format!("('{name}', '{value}')")).collect();
        return format!(
            "SELECT w.name, set_config(s.name, w.value, true) FROM (VALUES {}) AS w(name, value) \
             JOIN pg_catalog.pg_settings s ON lower(s.name) = w.name",
            values.join(", ")
        );
    };
    let set = wanted
        .filter(|(name, _)| known.iter().any(|own| own == name))
        .map(|(name, value)| format!("set_config('{name}', '{value}', true)"));
    format!("SELECT {}", set.collect::<Vec<_>>().join(", "))
}

fn statement_columns(row: &RowDescriptionBody) -> Result<Vec<StatementColumn>> {
    row.fields()
        .map(|field| {
            Ok(StatementColumn {
                name: field.name().to_owned(),
                type_oid: field.type_oid(),
                type_modifier: field.type_modifier(),
                table_oid: field.table_oid(),
                attribute: field.column_id(),
            })
        })
        .collect()
        .map_err(|error| fault::protocol(error.to_string()))
}
