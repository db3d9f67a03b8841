//! Sinks: the trait that authors implement, and its way to the contract.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Load, Result};

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

/// One chunk being written.
pub trait SinkWriter {
    /// Takes one batch.
    fn write(&mut self, batch: RecordBatch) -> Result<()>;

    /// Ends the chunk; the receipt is kept and handed to [`Sink::commit`].
    fn finish(&mut self) -> Result<Vec<u8>>;
}

/// A target that is not files. A value of the type is an open session.
pub trait Sink: Sized + 'static {
    /// What a job's `target:` holds, `url` included. Its JSON Schema becomes part of `describe`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the sink is.
    fn describe() -> SinkInfo;

    /// Opens a session.
    fn open(config: Self::Config) -> Result<Self>;

    /// Prepares a load: checks that it can be taken, makes room out of sight.
    fn begin(&mut self, load: &Load, schema: SchemaRef) -> Result<()>;

    /// Starts one chunk; a higher attempt replaces what an earlier one wrote.
    fn write(&mut self, load: &Load, chunk: u64, attempt: u32) -> Result<Box<dyn SinkWriter>>;

    /// Makes the rows behind the receipts visible, all or nothing; again with the same receipts,
    /// it changes nothing.
    fn commit(&mut self, load: &Load, receipts: &[Vec<u8>]) -> Result<()>;

    /// Removes what the load left behind.
    fn abort(&mut self, load: &Load) -> Result<()>;
}

#[doc(hidden)]
pub mod component {
    //! From the trait to the generated bindings.

    use std::cell::RefCell;
    use std::marker::PhantomData;

    use super::{Sink, SinkWriter};
    use crate::bindings::capabilities::longshore::plugin::types::Error as WireError;
    use crate::bindings::sink::exports::longshore::plugin::sink_api as api;
    use crate::{Load, Result, config, ipc};

    pub struct Component<T>(PhantomData<T>);

    impl<T: Sink> api::Guest for Component<T> {
        type Target = Target<T>;
        type Writer = Writer;

        fn describe() -> api::Description {
            let info = T::describe();
            api::Description {
                name: info.name.into(),
                version: info.version.into(),
                summary: info.summary.into(),
                schemes: info.schemes.iter().map(|s| s.to_string()).collect(),
                config_schema: config::schema_of::<T::Config>(),
                endpoints: info
                    .endpoints
                    .iter()
                    .map(|(field, port)| api::EndpointField {
                        field: field.to_string(),
                        default_port: *port,
                    })
                    .collect(),
                secrets: info.secrets.iter().map(|s| s.to_string()).collect(),
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

        fn begin(&self, load: Load) -> Result<(), WireError> {
            let schema = ipc::decode_schema(load.schema.clone())?;
            Ok(self.0.borrow_mut().begin(&load, schema)?)
        }

        fn write(&self, load: Load, chunk: u64, attempt: u32) -> Result<api::Writer, WireError> {
            let writer = self.0.borrow_mut().write(&load, chunk, attempt)?;
            Ok(api::Writer::new(Writer(RefCell::new((writer, ipc::Decoder::new())))))
        }

        fn commit(&self, load: Load, receipts: Vec<Vec<u8>>) -> Result<(), WireError> {
            Ok(self.0.borrow_mut().commit(&load, &receipts)?)
        }

        fn abort(&self, load: Load) -> Result<(), WireError> {
            Ok(self.0.borrow_mut().abort(&load)?)
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
