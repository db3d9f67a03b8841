//! A session with the server: simple queries.

use std::io;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use longshore_sdk::{Result, ResultExt};
use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use crate::login::{connect, log_in};
use crate::messages::MessageStream;
use crate::{Address, Login, fault};

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

/// A session.
pub struct Client {
    messages: MessageStream,
    /// The request that stops what the session does.
    cancel: Vec<u8>,
    encrypted: bool,
    server: Server,
    /// Whether the answer to [`Self::start`] is still to be read.
    has_started: bool,
}

/// Rows as texts.
pub type Rows = Vec<Vec<Option<String>>>;

/// A session that ends in peace says so, and the server's log stays clean. One that is in the
/// middle of something does not get here.
impl Drop for Client {
    fn drop(&mut self) {
        // Best effort: the connection may be gone. A pooler does not keep a connection whose client leaves while the
        // server is at work.
        if std::mem::take(&mut self.has_started) {
            let _ = self.answer();
        }
        let _ = self.messages.send(|out| {
            frontend::terminate(out);
            Ok(())
        });
    }
}

impl Client {
    /// Connects, logs in, and asks the server what it is.
    pub fn open(address: &Address, login: &Login) -> Result<Self> {
        let (connection, encrypted) = connect(address, login)?;
        let mut messages = MessageStream::new(connection);
        let place = || format!("{}:{}", address.host, address.port);
        let cancel = log_in(&mut messages, address, login.password.as_ref()).context(place())?;
        let server = Server { product: String::new(), version: 0, is_greenplum: false };
        let mut client = Self { messages, cancel, encrypted, server, has_started: false };
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

    /// Runs queries; their rows as texts.
    pub fn query(&mut self, sql: &str) -> Result<Rows> {
        self.send(|out| frontend::query(sql, out))?;
        self.answer()?
    }

    /// The first value that a query gives, if it is not NULL.
    pub fn value(&mut self, sql: &str) -> Result<Option<String>> {
        Ok(self.query(sql)?.into_iter().flatten().flatten().next())
    }

    /// Sends queries, and waits for the server once; what each of them gives. If one fails in a transaction, so do
    /// those after it.
    pub fn query_each(&mut self, queries: &[&str]) -> Result<Vec<Result<Rows>>> {
        self.send(|out| queries.iter().try_for_each(|sql| frontend::query(sql, out)))?;
        queries.iter().map(|_| self.answer()).collect()
    }

    /// Runs a query that gives nothing, without waiting for the server: an error comes with what is sent next.
    pub fn start(&mut self, sql: &str) -> Result<()> {
        self.send(|out| frontend::query(sql, out))?;
        self.has_started = true;
        Ok(())
    }

    /// What a query gives, or why the server refuses it; an error, where nothing more can be read.
    fn answer(&mut self) -> Result<Result<Rows>> {
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            match self.receive()? {
                Message::DataRow(row) => rows.push(texts(&row)?),
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        Ok(failed.map_or(Ok(rows), Err))
    }

    /// Whether the server is told to stop when we are stopped.
    pub fn cancel_if_stopped(&mut self, wanted: bool) -> Result<()> {
        self.messages.set_cancel_message(if wanted { &self.cancel } else { &[] })
    }

    /// Sends messages.
    pub fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<()> {
        if std::mem::take(&mut self.has_started) {
            self.answer()??;
        }
        self.messages.send(write)
    }

    /// Sends bytes that are messages already.
    pub fn send_raw(&mut self, messages: &[u8]) -> Result<()> {
        self.messages.send_raw(messages)
    }

    /// The server's next bytes, as they are: first what came along with the last message.
    pub fn read_raw(&mut self, max: u32) -> Result<Vec<u8>> {
        self.messages.read_raw(max)
    }

    /// The next message.
    pub fn receive(&mut self) -> Result<Message> {
        self.messages.receive()
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
