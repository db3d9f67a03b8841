//! Transforms: the trait that authors implement, and its way to the contract.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::Result;

/// What a transform is.
#[derive(Clone, Debug)]
pub struct TransformInfo {
    /// Its name: jobs choose it by this.
    pub name: &'static str,
    /// Its own version; usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// The config fields that hold secrets.
    pub secrets: &'static [&'static str],
}

/// Changes rows on their way. A value of the type is at work on one chunk.
pub trait Transform: Sized + 'static {
    /// What a job's step holds, beside `plugin`. Its JSON Schema becomes part of `describe`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the transform is.
    fn describe() -> TransformInfo;

    /// Opens it for one chunk of this schema.
    fn open(config: Self::Config, input: SchemaRef) -> Result<Self>;

    /// The schema of what comes out.
    fn output_schema(&self) -> SchemaRef;

    /// Changes one batch. Must not depend on rows of other chunks.
    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>>;

    /// What is left after the last batch.
    fn finish(&mut self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

#[doc(hidden)]
pub mod component {
    //! From the trait to the generated bindings.

    use std::cell::RefCell;
    use std::marker::PhantomData;

    use super::Transform;
    use crate::bindings::capabilities::longshore::plugin::types::{
        Description, Error as WireError,
    };
    use crate::bindings::transform::exports::longshore::plugin::transform_api as api;
    use crate::{Result, config, ipc};

    pub struct Component<T>(PhantomData<T>);

    impl<T: Transform> api::Guest for Component<T> {
        type Transformer = Transformer<T>;

        fn describe() -> Description {
            let info = T::describe();
            Description {
                name: info.name.into(),
                version: info.version.into(),
                summary: info.summary.into(),
                schemes: Vec::new(),
                config_schema: config::schema_of::<T::Config>(),
                endpoints: Vec::new(),
                secrets: config::texts(info.secrets),
            }
        }
    }

    pub struct Transformer<T>(RefCell<State<T>>);

    struct State<T> {
        transform: T,
        decoder: ipc::Decoder,
        encoder: Option<ipc::Encoder>,
    }

    impl<T: Transform> api::GuestTransformer for Transformer<T> {
        fn open(config: String, input: Vec<u8>) -> Result<api::Transformer, WireError> {
            crate::export::report_panics();
            let transform = T::open(config::parse(&config)?, ipc::decode_schema(input)?)?;
            let encoder = Some(ipc::Encoder::new(&transform.output_schema())?);
            let state = State { transform, decoder: ipc::Decoder::new(), encoder };
            Ok(api::Transformer::new(Transformer(RefCell::new(state))))
        }

        fn output_schema(&self) -> Result<Vec<u8>, WireError> {
            Ok(ipc::encode_schema(&self.0.borrow().transform.output_schema())?)
        }

        fn process(&self, input: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, WireError> {
            let State { transform, decoder, encoder } = &mut *self.0.borrow_mut();
            let mut pieces = Vec::new();
            for batch in decoder.push(input)? {
                if let (Some(out), Some(encoder)) = (transform.process(batch)?, &mut *encoder) {
                    pieces.extend(encoder.encode(&out)?);
                }
            }
            Ok(pieces)
        }

        fn finish(&self) -> Result<Vec<Vec<u8>>, WireError> {
            let State { transform, encoder, .. } = &mut *self.0.borrow_mut();
            let Some(mut encoder) = encoder.take() else { return Ok(Vec::new()) };
            let mut pieces = Vec::new();
            if let Some(out) = transform.finish()? {
                pieces.extend(encoder.encode(&out)?);
            }
            pieces.extend(encoder.finish()?);
            Ok(pieces)
        }
    }
}
