//! Sinks: the trait that authors implement, and its way to the contract.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{FinishedLoad, Load, Result};

/// What a sink is.
#[derive(Clone, Debug)]
pub struct SinkInfo {
    /// Its name: lower case letters, digits and `-`.
    pub name: &'static str,
    /// Its own version; usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// One line on where it writes.
    pub summary: &'static str,
    /// The URL schemes that choose it.
    pub schemes: &'static [&'static str],
    /// The config fields that name network endpoints, and the port where none is given.
    pub endpoints: &'static [(&'static str, u16)],
    /// The config fields that hold secrets.
    pub secrets: &'static [&'static str],
}

/// One chunk being written. Dropped before it is finished, it must leave nothing behind.
pub trait SinkWriter {
    /// Takes one batch.
    fn write(&mut self, batch: RecordBatch) -> Result<()>;

    /// Ends the chunk: its rows last from here on, out of sight. The receipt, at most 4,096 bytes, is
    /// kept and handed to [`Sink::commit`].
    fn finish(&mut self) -> Result<Vec<u8>>;
}

/// A target that is not files. A value of the type is an open session; a run has several, and one
/// whose call failed is dropped.
pub trait Sink: Sized + 'static {
    /// What a job's `target:` holds, `url` included. Its JSON Schema becomes part of `describe`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the sink is.
    fn describe() -> SinkInfo;

    /// Opens a session.
    fn open(config: Self::Config) -> Result<Self>;

    /// Checks that the target can be written; one line on what answered.
    fn test(&mut self) -> Result<String>;

    /// Prepares a load: checks that it can be taken, makes room out of sight. Called again when a
    /// run resumes after an interruption: what was written must stay.
    fn begin(&mut self, load: &Load, schema: SchemaRef) -> Result<()>;

    /// Starts one chunk; a higher attempt replaces what an earlier one wrote.
    fn write(&mut self, load: &Load, chunk: u64, attempt: u32) -> Result<Box<dyn SinkWriter>>;

    /// Whether the rows behind a receipt are still there; asked after an interruption.
    fn is_intact(&mut self, load: &Load, receipt: &[u8]) -> Result<bool>;

    /// Makes the rows behind the receipts visible, those of all loads or none, and gives the names
    /// under which they are. Again with the same, it changes nothing more and gives the same.
    fn commit(&mut self, run: &str, loads: &[FinishedLoad]) -> Result<Vec<String>>;

    /// Removes what the run has here and has not made visible, and what it kept to know its own
    /// commit.
    fn discard(&mut self, run: &str) -> Result<()>;
}

#[doc(hidden)]
pub mod component {
    //! From the trait to the generated bindings.

    use std::cell::RefCell;
    use std::marker::PhantomData;

    use super::{Sink, SinkWriter};
    use crate::bindings::capabilities::longshore::plugin::types::{
        Description, Error as WireError,
    };
    use crate::bindings::sink::exports::longshore::plugin::sink_api as api;
    use crate::{FinishedLoad, Load, Result, config, ipc};

    pub struct Component<T>(PhantomData<T>);

    impl<T: Sink> api::Guest for Component<T> {
        type Target = Target<T>;
        type Writer = Writer;

        fn describe() -> Description {
            let info = T::describe();
            Description {
                name: info.name.into(),
                version: info.version.into(),
                summary: info.summary.into(),
                schemes: config::texts(info.schemes),
                config_schema: config::schema_of::<T::Config>(),
                endpoints: config::endpoints(info.endpoints),
                secrets: config::texts(info.secrets),
            }
        }
    }

    pub struct Target<T>(RefCell<T>);

    impl<T: Sink> api::GuestTarget for Target<T> {
        fn open(config: String) -> Result<api::Target, WireError> {
            crate::export::report_panics();
            let target = config::parse(&config).and_then(T::open)?;
            Ok(api::Target::new(Target(RefCell::new(target))))
        }

        fn test(&self) -> Result<String, WireError> {
            Ok(self.0.borrow_mut().test()?)
        }

        fn begin(&self, load: Load, schema: Vec<u8>) -> Result<(), WireError> {
            let schema = ipc::decode_schema(schema)?;
            Ok(self.0.borrow_mut().begin(&load, schema)?)
        }

        fn write(&self, load: Load, chunk: u64, attempt: u32) -> Result<api::Writer, WireError> {
            let writer = self.0.borrow_mut().write(&load, chunk, attempt)?;
            Ok(api::Writer::new(Writer(RefCell::new((writer, ipc::Decoder::new())))))
        }

        fn is_intact(&self, load: Load, receipt: Vec<u8>) -> Result<bool, WireError> {
            Ok(self.0.borrow_mut().is_intact(&load, &receipt)?)
        }

        fn commit(&self, run: String, loads: Vec<FinishedLoad>) -> Result<Vec<String>, WireError> {
            Ok(self.0.borrow_mut().commit(&run, &loads)?)
        }

        fn discard(&self, run: String) -> Result<(), WireError> {
            Ok(self.0.borrow_mut().discard(&run)?)
        }
    }

    pub struct Writer(RefCell<(Box<dyn SinkWriter>, ipc::Decoder)>);

    impl api::GuestWriter for Writer {
        fn write(&self, batches: Vec<Vec<u8>>) -> Result<(), WireError> {
            let (writer, decoder) = &mut *self.0.borrow_mut();
            for batch in decoder.push(batches)? {
                writer.write(batch)?;
            }
            Ok(())
        }

        fn finish(&self) -> Result<Vec<u8>, WireError> {
            Ok(self.0.borrow_mut().0.finish()?)
        }
    }
}
