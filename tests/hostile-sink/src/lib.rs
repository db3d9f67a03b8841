//! A sink that means harm, for the tests: `abuse` in its config says how. It is written against the
//! contract itself, without the SDK's help, so that nothing keeps it from lying.

#![cfg(target_arch = "wasm32")]

use std::cell::Cell;

use longshore_hostile_kit::{Abuse, ESCAPES, config_schema, error, mark};
use longshore_sdk::bindings;
use longshore_sdk::bindings::capabilities::longshore::plugin::types::{
    Description, EndpointField, Error, ErrorClass,
};
use longshore_sdk::bindings::sink::exports::longshore::plugin::sink_api as api;
use longshore_sdk::host;

/// The most bytes of a receipt.
const RECEIPT_LIMIT_BYTES: usize = 4_096;

/// How long a batch takes where a test wants to come in between.
const SLOW_MILLIS: u32 = 50;

struct Hostile;

struct Target {
    abuse: Abuse,
    committed: Cell<bool>,
}

struct Writer {
    abuse: Abuse,
}

impl api::Guest for Hostile {
    type Target = Target;
    type Writer = Writer;

    fn describe() -> Description {
        let mode = mark::mode();
        mode.strike();
        Description {
            name: mode.or("name", "../../etc/Passwd", "hostile-sink"),
            version: mode.or("version", "newest", mark::version()),
            summary: mode.or("summary", ESCAPES, "Means harm"),
            schemes: vec![mode.or("scheme", "file://", "hostile-sink")],
            config_schema: config_schema(mode.0),
            endpoints: vec![EndpointField {
                field: mode.or("endpoints", ESCAPES, "server"),
                default_port: 1,
            }],
            secrets: vec![mode.or("secrets", ESCAPES, "password")],
        }
    }
}

impl api::GuestTarget for Target {
    fn open(config: String) -> Result<api::Target, Error> {
        let abuse = Abuse::of(&config);
        abuse.strike("open")?;
        Ok(api::Target::new(Target { abuse, committed: Cell::new(false) }))
    }

    fn test(&self) -> Result<String, Error> {
        self.abuse.strike("test")?;
        Ok(ESCAPES.into())
    }

    fn begin(&self, _: api::Load, _: Vec<u8>) -> Result<(), Error> {
        self.abuse.strike("begin")
    }

    fn write(&self, _: api::Load, _: u64, _: u32) -> Result<api::Writer, Error> {
        self.abuse.strike("write")?;
        Ok(api::Writer::new(Writer { abuse: self.abuse.clone() }))
    }

    fn is_intact(&self, _: api::Load, _: Vec<u8>) -> Result<bool, Error> {
        self.abuse.strike("is-intact")?;
        Ok(self.abuse.name() != "intact-nothing")
    }

    fn commit(&self, _: String, loads: Vec<api::FinishedLoad>) -> Result<Vec<String>, Error> {
        self.abuse.strike("commit")?;
        self.committed.set(true);
        let named = |name: &str| Ok(loads.iter().map(|_| name.to_owned()).collect());
        match self.abuse.name() {
            "names-none" => Ok(Vec::new()),
            "names-many" => Ok(vec!["x".into(); 1_000_000]),
            "names-empty" => named(""),
            "names-huge" => named(&"x".repeat(16 << 20)),
            "names-escapes" => named(ESCAPES),
            "names-path" => named("../../x"),
            "names-tell" => named(&host::secret("password")?),
            "commits-sometimes" if host::random_bytes(1)[0] < 128 => {
                Err(error(ErrorClass::Connection, "broke, after it was done"))
            }
            _ => Ok(loads.into_iter().map(|written| written.load.relation).collect()),
        }
    }

    fn discard(&self, _: String) -> Result<(), Error> {
        if self.committed.get() {
            self.abuse.strike("discard-committed")?;
        }
        self.abuse.strike("discard")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.abuse.strike("drop-target");
    }
}

impl api::GuestWriter for Writer {
    fn write(&self, _: Vec<Vec<u8>>) -> Result<(), Error> {
        if self.abuse.name().contains("intact") {
            host::sleep(SLOW_MILLIS);
        }
        self.abuse.strike("writer-write")
    }

    fn finish(&self) -> Result<Vec<u8>, Error> {
        self.abuse.strike("writer-finish")?;
        Ok(match self.abuse.name() {
            "receipt-long" => vec![0; RECEIPT_LIMIT_BYTES + 1],
            "receipt-huge" => vec![0; 200 << 20],
            "receipt-longest" => vec![0xff; RECEIPT_LIMIT_BYTES],
            "receipt-empty" => Vec::new(),
            _ => b"a receipt".to_vec(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.abuse.strike("drop-writer");
    }
}

bindings::sink::export_sink_world!(Hostile with_types_in bindings::sink);
longshore_sdk::__export_entropy!();
