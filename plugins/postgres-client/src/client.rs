//! A session with the server: messages and simple queries.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use longshore_sdk::host::Connection;
use longshore_sdk::{Error, Result, ResultExt};
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use crate::login::{connect, log_in};
use crate::{Address, Login, fault};

/// The most that is asked of the host at a time while no rows are read.
const CONTROL_READ_BYTES: u32 = 64 << 10;

/// What the server is.
#[derive(Clone, Debug)]
pub struct Server {
    /// Such as `PostgreSQL 15.18 (Debian 15.18-0+deb12u1)`.
    pub product: String,
    /// Such as 150018.
    pub version: u32,
    /// Whether it is Greenplum.
    pub is_greenplum: bool,
}

/// A session, and what of the server's bytes is not parsed yet.
pub struct Client {
    connection: Connection,
    received: BytesMut,
    /// The request that stops what the session does.
    cancel: Vec<u8>,
    encrypted: bool,
    server: Server,
}

/// A session that ends in peace says so, and the server's log stays clean. One that is in the
/// middle of something does not get here.
impl Drop for Client {
    fn drop(&mut self) {
        // Best effort: the connection may be gone.
        let _ = self.send(|out| {
            frontend::terminate(out);
            Ok(())
        });
    }
}

impl Client {
    /// Connects, logs in, and asks the server what it is.
    pub fn open(address: &Address, login: &Login) -> Result<Self> {
        let (connection, encrypted) = connect(address, login)?;
        let server = Server { product: String::new(), version: 0, is_greenplum: false };
        let (received, cancel) = (BytesMut::new(), Vec::new());
        let mut client = Self { connection, received, cancel, encrypted, server };
        let place = || format!("{}:{}", address.host, address.port);
        client.cancel = log_in(&mut client, address, login.password.as_ref()).context(place())?;
        client.server = client.ask_server()?;
        Ok(client)
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

    /// What the server is.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// One line on the server and on who we are there.
    pub fn introduce(&mut self) -> Result<String> {
        let rows = self.query("SELECT current_user, current_database()")?;
        let Some([Some(user), Some(database)]) = rows.first().map(Vec::as_slice) else {
            return Err(fault::protocol("the server did not say who we are"));
        };
        let protection = if self.encrypted { "over TLS" } else { "not encrypted" };
        Ok(format!("{}: user {user}, database {database}, {protection}", self.server.product))
    }

    /// Sends messages.
    pub fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<()> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(|error| Error::config(format!("cannot be sent: {error}")))?;
        self.connection.write(&out)
    }

    /// Sends bytes that are messages already.
    pub fn send_raw(&mut self, messages: &[u8]) -> Result<()> {
        self.connection.write(messages)
    }

    /// Runs queries; their rows as texts.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
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
    pub fn cancel_if_stopped(&mut self, wanted: bool) -> Result<()> {
        self.connection.farewell(if wanted { &self.cancel } else { &[] })
    }

    /// The server's next bytes, as they are: first what came along with the last message.
    pub fn read_raw(&mut self, max: u32) -> Result<Vec<u8>> {
        match self.received.is_empty() {
            true => self.read(max),
            false => Ok(std::mem::take(&mut self.received).to_vec()),
        }
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        let bytes = self.connection.read(max)?;
        match bytes.is_empty() {
            true => Err(Error::connection("the server closed the connection")),
            false => Ok(bytes),
        }
    }

    /// The next message.
    pub fn receive(&mut self) -> Result<Message> {
        loop {
            let parsed = Message::parse(&mut self.received);
            if let Some(message) = parsed.map_err(|error| fault::protocol(error.to_string()))? {
                return Ok(message);
            }
            let bytes = self.read(CONTROL_READ_BYTES)?;
            self.received.extend_from_slice(&bytes);
        }
    }
}

fn texts(row: &DataRowBody) -> Result<Vec<Option<String>>> {
    row.ranges()
        .map(|range| {
            Ok(range.map(|range| String::from_utf8_lossy(&row.buffer()[range]).into_owned()))
        })
        .collect()
        .map_err(|error| fault::protocol(error.to_string()))
}
