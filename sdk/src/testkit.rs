//! A host for native tests: a plugin's logic is tested by plain `cargo test`, without a component.
//!
//! ```
//! use longshore_sdk::testkit::FakeHost;
//!
//! let log = FakeHost::new().secret("password", "s3cret").run(|| {
//!     assert_eq!(longshore_sdk::host::secret("password").unwrap(), "s3cret");
//!     longshore_sdk::host::log(longshore_sdk::host::Level::Info, "hello");
//! });
//! assert_eq!(log.1[0].1, "hello");
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha2::digest::Output;
use sha2::{Digest, Sha256};

use crate::host_types::{Encoding, Endpoint, Level, Request, Rows, Scram, TlsOptions, odbc};
use crate::{
    Chunk, ChunkHints, ColumnSource, Connector, Error, Lane, Relation, Result, Scan, Transform,
};

/// A server's side of a connection: is handed what the plugin writes (nothing at first), gives
/// what it answers.
pub type Server = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

/// A server of HTTP: gives a status, headers (names in lower case) and a body.
pub type HttpServer = Box<dyn FnMut(&Request) -> Result<Answer>>;

/// An answer of a server of HTTP.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

/// A database behind an ODBC driver.
pub trait OdbcServer {
    /// A login; refused or not.
    fn connect(&mut self, login: &odbc::Login) -> Result<()>;
    /// What answered.
    fn product(&mut self) -> Result<odbc::Product>;
    /// Rows of its catalog.
    fn catalog(&mut self, what: &odbc::Catalog) -> Result<Rows>;
    /// A statement's columns.
    fn describe(&mut self, sql: &str) -> Result<Vec<odbc::Column>>;
    /// A statement's rows.
    fn query(&mut self, sql: &str, parameters: &[odbc::Value]) -> Result<Rows>;
}

/// A stand-in for the host, for the thread that [`FakeHost::run`] runs on.
#[derive(Default)]
pub struct FakeHost {
    secrets: HashMap<String, String>,
    servers: HashMap<(String, u16), Box<dyn Fn() -> Server>>,
    http: Option<HttpServer>,
    odbc: Option<(Vec<String>, Box<dyn OdbcServer>)>,
    network: bool,
    slept_millis: u64,
    log: Vec<(Level, String)>,
}

thread_local! {
    static HOST: RefCell<FakeHost> = RefCell::default();
}

impl FakeHost {
    /// A host that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grants a secret.
    pub fn secret(mut self, field: &str, value: &str) -> Self {
        self.secrets.insert(field.into(), value.into());
        self
    }

    /// Answers at an endpoint; `server` is called for each connection.
    pub fn serve(mut self, host: &str, port: u16, server: impl Fn() -> Server + 'static) -> Self {
        self.servers.insert((host.into(), port), Box::new(server));
        self
    }

    /// Answers all HTTP requests.
    pub fn answer(mut self, server: impl FnMut(&Request) -> Result<Answer> + 'static) -> Self {
        self.http = Some(Box::new(server));
        self
    }

    /// Answers over ODBC; these drivers are installed.
    pub fn odbc(mut self, drivers: &[&str], server: impl OdbcServer + 'static) -> Self {
        let drivers = drivers.iter().map(|driver| (*driver).to_owned()).collect();
        self.odbc = Some((drivers, Box::new(server)));
        self
    }

    /// Lets connections through to the real network (without TLS).
    pub fn with_network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Runs a test on this host; gives its result and what was logged.
    pub fn run<T>(self, test: impl FnOnce() -> T) -> (T, Vec<(Level, String)>) {
        let outer = HOST.replace(self);
        let result = test();
        (result, HOST.replace(outer).log)
    }
}

/// What comes out for a batch: the columns that the transform computes, beside those that pass through.
pub fn transform<T: Transform>(transform: &mut T, input: &RecordBatch) -> Result<RecordBatch> {
    let output = transform.output_schema();
    let nothing = || Error::internal("it gave no rows");
    let Some(mapping) = transform.column_mapping() else {
        return transform.process(input.clone())?.ok_or_else(nothing);
    };
    let computed = transform.process(mapping.select(input)?)?;
    let mut computed = computed.iter().flat_map(RecordBatch::columns);
    let columns = mapping.output.iter().map(|source| match source {
        ColumnSource::Input(number) => Ok(input.column(*number as usize).clone()),
        ColumnSource::Computed => computed.next().cloned().ok_or_else(nothing),
    });
    Ok(RecordBatch::try_new(output, columns.collect::<Result<_>>()?)?)
}

/// A scan of everything in a relation.
pub fn scan_all(relation: Relation) -> Scan {
    Scan { relation, projection: None, filter: None, limit: None, snapshot: None }
}

/// A wish for chunks of so many rows.
pub fn chunks_of(rows: u64) -> ChunkHints {
    ChunkHints { rows: Some(rows), bytes: 64 << 20, parallel: 4, max_chunks: 10_000, key: None }
}

/// Plans a scan and reads all its chunks, one after the other.
pub fn read_all<C: Connector>(
    connector: &mut C,
    scan: &Scan,
    hints: &ChunkHints,
) -> Result<Vec<(Chunk, Vec<RecordBatch>)>> {
    let plan = connector.plan(scan, hints)?;
    plan.chunks
        .map(|chunk| {
            let chunk = chunk?;
            let Lane::Component(descriptor) = &chunk.lane else {
                return Err(Error::internal("a chunk that the host reads itself"));
            };
            let mut reader = connector.read(scan, descriptor)?;
            let mut batches = Vec::new();
            while let Some(batch) = reader.next()? {
                batches.push(batch);
            }
            Ok((chunk, batches))
        })
        .collect()
}

pub(crate) fn log(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.log.push((level, message.into())));
}

pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

pub(crate) fn monotonic_ns() -> u64 {
    thread_local!(static START: Instant = Instant::now());
    let slept = HOST.with_borrow(|host| host.slept_millis);
    START.with(|start| start.elapsed().as_nanos() as u64) + slept * 1_000_000
}

pub(crate) fn sleep(milliseconds: u32) {
    HOST.with_borrow_mut(|host| host.slept_millis += u64::from(milliseconds));
}

pub(crate) fn random_bytes(len: u32) -> Vec<u8> {
    // Distinct and repeatable is what tests want.
    thread_local!(static COUNTER: RefCell<u64> = const { RefCell::new(0) });
    let mut state = COUNTER.with_borrow_mut(|counter| {
        *counter += 1;
        *counter
    });
    let mut bytes = Vec::new();
    while bytes.len() < len as usize {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_be_bytes()[..4]);
    }
    bytes.truncate(len as usize);
    bytes
}

pub(crate) fn secret(field: &str) -> Result<String> {
    HOST.with_borrow(|host| host.secrets.get(field).cloned())
        .ok_or_else(|| Error::config(format!("no secret `{field}` in the test's host")))
}

pub(crate) fn scram_sha256(
    field: &str,
    salt: &[u8],
    iterations: u32,
    auth_message: &str,
) -> Result<Scram> {
    let mut salted = [0; 32];
    pbkdf2_hmac::<Sha256>(secret(field)?.as_bytes(), salt, iterations, &mut salted);
    let client_key = keyed(&salted, b"Client Key");
    let signature = keyed(&Sha256::digest(client_key), auth_message.as_bytes());
    let client_proof = client_key.iter().zip(signature).map(|(key, of)| key ^ of).collect();
    let server_signature = keyed(&keyed(&salted, b"Server Key"), auth_message.as_bytes()).to_vec();
    Ok(Scram { client_proof, server_signature })
}

pub(crate) fn sha256(
    values: &[u8],
    offsets: &[i32],
    key: Option<&[u8]>,
    encoding: Encoding,
) -> Result<Vec<u8>> {
    let first = offsets.first().copied().unwrap_or_default();
    let mut digests = Vec::with_capacity(64 * offsets.len());
    for of in offsets.windows(2) {
        let value = values.get((of[0] - first) as usize..(of[1] - first) as usize);
        let value = value.ok_or_else(|| Error::internal("the offsets do not fit the values"))?;
        let digest = match key {
            None => Sha256::digest(value),
            Some(key) => keyed(key, value),
        };
        match encoding {
            Encoding::Bytes => digests.extend_from_slice(&digest),
            Encoding::Hex => digests.extend_from_slice(hex(digest.into()).as_flattened()),
        }
    }
    Ok(digests)
}

/// Two digits for each byte.
fn hex(digest: [u8; 32]) -> [[u8; 2]; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    digest.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
}

fn keyed(key: &[u8], text: &[u8]) -> Output<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key's");
    mac.update(text);
    mac.finalize().into_bytes()
}

/// A read of at least so much is one of many: the next one first lets bytes gather, as the host's
/// reading ahead does.
const BULK_BYTES: usize = 8 << 10;
const GATHER_MILLIS: u64 = 2;

pub(crate) enum RawStream {
    Real { stream: TcpStream, buffer: Vec<u8>, bulk: bool },
    Fake { server: Server, answer: Vec<u8> },
}

impl RawStream {
    pub(crate) fn open(endpoint: &Endpoint) -> Result<Self> {
        HOST.with_borrow(|host| {
            let key = (endpoint.host.clone(), endpoint.port);
            if let Some(serve) = host.servers.get(&key) {
                let mut server = serve();
                let answer = server(&[]);
                return Ok(Self::Fake { server, answer });
            }
            if !host.network {
                return Err(Error::auth(format!("{}:{} is not granted", key.0, key.1)));
            }
            TcpStream::connect((endpoint.host.as_str(), endpoint.port))
                .map(|stream| Self::Real { stream, buffer: Vec::new(), bulk: false })
                .map_err(broken)
        })
    }

    pub(crate) fn upgrade(&mut self, _: &TlsOptions) -> Result<()> {
        Err(Error::internal("the test kit speaks no TLS"))
    }

    pub(crate) fn receive(&mut self, max: u32) -> Result<Vec<u8>> {
        match self {
            Self::Real { stream, buffer, bulk } => {
                if *bulk {
                    thread::sleep(Duration::from_millis(GATHER_MILLIS));
                }
                buffer.resize(buffer.len().max(max as usize), 0);
                let read = stream.read(&mut buffer[..max as usize]).map_err(broken)?;
                *bulk = read >= BULK_BYTES;
                Ok(buffer[..read].to_vec())
            }
            Self::Fake { answer, .. } => {
                let rest = answer.split_off(answer.len().min(max as usize));
                Ok(std::mem::replace(answer, rest))
            }
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Real { stream, .. } => stream.write_all(bytes).map_err(broken),
            Self::Fake { server, answer } => {
                answer.extend(server(bytes));
                Ok(())
            }
        }
    }

    /// Nobody stops a test's plugin half-way.
    pub(crate) fn leave(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

pub(crate) struct RawResponse(Answer);

impl RawResponse {
    pub(crate) fn of(request: &Request) -> Result<Self> {
        // The server may use the host too.
        let server = HOST.with_borrow_mut(|host| host.http.take());
        let Some(mut server) = server else {
            return Err(Error::auth(format!("{} is not granted", request.url)));
        };
        let answer = server(request);
        HOST.with_borrow_mut(|host| host.http = Some(server));
        answer.map(Self)
    }

    pub(crate) fn code(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        self.0.headers.clone()
    }

    pub(crate) fn receive(&mut self, max: u32) -> Result<Vec<u8>> {
        let body = &mut self.0.body;
        let rest = body.split_off(body.len().min(max as usize));
        Ok(std::mem::replace(body, rest))
    }
}

pub(crate) fn odbc_drivers() -> Result<Vec<String>> {
    HOST.with_borrow(|host| host.odbc.as_ref().map(|(drivers, _)| drivers.clone()))
        .ok_or_else(no_odbc)
}

/// A test's host gives no logins by Kerberos.
pub(crate) fn kerberos_granted() -> bool {
    false
}

pub(crate) struct RawKerberos;

impl RawKerberos {
    pub(crate) fn open(_: &str, _: &str) -> Result<Self> {
        Err(no_kerberos())
    }

    pub(crate) fn next(&self, _: &[u8]) -> Result<(Vec<u8>, bool)> {
        Err(no_kerberos())
    }

    pub(crate) fn protect(&self, _: &[u8], _: bool) -> Result<Vec<u8>> {
        Err(no_kerberos())
    }

    pub(crate) fn plain(&self, _: &[u8]) -> Result<Vec<u8>> {
        Err(no_kerberos())
    }
}

fn no_kerberos() -> Error {
    Error::auth("the test's host gives no login by Kerberos")
}

pub(crate) struct RawOdbc;

impl RawOdbc {
    pub(crate) fn open(login: &odbc::Login) -> Result<Self> {
        served(|server| server.connect(login))?;
        Ok(Self)
    }

    pub(crate) fn who(&self) -> Result<odbc::Product> {
        served(|server| server.product())
    }

    pub(crate) fn list(&self, what: &odbc::Catalog) -> Result<Rows> {
        served(|server| server.catalog(what))
    }

    pub(crate) fn columns(&self, sql: &str) -> Result<Vec<odbc::Column>> {
        served(|server| server.describe(sql))
    }

    pub(crate) fn texts(&self, sql: &str, values: &[odbc::Value], max_rows: u32) -> Result<Rows> {
        let rows = served(|server| server.query(sql, values))?;
        if rows.len() > max_rows as usize {
            Err(Error::data(format!("more than {max_rows} rows")))
        } else {
            Ok(rows)
        }
    }
}

fn served<T>(ask: impl FnOnce(&mut dyn OdbcServer) -> Result<T>) -> Result<T> {
    HOST.with_borrow_mut(|host| match &mut host.odbc {
        Some((_, server)) => ask(server.as_mut()),
        None => Err(no_odbc()),
    })
}

fn no_odbc() -> Error {
    Error::auth("ODBC is not granted")
}

fn broken(error: std::io::Error) -> Error {
    Error::connection(error.to_string())
}
