//! Arrow IPC files: their batches one by one, never all at once.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, Endianness, root_as_footer};
use arrow::util::display::FormatOptions;
use bytes::Bytes;
use futures::StreamExt;
use longshore_model::error::{Error, Result};
use longshore_sandbox::Scan;
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::file_info::{FileInfo, FilesInfo, Group};
use super::json_values::Layout;
use super::text::arrange;
use super::{DAMAGED, Rows, Slice, detail, file_error, shown};
use crate::ipc::catch_panic;
use crate::sound_values::{WIDER_TYPE, sound};
use crate::store::SourceStore;

/// Bytes behind the footer: its length, and the mark.
const TRAILER_BYTES: u64 = 10;

/// How a file begins.
const FILE_MARK: &[u8] = b"ARROW1";

/// How a message of a stream begins.
const STREAM_MARK: [u8; 4] = [0xff; 4];

const WRITE_AGAIN: &str =
    "write the file again in Arrow's file format, or leave it out with a pattern";

/// The longest footer.
const FOOTER_LIMIT_BYTES: u64 = 64 << 20;

/// The footer of a file.
struct Footer {
    schema: SchemaRef,
    decoder: FileDecoder,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
}

/// Reads the metadata of a file.
pub(super) async fn inspect(store: &SourceStore, meta: &ObjectMeta) -> Result<FileInfo> {
    let footer = footer(store, meta).await?;
    let group = |block: &Block| Group {
        from: block.offset().max(0) as u64,
        rows: 0,
        bytes: (i64::from(block.metaDataLength()) + block.bodyLength()).max(0) as u64,
    };
    let groups = footer.batches.iter().map(group).collect();
    Ok(FileInfo {
        fields: footer.schema.fields().clone(),
        groups,
        rows: None,
        int96: BTreeSet::new(),
        intervals: BTreeSet::new(),
        layout: Layout::Lines,
        doubt: None,
    })
}

/// The rows of slices.
pub(super) fn read(
    store: SourceStore,
    info: Arc<FilesInfo>,
    scan: &Scan,
    slices: Vec<Slice>,
    schema: SchemaRef,
) -> Rows {
    let left = scan.limit.unwrap_or(u64::MAX);
    let reader = Reader { store, info, schema, slices: slices.into(), open: None, left };
    let next = |mut reader: Reader| async move {
        Ok::<_, Error>(reader.next().await?.map(|batch| (batch, reader)))
    };
    futures::stream::try_unfold(reader, next).boxed()
}

struct Reader {
    store: SourceStore,
    info: Arc<FilesInfo>,
    schema: SchemaRef,
    slices: VecDeque<Slice>,
    open: Option<OpenFile>,
    /// Rows that are still wanted.
    left: u64,
}

struct OpenFile {
    key: Key,
    slice: Slice,
    decoder: FileDecoder,
    batches: VecDeque<Block>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(slice) = self.slices.pop_front() else { return Ok(None) };
                    let opened = open(&self.store, slice, None).await?;
                    self.open.insert(opened)
                }
            };
            let Some(block) = open.batches.pop_front() else {
                self.open = None;
                continue;
            };
            let bytes = block_bytes(&self.store, &open.key, &block).await?;
            let decode = || open.decoder.read_record_batch(&block, &Buffer::from(bytes));
            let batch = match decoded(decode) {
                Ok(Some(batch)) => batch,
                Ok(None) => continue,
                Err(error) => return Err(blamed(&self.store, &open.slice, &block, &error).await),
            };
            let rows = batch.num_rows().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= rows as u64;
            let batch = sound(batch.slice(0, rows)).map_err(|unsound| {
                Error::data(format!("{}: {unsound}", shown(&self.store, &open.key)))
                    .with_hint(WIDER_TYPE)
            })?;
            let batch = typed(&batch, &self.info)
                .map_err(|error| error.with_context(shown(&self.store, &open.key)))?;
            return arrange(batch, &self.schema, &open.slice.partitions).map(Some);
        }
        Ok(None)
    }
}

/// What does not fit is an error, and not NULL.
const EXACT: CastOptions<'static> =
    CastOptions { safe: false, format_options: FormatOptions::new() };

/// A batch's columns in the types that all files share.
fn typed(batch: &RecordBatch, info: &FilesInfo) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in info.file_fields() {
        let Some(column) = batch.column_by_name(field.name()) else { continue };
        fields.push(field.clone());
        let cast = cast_with_options(column, field.data_type(), &EXACT);
        columns.push(cast.map_err(|_| misfit(field, column.data_type()))?);
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// A value that its type holds, and the type that it is read as does not.
fn misfit(field: &Field, own: &DataType) -> Error {
    let (name, read_as) = (field.name(), field.data_type());
    Error::data(format!("column `{name}`: a value of {own} does not fit into {read_as}"))
        .with_hint("write the column again in that type, or leave the file out with a pattern")
}

/// Opens a file, or one of its columns.
async fn open(store: &SourceStore, slice: Slice, column: Option<usize>) -> Result<OpenFile> {
    let meta = slice.meta()?;
    let Footer { mut decoder, dictionaries, batches, .. } = footer(store, &meta).await?;
    for block in &dictionaries {
        let bytes = block_bytes(store, &meta.location, block).await?;
        let read = decoded(|| decoder.read_dictionary(block, &Buffer::from(bytes)));
        read.map_err(|error| damaged(store, &meta.location, None, &error))?;
    }
    if let Some(column) = column {
        decoder = decoder.with_projection(vec![column]);
    }
    let (from, to) = slice.range.unwrap_or((0, u64::MAX));
    let is_own = |block: &Block| (from..to).contains(&(block.offset().max(0) as u64));
    let batches = batches.into_iter().filter(is_own).collect();
    Ok(OpenFile { key: meta.location, slice, decoder, batches })
}

/// The column that makes a batch unreadable, as far as that can be told.
async fn blamed(store: &SourceStore, slice: &Slice, block: &Block, error: &ArrowError) -> Error {
    let meta = match slice.meta() {
        Ok(meta) => meta,
        Err(error) => return error,
    };
    let columns = footer(store, &meta).await.map(|footer| footer.schema.fields().clone());
    for (place, field) in columns.iter().flatten().enumerate() {
        let opened = open(store, slice.clone(), Some(place)).await;
        let bytes = block_bytes(store, &meta.location, block).await;
        let (Ok(opened), Ok(bytes)) = (opened, bytes) else { break };
        let decode = || opened.decoder.read_record_batch(block, &Buffer::from(bytes));
        if let Err(error) = decoded(decode) {
            return damaged(store, &meta.location, Some(field.name()), &error);
        }
    }
    damaged(store, &meta.location, None, error)
}

async fn footer(store: &SourceStore, meta: &ObjectMeta) -> Result<Footer> {
    let key = &meta.location;
    let wrong = |error: ArrowError| damaged(store, key, None, &error);
    let short = || wrong(ArrowError::IpcError("it is too short".into()));
    let end = meta.size.checked_sub(TRAILER_BYTES).ok_or_else(short)?;
    let trailer = bytes(store, key, end..meta.size).await?;
    let trailer = trailer.as_ref().try_into().map_err(|_| short())?;
    let length = match read_footer_length(trailer) {
        Ok(length) => length as u64,
        Err(_) => return Err(no_file(store, key, &bytes(store, key, 0..TRAILER_BYTES).await?)),
    };
    let begin = end.checked_sub(length).filter(|_| length <= FOOTER_LIMIT_BYTES);
    let text = bytes(store, key, begin.ok_or_else(short)?..end).await?;
    let parsed = root_as_footer(&text).map_err(|_| wrong(ArrowError::IpcError(DAMAGED.into())))?;
    let schema = parsed.schema().ok_or_else(short)?;
    if schema.endianness() == Endianness::Big {
        return Err(unread(
            store,
            key,
            None,
            "its numbers are of the other byte order, big-endian",
        )
        .with_hint("write it with its numbers little-endian, as most machines do"));
    }
    let schema = Arc::new(decoded(|| Ok(fb_to_schema(schema))).map_err(wrong)?);
    let dictionaries = parsed.dictionaries().into_iter().flatten();
    let batches = parsed.recordBatches().into_iter().flatten();
    Ok(Footer {
        decoder: FileDecoder::new(schema.clone(), parsed.version()),
        dictionaries: dictionaries.copied().collect(),
        batches: batches.copied().collect(),
        schema,
    })
}

/// What came of decoding: Arrow's reader panics at some of what it does not expect.
fn decoded<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_panic(decode).unwrap_or_else(|| Err(ArrowError::IpcError(DAMAGED.into())))
}

async fn block_bytes(store: &SourceStore, key: &Key, block: &Block) -> Result<Bytes> {
    let from = block.offset().max(0) as u64;
    let length = i64::from(block.metaDataLength()).saturating_add(block.bodyLength());
    bytes(store, key, from..from.saturating_add(length.max(0) as u64)).await
}

async fn bytes(store: &SourceStore, key: &Key, range: Range<u64>) -> Result<Bytes> {
    let got = store.get_range(key, range).await;
    got.map_err(|error| file_error(store, key, &error))
}

/// What does not end as an Arrow file does, by how it begins.
fn no_file(store: &SourceStore, key: &Key, begin: &[u8]) -> Error {
    if begin.starts_with(&STREAM_MARK) {
        return unread(store, key, None, "it is an Arrow stream").with_hint(
            "write it in Arrow's file format, as pyarrow.ipc.new_file does, and not as a stream",
        );
    }
    let cause = if begin.starts_with(FILE_MARK) {
        "its end is missing: it was cut off"
    } else {
        "it neither begins nor ends as such a file does"
    };
    unread(store, key, None, cause).with_hint(WRITE_AGAIN)
}

fn damaged(store: &SourceStore, key: &Key, column: Option<&str>, error: &ArrowError) -> Error {
    let text = error.to_string();
    let lower = text.to_lowercase();
    if lower.contains("utf-8") || lower.contains("utf8") {
        return unread(store, key, column, "a text in it is not UTF-8")
            .with_hint("write the file again, the text as UTF-8 or the column as binary");
    }
    unread(store, key, column, &format!("it is damaged{}", detail(&text))).with_hint(WRITE_AGAIN)
}

fn unread(store: &SourceStore, key: &Key, column: Option<&str>, cause: &str) -> Error {
    let (name, place) = (shown(store, key), column.map(|column| format!("column `{column}`: ")));
    let place = place.unwrap_or_default();
    Error::data(format!("{name}: {place}cannot be read as an Arrow IPC file: {cause}"))
}
