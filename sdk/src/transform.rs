//! Transforms: the trait that authors implement, and its way to the contract.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::Result;
use crate::bindings::transform::longshore::plugin::transform_types::{ColumnMapping, ColumnSource};

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

    /// Which columns it reads, and which it computes. As it is here, it reads all columns of the input and
    /// computes all of the output, and may give other rows than it gets.
    ///
    /// With a mapping, [`process`](Self::process) gets the columns that it reads and gives those that it
    /// computes, the same rows in the same order; none, if it computes nothing. The host copies nothing
    /// else into the component and out of it.
    fn column_mapping(&self) -> Option<ColumnMapping> {
        None
    }

    /// Changes one batch. Must not depend on rows of other chunks.
    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>>;

    /// What is left after the last batch.
    fn finish(&mut self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }
}

impl ColumnMapping {
    /// Of a transform that reads these columns of its input and gives others in their places: all columns
    /// beside them pass through. They are read in the order of the input.
    pub fn in_place(input: &Schema, columns: &[usize]) -> Self {
        let output: Vec<ColumnSource> = (0_u32..)
            .zip(input.fields())
            .map(|(number, _)| {
                if columns.contains(&(number as usize)) {
                    ColumnSource::Computed
                } else {
                    ColumnSource::Input(number)
                }
            })
            .collect();
        let is_computed = |number: &u32| output[*number as usize] == ColumnSource::Computed;
        let reads = (0..output.len() as u32).filter(is_computed).collect();
        Self { reads, output }
    }

    /// Those fields of the output that the transform computes.
    pub fn computed(&self, output: &Schema) -> SchemaRef {
        let sources = self.output.iter().zip(output.fields());
        let computed = sources.filter(|(source, _)| **source == ColumnSource::Computed);
        let fields: Vec<FieldRef> = computed.map(|(_, field)| field.clone()).collect();
        Arc::new(Schema::new_with_metadata(fields, output.metadata().clone()))
    }

    /// The columns of a batch that the transform reads.
    pub fn select(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let reads: Vec<usize> = self.reads.iter().map(|&number| number as usize).collect();
        Ok(batch.project(&reads)?)
    }
}

#[doc(hidden)]
pub mod component {
    //! From the trait to the generated bindings.

    use std::cell::RefCell;
    use std::marker::PhantomData;
    use std::sync::Arc;

    use arrow_array::{RecordBatch, RecordBatchOptions};
    use arrow_schema::Schema;

    use super::{ColumnMapping, Transform};
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
        /// It has a mapping, by which it computes no column.
        computes_nothing: bool,
    }

    impl<T: Transform> State<T> {
        fn open(transform: T) -> Result<Self> {
            let mut given = transform.output_schema();
            let mapping = transform.column_mapping();
            if let Some(mapping) = &mapping {
                given = mapping.computed(&given);
            }
            let computes_nothing = mapping.is_some() && given.fields().is_empty();
            let encoder = Some(ipc::Encoder::new(&given)?);
            Ok(Self { transform, decoder: ipc::Decoder::new(), encoder, computes_nothing })
        }

        /// What it makes of a batch. The host counts the rows, also if they have no columns.
        fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
            if !self.computes_nothing {
                return self.transform.process(batch);
            }
            let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            if batch.num_columns() > 0 {
                self.transform.process(batch)?;
            }
            let none = Arc::new(Schema::empty());
            Ok(Some(RecordBatch::try_new_with_options(none, Vec::new(), &rows)?))
        }
    }

    impl<T: Transform> api::GuestTransformer for Transformer<T> {
        fn open(config: String, input: Vec<u8>) -> Result<api::Transformer, WireError> {
            crate::export::report_panics();
            let transform = T::open(config::parse(&config)?, ipc::decode_schema(input)?)?;
            let state = State::open(transform)?;
            Ok(api::Transformer::new(Transformer(RefCell::new(state))))
        }

        fn output_schema(&self) -> Result<Vec<u8>, WireError> {
            Ok(ipc::encode_schema(&self.0.borrow().transform.output_schema())?)
        }

        fn column_mapping(&self) -> Result<Option<ColumnMapping>, WireError> {
            Ok(self.0.borrow().transform.column_mapping())
        }

        fn process(&self, input: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, WireError> {
            let state = &mut *self.0.borrow_mut();
            let mut pieces = Vec::new();
            for batch in state.decoder.push(input)? {
                if let (Some(out), Some(encoder)) = (state.process(batch)?, &mut state.encoder) {
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
