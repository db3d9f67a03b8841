//! A session with the server: start-up, TLS, login, simple queries, and the start of a COPY.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use longshore_sdk::host::{Connection, Endpoint, TlsOptions, TlsVerify};
use longshore_sdk::{Error, ErrorClass, Result, ResultExt, Secret};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;

use crate::address::Address;
use crate::fault;
use crate::quote::quote_literal;
use crate::{Config, SslMode};

/// The most that is asked of the host at a time while no rows are read.
const CONTROL_READ_BYTES: u32 = 64 << 10;

/// What a transaction begins with. Nothing is set for longer than a transaction: behind a pooler
/// the next one may run in another session, or leave ours to somebody else.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Settings of every transaction: texts have one form, and nothing waits or runs for ever.
const SETTINGS: &[(&str, &str)] = &[
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "iso_8601"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    // A session that waits for the run's next chunk is not idle.
    ("idle_in_transaction_session_timeout", "0"),
    ("transaction_timeout", "0"),
];

/// A row of so many columns takes about as much of the server's memory as glibc keeps by itself.
const WIDE_COLUMNS: usize = 100;

/// What is freed once, so that glibc keeps twice as much from then on.
const KEPT_BYTES: usize = 4 << 20;

/// A session. Its wire is shared with the COPY that is read on it.
pub(crate) struct Session {
    wire: Rc<RefCell<Wire>>,
    server: Server,
    encrypted: bool,
    settings: String,
    /// The server's process keeps its memory from row to row.
    keeps_memory: bool,
}

/// What the server is.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Such as `PostgreSQL 15.18 (Debian 15.18-0+deb12u1)`.
    pub(crate) product: String,
    /// Such as 150018.
    pub(crate) version: u32,
    pub(crate) is_greenplum: bool,
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
    pub(crate) fn open(address: Address, config: Config) -> Result<Self> {
        let mode = config.sslmode.or(address.sslmode).unwrap_or(SslMode::Prefer);
        let place = format!("{}:{}", address.host, address.port);
        let (connection, encrypted) = connect(&address, mode, config.root_cert.as_ref())?;
        let mut wire = Wire { connection, received: BytesMut::new(), cancel: Vec::new() };
        wire.login(&address, config.password.as_ref()).context(place)?;
        let settings = settings(&config);
        let server = Server { product: String::new(), version: 0, is_greenplum: false };
        let wire = Rc::new(RefCell::new(wire));
        let mut session = Self { wire, server, encrypted, settings, keeps_memory: false };
        session.server = session.ask_server()?;
        Ok(session)
    }

    fn ask_server(&mut self) -> Result<Server> {
        let rows = self.query("SELECT version(), current_setting('server_version_num')")?;
        let Some([Some(product), Some(version)]) = rows.first().map(Vec::as_slice) else {
            return Err(fault::protocol("the server did not say what it is"));
        };
        Ok(Server {
            version: version.parse().map_err(|_| fault::protocol("no version number"))?,
            is_greenplum: product.contains("Greenplum"),
            // `PostgreSQL 15.18 (Debian ..) on x86_64-pc-linux-gnu, compiled by ..`
            product: product.split(" on ").next().unwrap_or_default().to_owned(),
        })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Begins a transaction that reads, in an exported snapshot if one is given.
    pub(crate) fn begin(&mut self, snapshot: Option<&str>) -> Result<()> {
        let settings = &self.settings;
        let Some(token) = snapshot else {
            return self.query(&format!("{BEGIN}; {settings}")).map(drop);
        };
        let adopt = format!("SET TRANSACTION SNAPSHOT {}", quote_literal(token));
        let begun = self.query(&format!("{BEGIN}; {adopt}; {settings}"));
        begun.map(drop).map_err(|error| match error.class() {
            // The server answers, and does not know the snapshot.
            ErrorClass::Data | ErrorClass::NotFound => {
                Error::stale(format!("the run's snapshot is gone: {}", error.message()))
            }
            _ => error.with_context("adopting the run's snapshot"),
        })
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

    /// Ends a transaction.
    pub(crate) fn commit(&mut self) -> Result<()> {
        self.query("COMMIT").map(drop)
    }

    /// The one number that a query gives; 0 for none.
    pub(crate) fn number(&mut self, sql: &str) -> Result<u64> {
        let rows = self.query(sql)?;
        Ok(rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn protection(&self) -> &'static str {
        match self.encrypted {
            true => "over TLS",
            false => "not encrypted",
        }
    }

    /// Runs a query; its rows as texts.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.wire.borrow_mut().query(sql)
    }

    /// The columns that a statement would give, without running it.
    pub(crate) fn describe(&mut self, sql: &str) -> Result<Vec<StatementColumn>> {
        let mut wire = self.wire.borrow_mut();
        wire.send(|out| {
            frontend::parse("", sql, [], out)?;
            frontend::describe(b'S', "", out)?;
            frontend::sync(out);
            Ok(())
        })?;
        let (mut columns, mut failed) = (Vec::new(), None);
        loop {
            match wire.receive()? {
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
        let mut wire = self.wire.borrow_mut();
        wire.cancel_if_stopped(true)?;
        wire.send(|out| frontend::query(sql, out))?;
        let mut failed = None;
        loop {
            match wire.receive()? {
                Message::CopyOutResponse(_) => break,
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => {
                    return Err(failed.unwrap_or_else(|| fault::protocol("no COPY data")));
                }
                _ => {}
            }
        }
        Ok(CopyStream { wire: self.wire.clone() })
    }
}

/// The wire during a COPY: raw bytes.
pub(crate) struct CopyStream {
    wire: Rc<RefCell<Wire>>,
}

impl CopyStream {
    /// The next bytes from the server: first what came along with the start.
    pub(crate) fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        let mut wire = self.wire.borrow_mut();
        match wire.received.is_empty() {
            true => wire.read(max),
            false => Ok(std::mem::take(&mut wire.received).to_vec()),
        }
    }

    /// Ends the transaction of a COPY that was read to its end.
    pub(crate) fn end(&mut self) -> Result<()> {
        let mut wire = self.wire.borrow_mut();
        wire.cancel_if_stopped(false)?;
        wire.query("COMMIT").map(drop)
    }
}

/// One statement that sets what the server knows of [`SETTINGS`] and of the job's limits.
fn settings(config: &Config) -> String {
    let (lock, statement) =
        (format!("{}s", config.lock_timeout_secs), format!("{}s", config.statement_timeout_secs));
    let limits = [("lock_timeout", lock.as_str()), ("statement_timeout", statement.as_str())];
    let values: Vec<String> = SETTINGS
        .iter()
        .chain(&limits)
        .map(|(name, value)| format!("('{name}', '{value}')"))
        .collect();
    format!(
        "SELECT set_config(s.name, w.value, true) FROM (VALUES {}) AS w(name, value) \
         JOIN pg_catalog.pg_settings s ON lower(s.name) = w.name",
        values.join(", ")
    )
}

fn connect(
    address: &Address,
    mode: SslMode,
    root_cert: Option<&Secret>,
) -> Result<(Connection, bool)> {
    let endpoint = Endpoint { host: address.host.clone(), port: address.port };
    let verify = match (mode, root_cert) {
        (SslMode::VerifyFull, _) => TlsVerify::Full,
        (SslMode::VerifyCa, _) | (SslMode::Require, Some(_)) => TlsVerify::Authority,
        _ => TlsVerify::None,
    };
    let mut connection = Connection::connect(&endpoint)?;
    if mode == SslMode::Disable {
        return Ok((connection, false));
    }
    if !server_speaks_tls(&mut connection)? {
        return match mode {
            SslMode::Prefer => Ok((connection, false)),
            _ => {
                Err(Error::config(format!("{}:{} does not speak TLS", address.host, address.port))
                    .with_hint("switch TLS on at the server, or give `sslmode: disable`"))
            }
        };
    }
    let options = TlsOptions {
        server_name: address.host.clone(),
        verify,
        authorities: root_cert.map(Secret::reveal).transpose()?,
    };
    match connection.start_tls(&options) {
        Ok(()) => Ok((connection, true)),
        // As libpq does: what only prefers TLS goes on without.
        Err(_) if mode == SslMode::Prefer => Ok((Connection::connect(&endpoint)?, false)),
        Err(error) => Err(error),
    }
}

fn server_speaks_tls(connection: &mut Connection) -> Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    connection.write(&request)?;
    match connection.read(1)?.as_slice() {
        b"S" => Ok(true),
        b"N" => Ok(false),
        [] => Err(Error::connection("the server closed the connection at once")
            .with_hint("check that it is a PostgreSQL server, and that it is not full")),
        _ => Err(fault::protocol("neither yes nor no to TLS; is this a PostgreSQL server?")),
    }
}

/// A connection and what of its bytes is not parsed yet.
struct Wire {
    connection: Connection,
    received: BytesMut,
    /// The request that stops what the session does.
    cancel: Vec<u8>,
}

/// A session that ends in peace says so, and the server's log stays clean. One that is in the
/// middle of something does not get here.
impl Drop for Wire {
    fn drop(&mut self) {
        // Best effort: the connection may be gone.
        let _ = self.send(|out| {
            frontend::terminate(out);
            Ok(())
        });
    }
}

impl Wire {
    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<()> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(|error| Error::config(format!("cannot be sent: {error}")))?;
        self.connection.write(&out)
    }

    fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.send(|out| frontend::query(sql, out))?;
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            match self.receive()? {
                Message::DataRow(row) => rows.push(texts(&row)?),
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(rows), Err)
    }

    /// Whether the server is told to stop when we are stopped.
    fn cancel_if_stopped(&mut self, wanted: bool) -> Result<()> {
        self.connection.farewell(if wanted { &self.cancel } else { &[] })
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        let bytes = self.connection.read(max)?;
        match bytes.is_empty() {
            true => Err(Error::connection("the server closed the connection")),
            false => Ok(bytes),
        }
    }

    fn receive(&mut self) -> Result<Message> {
        loop {
            let parsed = Message::parse(&mut self.received);
            if let Some(message) = parsed.map_err(|error| fault::protocol(error.to_string()))? {
                return Ok(message);
            }
            let bytes = self.read(CONTROL_READ_BYTES)?;
            self.received.extend_from_slice(&bytes);
        }
    }

    fn login(&mut self, address: &Address, password: Option<&Secret>) -> Result<()> {
        let parameters = [
            ("user", address.user.as_str()),
            ("database", address.database.as_str()),
            ("client_encoding", "UTF8"),
            ("application_name", "longshore"),
        ];
        self.send(|out| frontend::startup_message(parameters, out))?;
        let mut scram = None;
        loop {
            match self.receive()? {
                Message::AuthenticationCleartextPassword => {
                    let password = reveal(password)?;
                    self.send(|out| frontend::password_message(password.as_bytes(), out))?;
                }
                Message::AuthenticationMd5Password(asked) => {
                    let password = reveal(password)?;
                    let hash = md5_hash(address.user.as_bytes(), password.as_bytes(), asked.salt());
                    self.send(|out| frontend::password_message(hash.as_bytes(), out))?;
                }
                Message::AuthenticationSasl(asked) => {
                    let offered: Vec<&str> = asked.mechanisms().collect().unwrap_or_default();
                    if !offered.contains(&SCRAM_SHA_256) {
                        return Err(Error::config(format!(
                            "it wants to log in by {}",
                            offered.join(", ")
                        ))
                        .with_hint("allow scram-sha-256, md5, password or trust in pg_hba.conf"));
                    }
                    let exchange = ScramSha256::new(
                        reveal(password)?.as_bytes(),
                        ChannelBinding::unsupported(),
                    );
                    let first = exchange.message().to_vec();
                    self.send(|out| frontend::sasl_initial_response(SCRAM_SHA_256, &first, out))?;
                    scram = Some(exchange);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let exchange =
                        scram.as_mut().ok_or_else(|| fault::protocol("SCRAM in disorder"))?;
                    exchange.update(body.data()).map_err(scram_failed)?;
                    let next = exchange.message().to_vec();
                    self.send(|out| frontend::sasl_response(&next, out))?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let exchange =
                        scram.as_mut().ok_or_else(|| fault::protocol("SCRAM in disorder"))?;
                    // Here the server proves that it knows the password too.
                    exchange.finish(body.data()).map_err(scram_failed)?;
                }
                Message::AuthenticationGss
                | Message::AuthenticationSspi
                | Message::AuthenticationKerberosV5 => {
                    return Err(Error::config("it wants to log in by Kerberos")
                        .with_hint("allow scram-sha-256, md5, password or trust in pg_hba.conf"));
                }
                Message::BackendKeyData(key) => {
                    let mut request = BytesMut::new();
                    frontend::cancel_request(key.process_id(), key.secret_key(), &mut request);
                    self.cancel = request.to_vec();
                }
                Message::ErrorResponse(error) => return Err(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => return Ok(()),
                _ => {}
            }
        }
    }
}

fn reveal(password: Option<&Secret>) -> Result<String> {
    match password {
        Some(secret) => secret.reveal(),
        None => Err(Error::config("the server asks for a password, and the job gives none")
            .with_hint("add `password: { secret: NAME }` to `source`")),
    }
}

fn scram_failed(error: std::io::Error) -> Error {
    Error::auth(format!("SCRAM login failed: {error}")).with_hint("check the user and the password")
}

fn texts(row: &DataRowBody) -> Result<Vec<Option<String>>> {
    row.ranges()
        .map(|range| {
            Ok(range.map(|range| String::from_utf8_lossy(&row.buffer()[range]).into_owned()))
        })
        .collect()
        .map_err(|error| fault::protocol(error.to_string()))
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
