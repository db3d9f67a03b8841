//! Odd files, read as a source reads them, against readers that are slow and plain.

mod csv;
mod json;
mod names;
mod written;

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use longshore_model::config::Policy;
use longshore_model::config::access::Reach;
use longshore_model::config::files::{FileFormat, Files};
use longshore_model::config::place::Place;
use longshore_model::error::Result;
use longshore_sandbox::{ChunkHints, Relation, Scan};
use object_store::chunked::ChunkedStore;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Mutex;

use super::FileSource;
use crate::scan::source::{ChunkRead, Source};
use crate::store::{SourceStore, key};

/// How a file is cut when it is read.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Bytes to a chunk.
    chunk: u64,
    /// Bytes that come at a time.
    piece: usize,
}

/// One chunk, in pieces that hold everything.
const WHOLE: Cut = Cut { chunk: u64::MAX, piece: 1 << 20 };

/// Files of a format, of which a job says nothing else.
fn files(format: FileFormat) -> Files {
    let place = Place::Local(Path::new("/").to_owned());
    let mut files = Files::of_parquet(place, "memory:");
    files.format = Some(format);
    (files.csv.header, files.csv.quote) = (true, Some(b'"'));
    files.csv.nulls = vec![String::new()];
    files.sample_rows = 10_000;
    files
}

fn source(files: &Files, store: SourceStore) -> FileSource {
    FileSource {
        files: files.clone(),
        table: None,
        store,
        reach: Reach::new(&Policy::default(), Path::new("/")),
        config: String::new(),
        info: Mutex::default(),
    }
}

/// All rows of a relation, chunk by chunk, as a run reads them.
async fn rows_of(source: &FileSource, table: &str, chunk: u64) -> Result<Table> {
    let relation = Relation::Table(table.to_owned());
    let schema = source.describe(&relation).await?.schema;
    let scan = Scan { relation, projection: None, filter: None, limit: None, snapshot: None };
    let hints = ChunkHints { rows: None, bytes: chunk, parallel: 1, max_chunks: 1_000, key: None };
    let scanned = source.plan(&scan, &hints).await?;
    let mut batches = Vec::new();
    for chunk in &scanned.chunks {
        let chunk =
            ChunkRead { scan: &scan, descriptor: &chunk.descriptor, schema: &schema, tapes: None };
        let open = source.open_chunk(chunk).await?;
        batches.extend(open.rows.try_collect::<Vec<_>>().await?);
    }
    Ok(Table { schema, batches })
}

/// What was read.
struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// All rows together.
    fn batch(&self) -> RecordBatch {
        arrow::compute::concat_batches(&self.schema, &self.batches).unwrap()
    }
}

/// A file of this name and content, read as the only one of its source.
fn read(files: &Files, name: &str, content: &[u8], cut: Cut) -> Result<Table> {
    read_in(files, name, name, content, cut)
}

/// The relation of this name, of which there is one file.
fn read_in(files: &Files, table: &str, file: &str, content: &[u8], cut: Cut) -> Result<Table> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let memory = InMemory::new();
        memory.put(&key(file)?, content.to_vec().into()).await.unwrap();
        let objects: Arc<dyn ObjectStore> =
            Arc::new(ChunkedStore::new(Arc::new(memory), cut.piece));
        let store = SourceStore { objects, base: "memory:".into(), root: key("")? };
        rows_of(&source(files, store), table, cut.chunk).await
    })
}

/// The same table, however the file is cut; `may_refuse` says whether a cut may fall within a value.
fn same_in_pieces(
    files: &Files,
    name: &str,
    content: &[u8],
    cut: Cut,
    may_refuse: bool,
) -> Result<(), String> {
    let whole = read(files, name, content, WHOLE);
    let pieces = read(files, name, content, cut);
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) if whole.batch() == pieces.batch() => Ok(()),
        (Ok(_), Ok(pieces)) => Err(format!("other rows in pieces: {:?}", pieces.batch())),
        (Ok(_), Err(error)) if may_refuse && says_newlines(&error) => Ok(()),
        (Ok(_), Err(error)) => Err(format!("refused in pieces: {error}")),
        (Err(error), Ok(_)) => Err(format!("only refused as a whole: {error}")),
        (Err(_), Err(_)) => Ok(()),
    }
}

/// Whether an error says what to do about a line's end within a value.
fn says_newlines(error: &longshore_model::error::Error) -> bool {
    error.hint().is_some_and(|hint| hint.contains("newlines: true"))
}
