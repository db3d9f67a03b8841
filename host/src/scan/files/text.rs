//! Files of lines, CSV and JSON: read block by block, decoded by Arrow, with what happens to rows that
//! cannot be read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use futures::StreamExt;
use object_store::ObjectMeta;

use super::bytes::{from, unpacked};
use super::csv::{CsvDecoder, Style};
use super::json::JsonDecoder;
use super::lines::{Block, Lines, Marks, Splitter};
use super::look::{Look, Looked, packing};
use super::{Rows, Slice, csv, json, shown};
use crate::config::files::{BadRows, FileFormat, Files, Packing};
use crate::error::{Error, Result};
use crate::sandbox::Scan;
use crate::store::Opened;

/// The most bytes of a file that are looked at to tell its types.
const SAMPLE_LIMIT_BYTES: usize = 32 << 20;

/// Bytes from which a header is read.
const HEADER_BYTES: u64 = 1 << 20;

/// Rows to a batch.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Makes rows of whole records.
pub(super) trait Decode: Send {
    /// All rows of a block; after an error it begins anew.
    fn decode(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, ArrowError>;
}

/// Tells a file's columns from its first rows.
pub(super) async fn look(
    store: &Opened,
    files: &Files,
    format: FileFormat,
    meta: &ObjectMeta,
) -> Result<Look> {
    let (key, packing) = (&meta.location, packing(files, &meta.location));
    let style = Style::of(files, key);
    let marks = (format == FileFormat::Csv).then_some(style.marks);
    let mut lines = Lines::new(unpacked(store, key, meta.size, packing)?, marks, None);
    let (mut sample, mut is_whole) = (Vec::new(), false);
    while !is_whole && sample.len() < SAMPLE_LIMIT_BYTES {
        match lines.next().await? {
            Some(block) => sample.extend(block.bytes),
            None => is_whole = true,
        }
        if memchr::memchr_iter(b'\n', &sample).count() > files.sample_rows {
            break;
        }
    }
    let told = match format {
        FileFormat::Csv => csv::sample(&style, files, without_mark(&sample)),
        _ => json::sample(files, without_mark(&sample)),
    };
    let (fields, rows) = told.map_err(|error| error.with_context(shown(store, key)))?;
    let lines = memchr::memchr_iter(b'\n', &sample).count().max(1);
    let rows = match (is_whole, packing) {
        (true, _) if rows < files.sample_rows => Some(rows as u64),
        (_, Packing::None) => {
            Some((meta.size as f64 / (sample.len().max(1) as f64 / lines as f64)) as u64)
        }
        _ => None,
    };
    Ok(Look { fields, groups: Vec::new(), rows })
}

/// Without the mark that some programs begin UTF-8 with.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The rows of slices, in `schema`.
pub(super) fn read(
    store: Opened,
    files: Files,
    looked: Arc<Looked>,
    scan: &Scan,
    slices: Vec<Slice>,
    schema: SchemaRef,
) -> Rows {
    let left = scan.limit.unwrap_or(u64::MAX);
    let given = Given { store, files, looked, schema };
    let ready = VecDeque::new();
    let reader = Reader { given, slices: slices.into(), open: None, ready, left };
    let next = |mut reader: Reader| async move {
        Ok::<_, Error>(reader.next().await?.map(|batch| (batch, reader)))
    };
    futures::stream::try_unfold(reader, next).boxed()
}

/// What all slices of a chunk share.
struct Given {
    store: Opened,
    files: Files,
    looked: Arc<Looked>,
    schema: SchemaRef,
}

struct Reader {
    given: Given,
    slices: VecDeque<Slice>,
    open: Option<OpenSlice>,
    ready: VecDeque<RecordBatch>,
    /// Rows that are still wanted.
    left: u64,
}

struct OpenSlice {
    /// For errors.
    name: String,
    lines: Lines,
    /// What was read to know the columns' names.
    first: Option<Block>,
    decoder: Box<dyn Decode>,
    marks: Option<Marks>,
    /// The first record holds the columns' names.
    has_header: bool,
    /// It may have been cut within a value: the slice before tells, when it comes so far.
    is_cut: bool,
    partitions: Vec<(String, Option<String>)>,
    left_out: LeftOut,
}

/// Rows of a slice that could not be read.
#[derive(Default)]
struct LeftOut {
    rows: u64,
    first: Option<String>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            if let Some(batch) = self.ready.pop_front() {
                let rows = batch.num_rows().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= rows as u64;
                return Ok(Some(batch.slice(0, rows)));
            }
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(slice) = self.slices.pop_front() else { return Ok(None) };
                    let opened = self.given.open(&slice).await?;
                    self.open.insert(opened)
                }
            };
            let block = match open.first.take() {
                Some(first) => Ok(Some(first)),
                None => open.lines.next().await,
            };
            match block.map_err(|error| error.with_context(open.name.clone()))? {
                Some(block) => self.ready.extend(open.batches(block, &self.given)?),
                None => {
                    open.tell();
                    self.open = None;
                }
            }
        }
        Ok(None)
    }
}

impl Given {
    async fn open(&self, slice: &Slice) -> Result<OpenSlice> {
        let meta = slice.meta()?;
        let key = &meta.location;
        let packing = packing(&self.files, key);
        let pieces = match slice.range {
            None => unpacked(&self.store, key, meta.size, packing)?,
            Some((start, end)) => {
                let range = start.saturating_sub(1)..end.min(meta.size);
                from(&self.store, key, range, meta.size)
            }
        };
        let style = Style::of(&self.files, key);
        let is_csv = self.looked.format == FileFormat::Csv;
        let marks = is_csv.then_some(style.marks);
        let name = shown(&self.store, key);
        let begins = slice.range.is_none_or(|(start, _)| start == 0);
        let (mut lines, mut first) = (Lines::new(pieces, marks, slice.range), None);
        let decoder: Box<dyn Decode> = match is_csv {
            false => Box::new(JsonDecoder::new(&self.looked)?),
            true => {
                if begins {
                    let block = lines.next().await;
                    first = block.map_err(|error| error.with_context(name.clone()))?;
                }
                let columns = match (style.header, begins) {
                    (false, _) => Ok(csv::numbered(self.looked.file_columns)),
                    (true, true) => header(&style, first.as_ref()),
                    (true, false) => self.header(&meta, &style).await,
                };
                let decoder = columns.and_then(|columns| {
                    CsvDecoder::new(style.clone(), columns, &self.looked, &self.schema)
                });
                Box::new(decoder.map_err(|error| error.with_context(name.clone()))?)
            }
        };
        Ok(OpenSlice {
            name,
            lines,
            first,
            decoder,
            marks,
            has_header: is_csv && style.header && begins,
            is_cut: is_csv && !begins,
            partitions: slice.partitions.clone(),
            left_out: LeftOut::default(),
        })
    }

    /// The names of a file's columns, for a slice that does not begin with them.
    async fn header(&self, meta: &ObjectMeta, style: &Style) -> Result<Vec<String>> {
        let beginning = 0..HEADER_BYTES.min(meta.size);
        let pieces = from(&self.store, &meta.location, beginning, meta.size);
        let first = Lines::new(pieces, Some(style.marks), None).next().await?;
        header(style, first.as_ref())
    }
}

/// The names of columns in a file's first block.
fn header(style: &Style, first: Option<&Block>) -> Result<Vec<String>> {
    csv::header(style, without_mark(first.map_or(&[], |block| &block.bytes)))
}

impl OpenSlice {
    fn batches(&mut self, block: Block, given: &Given) -> Result<Vec<RecordBatch>> {
        let Block { at, bytes } = block;
        let mut text = bytes.as_slice();
        let mut at = at;
        if at == 0 {
            text = without_mark(text);
            at += (bytes.len() - text.len()) as u64;
        }
        if std::mem::take(&mut self.has_header) {
            let header = csv::header_length(self.marks, text);
            text = &text[header..];
            at += header as u64;
        }
        let batches = match self.decoder.decode(text) {
            Ok(batches) => batches,
            Err(_) => {
                let mut batches = Vec::new();
                let records = Splitter::new(self.marks).records(text);
                self.salvage(text, at, &records, given.files.bad_rows, &mut batches)?;
                batches
            }
        };
        batches.into_iter().map(|batch| arrange(batch, &given.schema, &self.partitions)).collect()
    }

    /// Decodes records where one at least cannot be: halves of them, until those are found.
    fn salvage(
        &mut self,
        text: &[u8],
        at: u64,
        records: &[Range<usize>],
        bad_rows: BadRows,
        batches: &mut Vec<RecordBatch>,
    ) -> Result<()> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let cause = match self.decoder.decode(&text[first.start..last.end]) {
            Ok(decoded) => {
                batches.extend(decoded);
                return Ok(());
            }
            Err(cause) => cause,
        };
        if records.len() > 1 {
            let (left, right) = records.split_at(records.len() / 2);
            self.salvage(text, at, left, bad_rows, batches)?;
            return self.salvage(text, at, right, bad_rows, batches);
        }
        let place = format!("{}: at byte {}: {}", self.name, at + first.start as u64, plain(cause));
        let within_a_value = match self.is_cut {
            true => "; where values hold line ends, add `csv: { newlines: true }`",
            false => "",
        };
        match bad_rows {
            BadRows::Fail => Err(Error::data(place).with_hint(format!(
                "mend the row, give its column another type with `source.columns`, raise \
                 `source.sample_rows`, or leave such rows out with `bad_rows: skip`{within_a_value}"
            ))),
            BadRows::Skip => {
                self.left_out.rows += 1;
                self.left_out.first.get_or_insert(place);
                Ok(())
            }
        }
    }

    /// What was left out.
    fn tell(&self) {
        if let LeftOut { rows, first: Some(first) } = &self.left_out {
            let rows = crate::numbers::counted(*rows, "row");
            tracing::warn!("{rows} left out; the first is {first}");
        }
    }
}

/// An error of Arrow, without its kind, on one line.
fn plain(error: ArrowError) -> String {
    let text = match error {
        ArrowError::ParseError(text)
        | ArrowError::CsvError(text)
        | ArrowError::JsonError(text)
        | ArrowError::InvalidArgumentError(text) => text,
        other => other.to_string(),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A batch in the order of a schema; what it has not, its folders know, or it is NULL.
pub(super) fn arrange(
    batch: RecordBatch,
    schema: &SchemaRef,
    partitions: &[(String, Option<String>)],
) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let own = batch.schema_ref().index_of(field.name()).ok();
        let folder = partitions.iter().find(|(name, _)| name == field.name());
        columns.push(match (own, folder) {
            (Some(index), _) => batch.column(index).clone(),
            (None, Some((_, Some(value)))) => {
                ScalarValue::try_from_string(value.clone(), field.data_type())?
                    .to_array_of_size(rows)?
            }
            (None, _) => new_null_array(field.data_type(), rows),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}
