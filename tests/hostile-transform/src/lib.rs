//! A transform that means harm, for the tests: `abuse` in its config says how. It is written against
//! the contract itself, without the SDK's help, so that nothing keeps it from lying.

#![cfg(target_arch = "wasm32")]

mod columns;
mod digests;

use std::cell::RefCell;

use longshore_hostile_kit::streams::{self, Pieces, Stream};
use longshore_hostile_kit::{Abuse, ESCAPES, config_schema, mark};
use longshore_sdk::bindings;
use longshore_sdk::bindings::capabilities::longshore::plugin::types::{Description, Error};
use longshore_sdk::bindings::transform::exports::longshore::plugin::transform_api as api;
use longshore_sdk::{ColumnMapping, host};

struct Hostile;

struct Transformer {
    abuse: Abuse,
    stream: RefCell<Stream>,
}

impl api::Guest for Hostile {
    type Transformer = Transformer;

    fn describe() -> Description {
        let mode = mark::mode();
        mode.strike();
        Description {
            name: mode.or("name", "../../etc/Passwd", "hostile-transform"),
            version: mode.or("version", "newest", mark::version()),
            summary: mode.or("summary", ESCAPES, "Means harm"),
            schemes: Vec::new(),
            config_schema: config_schema(mode.0),
            endpoints: Vec::new(),
            secrets: vec![mode.or("secrets", ESCAPES, "password")],
        }
    }
}

impl api::GuestTransformer for Transformer {
    fn open(config: String, _: Vec<u8>) -> Result<api::Transformer, Error> {
        let abuse = Abuse::of(&config);
        abuse.strike("open")?;
        let stream = match abuse.name() {
            "stream-name-tells" => streams::named(&host::secret("password")?),
            name => columns::stream(name).unwrap_or_else(|| streams::of(name)),
        };
        Ok(api::Transformer::new(Transformer { abuse, stream: RefCell::new(stream) }))
    }

    fn output_schema(&self) -> Result<Vec<u8>, Error> {
        self.abuse.strike("output-schema")?;
        Ok(match self.abuse.name() {
            "schema-garbage" => vec![0xff; 1_000],
            "schema-empty" => Vec::new(),
            "schema-huge" => vec![0; 200 << 20],
            "schema-wide" => streams::wide_schema(20_000),
            "schema-deep" => streams::deep_schema(100),
            "schema-deeper-than-allowed" => streams::deep_schema(40),
            abuse => columns::schema(abuse).unwrap_or_else(|| streams::schema(abuse)),
        })
    }

    fn column_mapping(&self) -> Result<Option<ColumnMapping>, Error> {
        self.abuse.strike("column-mapping")?;
        Ok(columns::mapping(self.abuse.name()))
    }

    fn process(&self, _: Pieces) -> Result<Pieces, Error> {
        self.abuse.strike("process")?;
        digests::strike(self.abuse.name())?;
        match self.abuse.name() {
            // All of it, from one input.
            "stream-endless" => Ok(self.stream.borrow_mut().by_ref().flatten().collect()),
            "answers-empty" | "columns-rows-late" => Ok(Vec::new()),
            _ => Ok(self.stream.borrow_mut().next().unwrap_or_default()),
        }
    }

    fn finish(&self) -> Result<Pieces, Error> {
        self.abuse.strike("finish")?;
        match self.abuse.name() {
            "pieces-huge" => Ok(vec![vec![0; 200 << 20]]),
            "pieces-many" => Ok(vec![Vec::new(); 10_000_000]),
            "answers-empty" => Ok(Vec::new()),
            _ => {
                Ok(self.stream.borrow_mut().by_ref().take(streams::BATCHES + 1).flatten().collect())
            }
        }
    }
}

impl Drop for Transformer {
    fn drop(&mut self) {
        // The host drops the whole instance: nothing of it runs.
        let _ = self.abuse.strike("drop");
    }
}

bindings::transform::export_transform_world!(Hostile with_types_in bindings::transform);
longshore_sdk::__export_entropy!();
