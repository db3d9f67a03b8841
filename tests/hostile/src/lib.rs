//! A connector that means harm, for the tests: `abuse` in its config says how. It is written against
//! the contract itself, without the SDK's help, so that nothing keeps it from lying.

#![cfg(target_arch = "wasm32")]

use std::cell::{Cell, RefCell};
use std::hint::black_box;

use longshore_hostile_kit::{
    ESCAPES, connect, deeper, endless, error, hoard, mark, report_panics, streams, text, trickle,
};
use longshore_sdk::bindings;
use longshore_sdk::bindings::capabilities::longshore::plugin::types::{
    Description, EndpointField, Error, ErrorClass,
};
use longshore_sdk::bindings::connector::exports::longshore::plugin::connector_api as api;
use longshore_sdk::bindings::connector::exports::longshore::plugin::connector_lookup_api as lookup;
use longshore_sdk::bindings::connector::longshore::plugin::connector_types::ConnectorFeatures;
use longshore_sdk::host::odbc::{Attribute, Fetch, Login, Setting, Statement};
use longshore_sdk::host::{self, Kerberos, Level, OdbcSession};
use longshore_sdk::{
    Column, Comparable, Consistency, Lane, Pushdown, SnapshotResult, Storage, TableFiles,
    TableFolder,
};

/// Chunks of an honest plan, and how many rows each of them has.
const CHUNKS: u8 = 8;

struct Hostile;

struct Session {
    abuse: String,
    /// What the URL says behind its scheme.
    place: String,
    /// Of the server that the job names.
    port: u16,
}

struct Chunks {
    abuse: String,
    given: Cell<u8>,
}

struct Reader {
    abuse: String,
    stream: RefCell<Box<dyn Iterator<Item = Vec<Vec<u8>>>>>,
}

impl api::Guest for Hostile {
    type Session = Session;
    type Chunks = Chunks;
    type Reader = Reader;

    fn describe() -> Description {
        let mode = mark::mode();
        mode.strike();
        if mode.0 == "connect" {
            connect("127.0.0.1", 1).expect("not granted");
        }
        Description {
            name: mode.or("name", "../../etc/Passwd", "hostile"),
            version: mode.or("version", "newest", mark::version()),
            summary: mode.or("summary", &"x".repeat(16 << 20), "Means harm"),
            schemes: vec![mode.or("scheme", &"x".repeat(1 << 20), "hostile")],
            config_schema: mode.or("schema", "{", SCHEMA),
            endpoints: vec![EndpointField { field: "server".into(), default_port: 1 }],
            secrets: vec!["password".into()],
        }
    }

    fn features() -> ConnectorFeatures {
        ConnectorFeatures {
            pushdown: Pushdown { projection: false, filter: None, limit: false },
            consistency: Consistency::Unknown,
        }
    }
}

impl lookup::Guest for Hostile {
    fn prepare(session: api::SessionBorrow<'_>, _: Vec<api::Relation>) -> Result<(), Error> {
        match session.get::<Session>().abuse.as_str() {
            "loop-prepare" => endless(),
            "trap-prepare" => core::arch::wasm32::unreachable(),
            "error-prepare" => Err(error(ErrorClass::Data, ESCAPES)),
            _ => Ok(()),
        }
    }

    fn tables_of_query(session: api::SessionBorrow<'_>, _: String) -> Result<Vec<String>, Error> {
        match session.get::<Session>().abuse.as_str() {
            "loop-tables" => endless(),
            "tables-escapes" => Ok(vec![ESCAPES.into(); 100]),
            "tables-huge" => Ok(vec!["x".repeat(16 << 20); 8]),
            _ => Ok(Vec::new()),
        }
    }
}

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"properties":{
    "url":{"type":"string"},"abuse":{"type":"string"},"server":{"type":"string"},"password":{}}}"#;

impl api::GuestSession for Session {
    fn open(config: String) -> Result<api::Session, Error> {
        let abuse = text(&config, "abuse").to_owned();
        let port = text(&config, "server").rsplit(':').next().unwrap_or_default();
        let port = port.parse().unwrap_or(1);
        report_panics();
        match abuse.as_str() {
            "loop-open" => endless(),
            "trap-open" => core::arch::wasm32::unreachable(),
            "error-escapes" => {
                return Err(error(ErrorClass::Data, ESCAPES));
            }
            "error-huge" => return Err(error(ErrorClass::Data, &"x".repeat(16 << 20))),
            _ => {}
        }
        let place = text(&config, "url").trim_start_matches("hostile:").to_owned();
        Ok(api::Session::new(Session { abuse, place, port }))
    }

    fn test(&self) -> Result<String, Error> {
        match self.abuse.as_str() {
            "loop-test" => endless(),
            _ => Ok("\u{1b}[31manswers".into()),
        }
    }

    fn relations(&self) -> Result<Vec<String>, Error> {
        match self.abuse.as_str() {
            "loop-relations" => endless(),
            _ => Ok(vec!["\u{1b}[31mt".into()]),
        }
    }

    fn open_snapshot(&self, _: Vec<api::Relation>) -> Result<SnapshotResult, Error> {
        match self.abuse.as_str() {
            "loop-open-snapshot" => endless(),
            _ => Ok(SnapshotResult::Unavailable("it is hostile".into())),
        }
    }

    fn describe_relation(&self, _: api::Relation) -> Result<api::RelationInfo, Error> {
        let mut columns = vec![column()];
        let mut schema = streams::schema(&self.abuse);
        match self.abuse.as_str() {
            "loop-describe-relation" => endless(),
            "relation-columns" => columns.clear(),
            "relation-garbage" => schema = vec![0xff; 1_000],
            "relation-wide" => schema = streams::wide_schema(20_000),
            "relation-deep" => schema = streams::deep_schema(100),
            _ => {}
        }
        Ok(api::RelationInfo { schema, columns, rows: Some(u64::MAX), bytes: Some(u64::MAX) })
    }

    fn storage(&self, _: api::Relation) -> Result<Storage, Error> {
        let folder =
            |location: &str| TableFolder { location: location.to_owned(), partition: Vec::new() };
        let folders = match self.abuse.as_str() {
            "loop-storage" => endless(),
            "storage-elsewhere" => vec![folder(&self.place)],
            "storage-many" => vec![folder("hdfs://127.0.0.1:1/t"); 200_000],
            "storage-huge" => vec![folder(&"x".repeat(16 << 20))],
            "storage-partitions" => vec![TableFolder {
                partition: vec![("x".into(), Some("\u{1b}[2J".into())); 1_000],
                ..folder("hdfs://127.0.0.1:1/t")
            }],
            _ => return Ok(Storage::Unavailable(ESCAPES.into())),
        };
        Ok(Storage::Files(TableFiles { folders, caveat: None }))
    }

    fn check_tables(&self, _: Vec<api::TableRegistration>) -> Result<(), Error> {
        match self.abuse.as_str() {
            "loop-check-tables" => endless(),
            _ => Ok(()),
        }
    }

    fn register(&self, tables: Vec<api::TableRegistration>) -> Result<Vec<String>, Error> {
        match self.abuse.as_str() {
            "loop-register" => endless(),
            "register-few" => Ok(Vec::new()),
            "register-refused" => Err(error(ErrorClass::Auth, ESCAPES)),
            "register-escapes" => Ok(vec![ESCAPES.into(); tables.len()]),
            _ => Ok(vec!["t".into(); tables.len()]),
        }
    }

    fn unregister(&self, _: Vec<api::TableRegistration>) -> Result<(), Error> {
        Ok(())
    }

    fn plan(&self, _: api::Scan, _: api::ChunkHints) -> Result<api::Chunks, Error> {
        match self.abuse.as_str() {
            "loop-plan" => endless(),
            abuse => Ok(api::Chunks::new(Chunks { abuse: abuse.to_owned(), given: Cell::new(0) })),
        }
    }

    fn read(&self, _: api::Scan, _: Vec<u8>) -> Result<api::Reader, Error> {
        let abuse = self.abuse.as_str();
        match abuse {
            "loop-read" => endless(),
            "memory" => hoard(),
            "memory-slowly" => trickle(),
            "recursion" => return Err(error(ErrorClass::Internal, &deeper(1).to_string())),
            "trap-read" => core::arch::wasm32::unreachable(),
            "elsewhere" => connect("169.254.169.254", 80)?,
            "scan-ports" => (1..=1_000).try_for_each(|port| connect("127.0.0.1", port))?,
            "connection-flood" => (0..1_000).try_for_each(|_| connect("127.0.0.1", self.port))?,
            "odbc-elsewhere" => odbc(&login("Server", "127.0.0.1"))?,
            "odbc-path" => odbc(&login("Driver", "/lib/x86_64-linux-gnu/libc.so.6"))?,
            "odbc-file" => odbc(&login("SaveFile", "hostile:"))?,
            "odbc-secret" => {
                let value = Setting::Secret("other".into());
                odbc(&with(Attribute { name: "PWD".into(), value }))?;
            }
            "kerberos-elsewhere" => drop(Kerberos::begin("host", "elsewhere.internal")?),
            "kerberos-service" => drop(Kerberos::begin("hive/other@REALM", "nowhere")?),
            "kerberos-early" => drop(Kerberos::begin("hive", "nowhere")?.wrap(b"x", true)?),
            "secret" => return Err(error(ErrorClass::Internal, &host::secret("other")?)),
            "tell" => {
                let message = format!("the password is {}", host::secret("password")?);
                host::log(Level::Error, &message);
                return Err(error(ErrorClass::Data, &message));
            }
            "log-flood" => {
                (0..100_000).for_each(|_| host::log(Level::Trace, &"x".repeat(100)));
            }
            "log-huge" => host::log(Level::Error, &"x".repeat(64 << 20)),
            "log-escapes" => host::log(Level::Error, ESCAPES),
            "host-calls" => loop {
                black_box(host::now_ns());
            },
            "random-huge" => {
                black_box(host::random_bytes(u32::MAX));
            }
            "flaky" if mark::mode().0 != "mended" && host::random_bytes(1)[0] < 64 => {
                return Err(error(ErrorClass::Connection, "broke, as it does now and then"));
            }
            _ => {}
        }
        let stream = RefCell::new(streams::of(abuse));
        Ok(api::Reader::new(Reader { abuse: abuse.to_owned(), stream }))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        match self.abuse.as_str() {
            "loop-drop-session" => endless(),
            "panic-drop-session" => panic!("in a session's drop"),
            _ => {}
        }
    }
}

impl api::GuestChunks for Chunks {
    fn consistency(&self) -> Consistency {
        Consistency::Unknown
    }

    fn strategy(&self) -> String {
        "\u{1b}[31mharm".into()
    }

    fn next(&self, max: u32) -> Result<Vec<api::Chunk>, Error> {
        let chunk = |descriptor: Vec<u8>| api::Chunk {
            label: "\u{1b}[31mc".into(),
            lane: Lane::Component(descriptor),
            rows: Some(u64::MAX),
            bytes: Some(u64::MAX),
        };
        match self.abuse.as_str() {
            "loop-chunks" => endless(),
            "chunks-endless" => return Ok((0..max).map(|_| chunk(vec![0])).collect()),
            "chunks-more-than-asked" => {
                return Ok((0..100_000).map(|_| chunk(vec![0])).collect());
            }
            "odbc-statement-huge" => {
                return Ok(vec![chunk_of(statement(&"x".repeat(2 << 20), with_nothing()))]);
            }
            "odbc-lane-elsewhere" if self.given.replace(CHUNKS) == 0 => {
                let elsewhere = login("Server", "127.0.0.1");
                return Ok(vec![chunk_of(statement("SELECT 1", elsewhere))]);
            }
            "descriptor-huge" if self.given.get() == 0 => {
                self.given.set(CHUNKS);
                return Ok(vec![chunk(vec![0; 1 << 20])]);
            }
            _ => {}
        }
        let first = self.given.replace(CHUNKS);
        Ok((first..CHUNKS).map(|number| chunk(vec![number])).collect())
    }
}

impl api::GuestReader for Reader {
    fn next(&self) -> Result<Option<Vec<Vec<u8>>>, Error> {
        match self.abuse.as_str() {
            "loop-next" => endless(),
            "panic" => panic!("the plugin's own words"),
            "pieces-huge" => return Ok(Some(vec![vec![0; 200 << 20]])),
            "pieces-many" => return Ok(Some(vec![Vec::new(); 10_000_000])),
            "empty-calls" => return Ok(Some(Vec::new())),
            _ => {}
        }
        Ok(self.stream.borrow_mut().next())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        match self.abuse.as_str() {
            "loop-drop-reader" => endless(),
            "panic-drop-reader" => panic!("in a reader's drop"),
            _ => {}
        }
    }
}

fn chunk_of(lane: Lane) -> api::Chunk {
    api::Chunk { label: "c".into(), lane, rows: None, bytes: None }
}

fn statement(sql: &str, login: Login) -> Lane {
    let (parameters, fetch) = (Vec::new(), vec![Fetch::Native]);
    Lane::Odbc(Statement { login, sql: sql.into(), parameters, fetch, by_row: false })
}

fn odbc(login: &Login) -> Result<(), Error> {
    std::mem::forget(OdbcSession::connect(login)?);
    Ok(())
}

fn login(name: &str, value: &str) -> Login {
    with(Attribute { name: name.into(), value: Setting::Text(value.into()) })
}

fn with(attribute: Attribute) -> Login {
    Login { attributes: vec![attribute], ..with_nothing() }
}

fn with_nothing() -> Login {
    Login { attributes: Vec::new(), setup: Vec::new(), timeout_secs: 5 }
}

fn column() -> Column {
    Column { source_type: "\u{1b}[31mx".into(), comparable: Comparable::No, lossy: None }
}

bindings::connector::export_connector_world!(Hostile with_types_in bindings::connector);
longshore_sdk::__export_entropy!();
