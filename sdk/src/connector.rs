//! Connectors: the trait that authors implement, and its way to the contract.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Chunk, ChunkHints, Column, Consistency, Error, Mode, Pushdown, Relation, Result, Scan,
    SnapshotResult, Storage,
};

/// What a connector is.
#[derive(Clone, Debug)]
pub struct ConnectorInfo {
    /// Its name: lower case letters, digits and `-`.
    pub name: &'static str,
    /// Its own version; usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// One line on what it reads.
    pub summary: &'static str,
    /// The URL schemes that choose it.
    pub schemes: &'static [&'static str],
    /// The config fields that name network endpoints, and the port where none is given.
    pub endpoints: &'static [(&'static str, u16)],
    /// The config fields that hold secrets.
    pub secrets: &'static [&'static str],
    /// What it carries out at the source.
    pub pushdown: Pushdown,
    /// The best consistency that it can give.
    pub consistency: Consistency,
}

/// What is known of a relation without reading it.
#[derive(Clone, Debug)]
pub struct RelationInfo {
    /// Its schema.
    pub schema: SchemaRef,
    /// One for each field of the schema.
    pub columns: Vec<Column>,
    /// Estimated rows.
    pub rows: Option<u64>,
    /// Estimated bytes as the source stores them.
    pub bytes: Option<u64>,
}

/// A folder of Parquet files that a run publishes, and that is to be a table.
#[derive(Clone, Debug)]
pub struct TableRegistration {
    /// The run's id.
    pub run: String,
    /// The table's name, which is the folder's.
    pub name: String,
    /// The folder's URL, as Hadoop writes it.
    pub location: String,
    /// What the files hold, and then what folders tell.
    pub schema: SchemaRef,
    /// The last columns, if their values name folders, such as `day=2026-11-20`.
    pub partitions: Vec<String>,
    /// What becomes of what is there under the name.
    pub mode: Mode,
}

/// How a scan is split into chunks.
pub struct Plan {
    /// What the chunks will see.
    pub consistency: Consistency,
    /// How and why, in one line.
    pub strategy: String,
    /// The chunks: they cover the scan without loss or overlap.
    pub chunks: Box<dyn Iterator<Item = Result<Chunk>>>,
}

/// A chunk's rows, batch by batch. Batches of some 1 to 4 MiB serve best; of larger ones than 32 MiB the
/// rows are handed over a few at a time.
pub trait Reader {
    /// The relation's schema, cut to the projection.
    fn schema(&self) -> SchemaRef;

    /// The next batch; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}

/// A source of rows. A value of the type is an open session.
pub trait Connector: Sized + 'static {
    /// What a job's `source:` holds, `url` included. Its JSON Schema becomes part of `describe`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the connector is.
    fn describe() -> ConnectorInfo;

    /// Opens a session.
    fn open(config: Self::Config) -> Result<Self>;

    /// Checks that the source can be used; one line on what answered.
    fn test(&mut self) -> Result<String>;

    /// Tables and views that can be read, as [`Relation::Table`] takes them.
    fn relations(&mut self) -> Result<Vec<String>>;

    /// Opens a snapshot of these relations for other sessions, which lasts as long as this session;
    /// nothing else is called on it.
    fn open_snapshot(&mut self, _relations: &[Relation]) -> Result<SnapshotResult> {
        Ok(SnapshotResult::Unavailable("the connector has none".into()))
    }

    /// Looks a relation up, without reading its rows.
    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo>;

    /// Tells which relations are described and planned next in this session, so that a catalog can be asked
    /// for all of them at once. Errors of a single relation belong to `describe_relation`.
    fn prepare(&mut self, _relations: &[Relation]) -> Result<()> {
        Ok(())
    }

    /// The tables that a query reads, also those that are read by the views in it, as [`Relation::Table`] takes
    /// them. None if they are not known. Must not read rows.
    fn tables_of_query(&mut self, _query: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Where a relation's files are, if it consists of files that the host may read itself.
    fn storage(&mut self, _relation: &Relation) -> Result<Storage> {
        Ok(Storage::Unavailable("the connector knows of no files".into()))
    }

    /// Splits a scan into chunks, without reading its rows.
    fn plan(&mut self, scan: &Scan, hints: &ChunkHints) -> Result<Plan>;

    /// Reads one chunk by its descriptor. Called for one chunk after the other on a session; a
    /// reader is dropped before the next call.
    fn read(&mut self, scan: &Scan, descriptor: &[u8]) -> Result<Box<dyn Reader>>;

    /// Whether these folders can become tables of the source's catalog, as far as can be told before
    /// there is anything in them. Changes nothing.
    fn check_tables(&mut self, _tables: &[TableRegistration]) -> Result<()> {
        Err(no_catalog::<Self>())
    }

    /// Makes tables of these folders, whose files are in their places now, or brings the tables up
    /// to date; all of them, or none. Gives their names. Called again with the same after an
    /// interruption.
    fn register(&mut self, _tables: &[TableRegistration]) -> Result<Vec<String>> {
        Err(no_catalog::<Self>())
    }

    /// Undoes [`Self::register`]: the folders are as they were before the run.
    fn unregister(&mut self, _tables: &[TableRegistration]) -> Result<()> {
        Err(no_catalog::<Self>())
    }
}

fn no_catalog<T: Connector>() -> Error {
    let name = T::describe().name;
    Error::config(format!("{name} has no catalog that tables could be registered in"))
        .with_hint("name one that has, such as hive:// or impala://")
}

#[doc(hidden)]
pub mod component {
    //! From the trait to the generated bindings.

    use std::cell::RefCell;
    use std::marker::PhantomData;

    use super::{Connector, Plan, Reader, RecordBatch, TableRegistration};
    use crate::bindings::capabilities::longshore::plugin::types::{
        Description, Error as WireError,
    };
    use crate::bindings::connector::exports::longshore::plugin::connector_api as api;
    use crate::bindings::connector::exports::longshore::plugin::connector_lookup_api as lookup;
    use crate::bindings::connector::longshore::plugin::connector_types::ConnectorFeatures;
    use crate::{Result, config, handed, ipc};

    pub struct Component<T>(PhantomData<T>);

    impl<T: Connector> api::Guest for Component<T> {
        type Session = Session<T>;
        type Chunks = Chunks;
        type Reader = ReaderResource;

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

        fn features() -> ConnectorFeatures {
            let info = T::describe();
            ConnectorFeatures { pushdown: info.pushdown, consistency: info.consistency }
        }
    }

    impl<T: Connector> lookup::Guest for Component<T> {
        fn prepare(
            session: api::SessionBorrow<'_>,
            relations: Vec<api::Relation>,
        ) -> Result<(), WireError> {
            Ok(session.get::<Session<T>>().0.borrow_mut().prepare(&relations)?)
        }

        fn tables_of_query(
            session: api::SessionBorrow<'_>,
            query: String,
        ) -> Result<Vec<String>, WireError> {
            Ok(session.get::<Session<T>>().0.borrow_mut().tables_of_query(&query)?)
        }
    }

    pub struct Session<T>(RefCell<T>);

    impl<T: Connector> api::GuestSession for Session<T> {
        fn open(config: String) -> Result<api::Session, WireError> {
            crate::export::report_panics();
            let session = config::parse(&config).and_then(T::open)?;
            Ok(api::Session::new(Session(RefCell::new(session))))
        }

        fn test(&self) -> Result<String, WireError> {
            Ok(self.0.borrow_mut().test()?)
        }

        fn relations(&self) -> Result<Vec<String>, WireError> {
            Ok(self.0.borrow_mut().relations()?)
        }

        fn open_snapshot(
            &self,
            relations: Vec<api::Relation>,
        ) -> Result<api::SnapshotResult, WireError> {
            Ok(self.0.borrow_mut().open_snapshot(&relations)?)
        }

        fn describe_relation(
            &self,
            relation: api::Relation,
        ) -> Result<api::RelationInfo, WireError> {
            let info = self.0.borrow_mut().describe_relation(&relation)?;
            Ok(api::RelationInfo {
                schema: ipc::encode_schema(&info.schema)?,
                columns: info.columns,
                rows: info.rows,
                bytes: info.bytes,
            })
        }

        fn storage(&self, relation: api::Relation) -> Result<api::Storage, WireError> {
            Ok(self.0.borrow_mut().storage(&relation)?)
        }

        fn check_tables(&self, tables: Vec<api::TableRegistration>) -> Result<(), WireError> {
            Ok(self.0.borrow_mut().check_tables(&decoded(tables)?)?)
        }

        fn register(&self, tables: Vec<api::TableRegistration>) -> Result<Vec<String>, WireError> {
            Ok(self.0.borrow_mut().register(&decoded(tables)?)?)
        }

        fn unregister(&self, tables: Vec<api::TableRegistration>) -> Result<(), WireError> {
            Ok(self.0.borrow_mut().unregister(&decoded(tables)?)?)
        }

        fn plan(&self, scan: api::Scan, hints: api::ChunkHints) -> Result<api::Chunks, WireError> {
            let plan = self.0.borrow_mut().plan(&scan, &hints)?;
            Ok(api::Chunks::new(Chunks(RefCell::new(plan))))
        }

        fn read(&self, scan: api::Scan, descriptor: Vec<u8>) -> Result<api::Reader, WireError> {
            let reader = self.0.borrow_mut().read(&scan, &descriptor)?;
            let encoder = ipc::Encoder::new(&reader.schema())?;
            let (encoder, rest) = (Some(encoder), None);
            Ok(api::Reader::new(ReaderResource(RefCell::new(OpenReader { reader, encoder, rest }))))
        }
    }

    fn decoded(tables: Vec<api::TableRegistration>) -> Result<Vec<TableRegistration>> {
        let table = |table: api::TableRegistration| {
            Ok(TableRegistration {
                run: table.run,
                name: table.name,
                location: table.location,
                schema: ipc::decode_schema(table.schema)?,
                partitions: table.partitions,
                mode: table.mode,
            })
        };
        tables.into_iter().map(table).collect()
    }

    pub struct Chunks(RefCell<Plan>);

    impl api::GuestChunks for Chunks {
        fn consistency(&self) -> api::Consistency {
            self.0.borrow().consistency
        }

        fn strategy(&self) -> String {
            self.0.borrow().strategy.clone()
        }

        fn next(&self, max: u32) -> Result<Vec<api::Chunk>, WireError> {
            let mut plan = self.0.borrow_mut();
            Ok(plan.chunks.by_ref().take(max as usize).collect::<Result<_>>()?)
        }
    }

    pub struct ReaderResource(RefCell<OpenReader>);

    struct OpenReader {
        reader: Box<dyn Reader>,
        /// None at the end.
        encoder: Option<ipc::Encoder>,
        /// What the last call did not hand over of its batch.
        rest: Option<RecordBatch>,
    }

    impl OpenReader {
        fn batch(&mut self) -> Result<Option<RecordBatch>> {
            let whole = match self.rest.take() {
                Some(rest) => Some(rest),
                None => self.reader.next()?,
            };
            let Some(whole) = whole else { return Ok(None) };
            let (batch, rest) = handed::cut(whole);
            self.rest = rest;
            handed::tell_large_row(&batch);
            Ok(Some(batch))
        }
    }

    impl api::GuestReader for ReaderResource {
        fn next(&self) -> Result<Option<Vec<Vec<u8>>>, WireError> {
            let open = &mut *self.0.borrow_mut();
            if open.encoder.is_none() {
                return Ok(None);
            }
            let batch = open.batch()?;
            Ok(match (batch, &mut open.encoder) {
                (Some(batch), Some(encoder)) => Some(encoder.encode(&batch)?),
                _ => open.encoder.take().map(ipc::Encoder::finish).transpose()?,
            })
        }
    }
}
