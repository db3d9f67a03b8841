//! What the host offers to a plugin: the log, clocks, randomness, secrets, digests, connections, HTTP, ODBC.
//!
//! In a component these call the host; natively they call the thread's
//! [`testkit::FakeHost`](crate::testkit::FakeHost).

use crate::Result;
pub use crate::host_types::*;

#[cfg(not(target_arch = "wasm32"))]
use crate::testkit as backend;
#[cfg(target_arch = "wasm32")]
use component as backend;

/// Writes one message to the operator's log.
pub fn log(level: Level, message: &str) {
    backend::log(level, message);
}

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub fn now_ns() -> u64 {
    backend::now_ns()
}

/// Nanoseconds since some fixed moment; never goes back.
pub fn monotonic_ns() -> u64 {
    backend::monotonic_ns()
}

/// Waits, at most 60,000 milliseconds; waiting is not computing. A test's host only moves its clock.
pub fn sleep(milliseconds: u32) {
    backend::sleep(milliseconds);
}

/// `len` bytes (at most 65,536) from a cryptographic generator.
pub fn random_bytes(len: u32) -> Vec<u8> {
    backend::random_bytes(len)
}

/// The value of a secret that the job's config names in this field.
pub fn secret(field: &str) -> Result<String> {
    backend::secret(field)
}

/// What a login by SCRAM-SHA-256 with a secret sends and expects; the secret stays with the host. The
/// message is the one that RFC 5802 calls `AuthMessage`.
pub fn scram_sha256(
    field: &str,
    salt: &[u8],
    iterations: u32,
    auth_message: &str,
) -> Result<Scram> {
    backend::scram_sha256(field, salt, iterations, auth_message)
}

/// The SHA-256 of each value of a column, or its HMAC-SHA-256 if there is a key: one after the other. The
/// values lie between the offsets, the first of which is where `values` begins. At most 1,048,576 values;
/// [`digest`](crate::digest) takes columns of any length.
pub fn sha256(
    values: &[u8],
    offsets: &[i32],
    key: Option<&[u8]>,
    encoding: Encoding,
) -> Result<Vec<u8>> {
    backend::sha256(values, offsets, key, encoding)
}

/// An open connection to an endpoint that the job grants. Closed when dropped.
pub struct Connection(backend::RawStream);

impl Connection {
    /// Resolves and connects.
    pub fn connect(endpoint: &Endpoint) -> Result<Self> {
        backend::RawStream::open(endpoint).map(Self)
    }

    /// Turns the stream into a TLS stream, also in mid-stream.
    pub fn start_tls(&mut self, options: &TlsOptions) -> Result<()> {
        self.0.upgrade(options)
    }

    /// Between 1 and `max` bytes, waiting if nothing has arrived; empty at the end.
    pub fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        self.0.receive(max)
    }

    /// Sends all bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.send(bytes)
    }

    /// What the host sends to the same endpoint, on a connection of its own, when this one ends
    /// before the farewell is taken back by an empty one.
    pub fn set_cancel_message(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.leave(bytes)
    }
}

/// A server's answer to a request; redirects come as they are.
pub struct Response(backend::RawResponse);

impl Response {
    /// Sends a request, and waits for the answer to begin.
    pub fn to(request: &Request) -> Result<Self> {
        backend::RawResponse::of(request).map(Self)
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.0.code()
    }

    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.fields().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Between 1 and `max` bytes of the body, waiting if nothing has arrived; empty at its end.
    pub fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        self.0.receive(max)
    }

    /// The body, if it is not over so many bytes; else its beginning.
    pub fn body(mut self, limit: u32) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        while body.len() < limit as usize {
            match self.read(limit - body.len() as u32)? {
                piece if piece.is_empty() => break,
                piece => body.extend(piece),
            }
        }
        Ok(body)
    }
}

/// Whether the job gives logins by Kerberos.
pub fn kerberos_granted() -> bool {
    backend::kerberos_granted()
}

/// A login by Kerberos; tickets and keys stay with the host.
pub struct Kerberos(backend::RawKerberos);

impl Kerberos {
    /// Begins a login with a service such as `hive` on a host that the job's endpoints name.
    pub fn begin(service: &str, host: &str) -> Result<Self> {
        backend::RawKerberos::open(service, host).map(Self)
    }

    /// Takes the server's token, at first none; gives what is to be sent next, and whether both sides are
    /// satisfied.
    pub fn step(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool)> {
        self.0.next(token)
    }

    /// Protects a message: signed, or encrypted besides.
    pub fn wrap(&mut self, message: &[u8], encrypt: bool) -> Result<Vec<u8>> {
        self.0.protect(message, encrypt)
    }

    /// Takes the server's protection off a message.
    pub fn unwrap(&mut self, message: &[u8]) -> Result<Vec<u8>> {
        self.0.plain(message)
    }
}

/// The names of the ODBC drivers that are installed, and that the operator allows.
pub fn odbc_drivers() -> Result<Vec<String>> {
    backend::odbc_drivers()
}

/// A session with a database behind an ODBC driver. Closed when dropped.
pub struct OdbcSession(backend::RawOdbc);

impl OdbcSession {
    /// Connects.
    pub fn connect(login: &odbc::Login) -> Result<Self> {
        backend::RawOdbc::open(login).map(Self)
    }

    /// What answered.
    pub fn product(&mut self) -> Result<odbc::Product> {
        self.0.who()
    }

    /// Rows of the catalog, in the columns that ODBC gives them.
    pub fn catalog(&mut self, what: &odbc::Catalog) -> Result<Rows> {
        self.0.list(what)
    }

    /// A statement's columns; it is prepared, and not run.
    pub fn describe(&mut self, sql: &str) -> Result<Vec<odbc::Column>> {
        self.0.columns(sql)
    }

    /// A statement's rows, no more than so many, as texts.
    pub fn query(&mut self, sql: &str, parameters: &[odbc::Value], max_rows: u32) -> Result<Rows> {
        self.0.texts(sql, parameters, max_rows)
    }
}

#[cfg(target_arch = "wasm32")]
mod component {
    use super::{Encoding, Endpoint, Level, Request, Rows, TlsOptions};
    use crate::bindings::capabilities::longshore::plugin::{
        clock, connection, digest, http, kerberos, log as host_log, odbc, odbc_types, random,
        secrets,
    };
    use crate::{Error, Result};

    pub(super) fn log(level: Level, message: &str) {
        host_log::write(level, message);
    }

    pub(super) fn now_ns() -> u64 {
        clock::now()
    }

    pub(super) fn monotonic_ns() -> u64 {
        clock::monotonic()
    }

    pub(super) fn sleep(milliseconds: u32) {
        clock::sleep(milliseconds);
    }

    pub(super) fn random_bytes(len: u32) -> Vec<u8> {
        random::bytes(len)
    }

    pub(super) fn secret(field: &str) -> Result<String> {
        secrets::get(field).map_err(Error::from)
    }

    pub(super) fn scram_sha256(
        field: &str,
        salt: &[u8],
        iterations: u32,
        auth_message: &str,
    ) -> Result<secrets::Scram> {
        secrets::scram_sha256(field, salt, iterations, auth_message).map_err(Error::from)
    }

    pub(super) fn sha256(
        values: &[u8],
        offsets: &[i32],
        key: Option<&[u8]>,
        encoding: Encoding,
    ) -> Result<Vec<u8>> {
        digest::sha256(values, offsets, key, encoding).map_err(Error::from)
    }

    pub(super) type RawStream = connection::Connection;

    impl connection::Connection {
        pub(super) fn open(endpoint: &Endpoint) -> Result<Self> {
            Self::connect(endpoint).map_err(Error::from)
        }

        pub(super) fn upgrade(&mut self, options: &TlsOptions) -> Result<()> {
            self.start_tls(options).map_err(Error::from)
        }

        pub(super) fn receive(&mut self, max: u32) -> Result<Vec<u8>> {
            self.read(max).map_err(Error::from)
        }

        pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
            self.write(bytes).map_err(Error::from)
        }

        pub(super) fn leave(&mut self, bytes: &[u8]) -> Result<()> {
            self.set_cancel_message(bytes).map_err(Error::from)
        }
    }

    pub(super) fn odbc_drivers() -> Result<Vec<String>> {
        odbc::drivers().map_err(Error::from)
    }

    pub(super) fn kerberos_granted() -> bool {
        kerberos::granted()
    }

    pub(super) type RawKerberos = kerberos::Login;

    impl kerberos::Login {
        pub(super) fn open(service: &str, host: &str) -> Result<Self> {
            Self::begin(service, host).map_err(Error::from)
        }

        pub(super) fn next(&self, token: &[u8]) -> Result<(Vec<u8>, bool)> {
            let step = self.step(token).map_err(Error::from)?;
            Ok((step.token, step.done))
        }

        pub(super) fn protect(&self, message: &[u8], encrypt: bool) -> Result<Vec<u8>> {
            self.wrap(message, encrypt).map_err(Error::from)
        }

        pub(super) fn plain(&self, message: &[u8]) -> Result<Vec<u8>> {
            self.unwrap(message).map_err(Error::from)
        }
    }

    pub(super) type RawOdbc = odbc::Session;

    impl odbc::Session {
        pub(super) fn open(login: &odbc_types::Login) -> Result<Self> {
            Self::connect(login).map_err(Error::from)
        }

        pub(super) fn who(&self) -> Result<odbc::Product> {
            self.product().map_err(Error::from)
        }

        pub(super) fn list(&self, what: &odbc::Catalog) -> Result<Rows> {
            self.catalog(what).map_err(Error::from)
        }

        pub(super) fn columns(&self, sql: &str) -> Result<Vec<odbc::Column>> {
            self.describe(sql).map_err(Error::from)
        }

        pub(super) fn texts(
            &self,
            sql: &str,
            parameters: &[odbc_types::Value],
            max_rows: u32,
        ) -> Result<Rows> {
            self.query(sql, parameters, max_rows).map_err(Error::from)
        }
    }

    pub(super) type RawResponse = http::Response;

    impl http::Response {
        pub(super) fn of(request: &Request) -> Result<Self> {
            Self::send(request).map_err(Error::from)
        }

        pub(super) fn code(&self) -> u16 {
            self.status()
        }

        pub(super) fn fields(&self) -> Vec<(String, String)> {
            self.headers()
        }

        pub(super) fn receive(&mut self, max: u32) -> Result<Vec<u8>> {
            self.read(max).map_err(Error::from)
        }
    }
}
