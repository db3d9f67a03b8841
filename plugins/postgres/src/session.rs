//! A session with the server: start-up, TLS, login, simple queries, and the start of a COPY.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use longshore_sdk::host::{Connection, Endpoint, TlsOptions, TlsVerify};
use longshore_sdk::{Error, Result, ResultExt, Secret};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;

use crate::address::Address;
use crate::fault;
use crate::{Config, SslMode};

/// The most that is asked of the host at a time while no rows are read.
const CONTROL_READ_BYTES: u32 = 64 << 10;

/// What every session sets: it only reads, and texts have one form.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET timezone = 'UTC'; \
    SET datestyle = 'ISO, YMD'; SET extra_float_digits = 3; SET bytea_output = 'hex'; \
    SET intervalstyle = 'iso_8601'";

/// A session that waits for its next chunk in the run's snapshot is not idle. Old relatives of
/// PostgreSQL do not have the setting.
const NO_IDLE_TIMEOUT: &str = "SELECT set_config(name, '0', false) FROM pg_settings \
    WHERE name = 'idle_in_transaction_session_timeout'";

/// A session. Its wire is shared with the COPY that is read on it.
pub(crate) struct Session {
    wire: Rc<RefCell<Wire>>,
    version: u32,
    encrypted: bool,
}

/// A column that a statement would give.
pub(crate) struct StatementColumn {
    pub(crate) name: String,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
}

impl Session {
    pub(crate) fn open(address: Address, config: Config) -> Result<Self> {
        let mode = config.sslmode.or(address.sslmode).unwrap_or(SslMode::Prefer);
        let place = format!("{}:{}", address.host, address.port);
        let (connection, encrypted) = connect(&address, mode, config.root_cert.as_ref())?;
        let mut wire = Wire { connection, received: BytesMut::new() };
        wire.login(&address, config.password.as_ref()).context(place)?;
        let mut session = Self { wire: Rc::new(RefCell::new(wire)), version: 0, encrypted };
        session.query(SETTINGS)?;
        session.query(NO_IDLE_TIMEOUT)?;
        let rows = session.query("SHOW server_version_num")?;
        let version = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
        session.version = version.ok_or_else(|| fault::protocol("no version number"))?;
        Ok(session)
    }

    /// The server's version, such as 150018.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn protection(&self) -> &'static str {
        match self.encrypted {
            true => "over TLS",
            false => "not encrypted",
        }
    }

    /// Runs a query; its rows as texts.
    pub(crate) fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mut wire = self.wire.borrow_mut();
        wire.send(|out| frontend::query(sql, out))?;
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            match wire.receive()? {
                Message::DataRow(row) => rows.push(texts(&row)?),
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(rows), Err)
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
}

impl Wire {
    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<()> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(|error| Error::config(format!("cannot be sent: {error}")))?;
        self.connection.write(&out)
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
            })
        })
        .collect()
        .map_err(|error| fault::protocol(error.to_string()))
}
