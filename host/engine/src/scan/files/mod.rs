//! The files lane: a source of files, which the host reads itself. Parquet is read by DataFusion's reader,
//! CSV and JSON by Arrow's, a stretch of lines at a time.
//!
//! A relation is looked up once: its files are listed, and pinned as they were then.

mod arrow_file;
mod bytes;
mod changed_values;
mod column;
mod csv;
mod csv_delimiter;
mod cut;
mod decode;
mod decoded_blocks;
mod file_info;
mod filter;
#[cfg(test)]
mod fuzz;
mod inspect;
mod json;
mod json_shape;
mod json_values;
mod json_wrong;
mod lines;
mod listing;
mod loose;
mod parquet;
mod parquet_fault;
mod parquet_footer;
mod records;
mod schema;
mod source;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion::common::ScalarValue;
use futures::stream::BoxStream;
use longshore_model::config::access::Reach;
use longshore_model::config::files::{FileFormat, FilePattern, Files};
use longshore_model::config::place::Place;
use longshore_model::error::{Class, Error, Result};
use longshore_sandbox::Relation;
use object_store::ObjectMeta;
use object_store::path::Path as Key;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OnceCell};

use super::left_out::PlacedLeftOut;
use super::source::ChunkRead;
use crate::datafusion_fault::from_datafusion;
use crate::store;
use crate::store::{BeyondEnd, Pinned, SourceStore, object_error};
use file_info::FilesInfo;
pub(crate) use parquet_footer::{Factory as ParquetReaders, fetch as fetch_footer};

/// What is said of a file that a reader panics at.
const DAMAGED: &str = "it is damaged";

/// A chunk's rows.
pub(super) type Rows = BoxStream<'static, Result<RecordBatch>>;

/// The rows of a chunk that are left out, so far.
type SharedLeftOut = Arc<parking_lot::Mutex<PlacedLeftOut>>;

/// A chunk that is read.
struct OpenChunk {
    rows: Rows,
    /// The bytes that are in memory besides its batches.
    held_bytes: u64,
    left_out: SharedLeftOut,
}

/// Files of a store, as a source.
pub struct FileSource {
    files: Files,
    /// Those of a table of a connector's, if they are.
    table: Option<Table>,
    store: SourceStore,
    reach: Reach,
    config: String,
    info: Mutex<HashMap<String, Arc<OnceCell<Arc<FilesInfo>>>>>,
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSource({})", self.files.url)
    }
}

/// A folder of a table.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// From the store's root.
    pub(super) path: String,
    /// What all rows in it have in the columns that its files do not hold.
    pub(super) partitions: Vec<(String, Option<String>)>,
}

/// Files that hold a table.
struct Table {
    folders: Vec<Folder>,
    /// Its columns.
    schema: SchemaRef,
    /// How many of them the files hold, the first ones.
    file_columns: usize,
}

/// A chunk.
#[derive(Serialize, Deserialize)]
struct Descriptor {
    /// The digest of the relation's schema.
    schema: String,
    slices: Vec<Slice>,
}

/// A stretch of a file: all of it, or the rows that begin between two of its bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Slice {
    /// The file's key in the store.
    key: String,
    bytes: u64,
    /// Its entity tag, if the store gives one.
    tag: Option<String>,
    /// When it was changed last.
    changed: chrono::DateTime<chrono::Utc>,
    /// From and to.
    range: Option<(u64, u64)>,
    /// What the folders that it lies in say of its columns.
    partitions: Vec<(String, Option<String>)>,
}

impl Slice {
    fn meta(&self) -> Result<ObjectMeta> {
        Ok(ObjectMeta {
            location: store::key(&self.key)?,
            last_modified: self.changed,
            size: self.bytes,
            e_tag: self.tag.clone(),
            version: None,
        })
    }
}

/// How a column is read whose type is inferred so, unless the job declares it.
fn reading(files: &Files, column: &str, inferred: column::Strictness) -> column::Strictness {
    match files.columns.get(column) {
        None => inferred,
        Some(declared) if declared.lenient => column::Strictness::Lenient,
        Some(_) => column::Strictness::Value,
    }
}

impl FileSource {
    /// Opens the store; `secrets` is the operator's folder of secrets.
    pub fn open(files: &Files, secrets: Option<&Path>, reach: Reach) -> Result<Self> {
        Ok(Self {
            reach,
            store: store::open(&files.place, secrets)?,
            config: files.shown.to_string(),
            files: files.clone(),
            table: None,
            info: Mutex::default(),
        })
    }

    /// Opens a table's files, in folders of one store: Parquet with the first columns of the schema, as many as
    /// are told.
    pub(super) fn of_table(
        place: Place,
        folders: Vec<Folder>,
        (schema, file_columns): (SchemaRef, usize),
        secrets: Option<&Path>,
        reach: Reach,
    ) -> Result<Self> {
        let mut store = store::open(&place, secrets)?;
        store.root = store::key(&common_folder(&folders))?;
        let files = Files::of_parquet(place, &store.url(&store.root));
        let table = Some(Table { folders, schema, file_columns });
        Ok(Self { files, table, store, reach, config: String::new(), info: Mutex::default() })
    }

    /// Why a table's files do not hold it as it was described, if they do not.
    pub(super) async fn unfit(&self, relation: &Relation) -> Result<Option<String>> {
        Ok(self.inspect(relation).await?.unfit.clone())
    }

    /// Opens one chunk, for rows of `schema`.
    async fn open_chunk(&self, chunk: ChunkRead<'_>) -> Result<OpenChunk> {
        let ChunkRead { scan, descriptor, schema, .. } = chunk;
        let info = self.inspect(&scan.relation).await?;
        let Descriptor { schema: planned, slices } = serde_json::from_slice(descriptor)?;
        if planned != info.digest {
            let what = "files with other columns came since the run was planned";
            return Err(Error::new(Class::Stale, format!("{}: {what}", self.files.url)));
        }
        let (mut tags, mut sizes) = (HashMap::new(), HashMap::new());
        for slice in &slices {
            let key = store::key(&slice.key)?;
            self.check_reach([&key])?;
            sizes.insert(key.clone(), slice.bytes);
            if let Some(tag) = &slice.tag {
                tags.insert(key, tag.clone());
            }
        }
        let objects = Arc::new(Pinned::new(self.store.objects.clone(), tags, sizes));
        let store = SourceStore { objects, ..self.store.clone() };
        let (schema, held_bytes) = (schema.clone(), info.held_bytes());
        let left_out = SharedLeftOut::default();
        let rows = match info.format {
            FileFormat::Parquet => {
                parquet::read(&store, self.files.int96, &info, scan, slices, &schema)?
            }
            FileFormat::Arrow => arrow_file::read(store, info, scan, slices, schema),
            FileFormat::Csv | FileFormat::Json => {
                let (files, left_out) = (self.files.clone(), left_out.clone());
                let given = text::ChunkInputs { store, files, info, schema, left_out };
                text::read(given, scan, slices)
            }
        };
        Ok(OpenChunk { rows, held_bytes, left_out })
    }

    async fn find(&self, sought: &FilePattern) -> Result<Vec<listing::ListedFile>> {
        // Even to ask for a file's size can open it.
        self.check_reach([&listing::whole(&self.store, sought)?])?;
        let found = listing::find(&self.store, &self.files, sought).await?;
        self.check_reach(found.iter().map(|found| &found.meta.location))?;
        Ok(found)
    }

    /// Links may lead anywhere.
    fn check_reach<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Result<()> {
        if !self.store.is_local() {
            return Ok(());
        }
        let mut paths = keys.into_iter().map(|key| Path::new("/").join(key.as_ref()));
        paths.try_for_each(|path| self.reach.file("source", &path))
    }

    async fn inspect(&self, relation: &Relation) -> Result<Arc<FilesInfo>> {
        let Relation::Table(path) = relation else {
            return Err(Error::config("files have no queries of their own")
                .with_hint("name the files as a table, and query them with the job's `sql`"));
        };
        let cell = self.info.lock().await.entry(path.clone()).or_default().clone();
        let looking = async {
            if let Some(table) = &self.table {
                let found = listing::of_folders(&self.store, &table.folders).await?;
                self.check_reach(found.iter().map(|found| &found.meta.location))?;
                return inspect::look_at_table(&self.store, &self.files, found, table)
                    .await
                    .map(Arc::new);
            }
            let sought =
                if path.is_empty() { self.files.sought.clone() } else { FilePattern::named(path) };
            let found = self.find(&sought).await?;
            inspect::inspect(&self.store, &self.files, found).await.map(Arc::new)
        };
        cell.get_or_try_init(|| looking).await.cloned()
    }
}

/// The folder that all of them are in, or the only one.
fn common_folder(folders: &[Folder]) -> String {
    let mut paths = folders.iter().map(|folder| folder.path.split('/').collect::<Vec<_>>());
    let mut common = paths.next().unwrap_or_default();
    for path in paths {
        let same = common.iter().zip(&path).take_while(|(a, b)| a == b).count();
        common.truncate(same);
    }
    common.join("/")
}

/// An error of a file that is read: one that has changed since it was listed restarts the run.
fn file_error(store: &SourceStore, key: &Key, error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    let url = store.url(key);
    let stale = |what| Error::new(Class::Stale, format!("{url}: {what} since it was listed"));
    match error {
        Store::Precondition { .. } | Store::NotModified { .. } => stale("the file has changed"),
        Store::NotFound { .. } => stale("the file is gone"),
        Store::Generic { source, .. } if source.is::<BeyondEnd>() => Error::data(format!(
            "{}: it is damaged, or was cut off: it points beyond its own end",
            shown(store, key)
        ))
        .with_hint("write the file again, or leave it out with a pattern"),
        other => object_error(&url, other),
    }
}

/// How a library's words begin, that say no more than which library speaks.
const PREFIXES: [&str; 14] = [
    "Parquet argument error: ",
    "Parquet error: ",
    "External: ",
    "External error: ",
    "Arrow error: ",
    "Arrow: ",
    "Ipc error: ",
    "Parser error: ",
    "Invalid argument error: ",
    "Compute error: ",
    "Cast error: ",
    "EOF: ",
    "Error evaluating filter predicate: ",
    "NYI: ",
];

/// A cause that only the library knows, as a part of a sentence; nothing, where its words help nobody.
fn detail(text: &str) -> String {
    let mut rest = text.trim();
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    let first = rest.lines().next().unwrap_or_default().trim();
    let is_debris = first.is_empty() || first == DAMAGED || first.contains(['{', '(', '<']);
    if is_debris { String::new() } else { format!(" (detail: {first})") }
}

/// What a file's folders say of columns.
fn partition_values(slice: &Slice, fields: &[FieldRef]) -> Result<Vec<ScalarValue>> {
    fields.iter().map(|field| partition_value(&slice.partitions, field)).collect()
}

fn partition_value(partitions: &[(String, Option<String>)], field: &Field) -> Result<ScalarValue> {
    let found = partitions.iter().find(|(name, _)| name == field.name());
    Ok(match found.and_then(|(_, value)| value.clone()) {
        Some(value) => {
            ScalarValue::try_from_string(value, field.data_type()).map_err(from_datafusion)?
        }
        None => ScalarValue::try_from(field.data_type()).map_err(from_datafusion)?,
    })
}

/// A path, as people read it, without the folder that all lie in.
fn shown(store: &SourceStore, key: &Key) -> String {
    let (root, whole) = (store.root.as_ref(), key.as_ref());
    let rest = whole.strip_prefix(root).unwrap_or(whole).trim_start_matches('/');
    match rest {
        "" => whole.rsplit('/').next().unwrap_or_default().to_owned(),
        rest => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_without_the_libraries_that_passed_it_on() {
        let passed_on = "External: Parquet error: External error: the page is short\nbacktrace";
        assert_eq!(detail(passed_on), " (detail: the page is short)");
        assert_eq!(detail("Parquet error: Page { .. }"), "");
    }
}
