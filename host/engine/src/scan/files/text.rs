//! Files of lines, CSV and JSON: read block by block, with what happens to rows that cannot be read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::files::{BadRows, FileFormat, Files, Packing};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_sandbox::Scan;
use object_store::ObjectMeta;

use super::bytes::{Pieces, ahead, from, unpacked};
use super::csv::{CsvDecoder, Header, Style};
use super::decode::{BadRow, Decode, Sample};
use super::decoded_blocks::{Blocks, DecodedBlock, DecodedBlocks};
use super::file_info::{FileInfo, FilesInfo, packing};
use super::json::JsonDecoder;
use super::json_values::{Layout, lines_of};
use super::lines::{Block, Lines, Marks, Splitter};
use super::{Rows, SharedLeftOut, Slice, csv, csv_delimiter, json, shown};
use crate::datafusion_fault::from_datafusion;
use crate::scan::left_out::{LeftOut, PlacedLeftOut};
use crate::store::SourceStore;

/// The most bytes of a file that are looked at to tell its types.
const SAMPLE_LIMIT_BYTES: usize = 32 << 20;

/// Bytes from which a header is read.
const HEADER_BYTES: u64 = 1 << 20;

/// Beyond so many bytes before a bad row, its line's number is not counted: they would be read for it.
const LINE_COUNT_LIMIT_BYTES: u64 = 1 << 30;

/// How packed files begin.
const PACKED: [(&[u8], &str); 4] = [
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
];

/// Tells a file's columns from its first rows.
pub(super) async fn inspect(
    store: &SourceStore,
    files: &Files,
    format: FileFormat,
    meta: &ObjectMeta,
) -> Result<FileInfo> {
    let (key, packing) = (&meta.location, packing(files, &meta.location));
    let style = Style::of(files, key);
    let marks = (format == FileFormat::Csv).then_some(style.marks);
    let name = shown(store, key);
    let pieces = unpacked(store, key, meta.size, packing)?;
    let (layout, pieces) = laid_out(format, pieces).await.context(name.as_str())?;
    let mut lines = Lines::new(pieces, marks, None);
    let (mut sample, mut is_whole, mut wanted) = (Vec::new(), false, files.sample_rows);
    let told = loop {
        is_whole |= !read_sample(&mut lines, &mut sample, wanted).await.context(name.as_str())?;
        if packing == Packing::None {
            refuse_packed(&sample).context(name.as_str())?;
        }
        let told = match format {
            FileFormat::Csv => csv::sample(&style, files, &sample),
            _ => json::sample(files, layout, &sample),
        };
        let is_all = is_whole || sample.len() >= SAMPLE_LIMIT_BYTES;
        // Comments, empty lines, or rows that are left out.
        let is_nothing = match &told {
            Ok(sampled) => sampled.fields.is_empty(),
            Err(_) => files.bad_rows == BadRows::Skip,
        };
        if is_all || !is_nothing {
            break told;
        }
        wanted = wanted.saturating_mul(4);
    };
    let Sample { fields, rows, doubt } = told.context(name)?;
    let lines = memchr::memchr_iter(b'\n', &sample).count().max(1);
    let rows = match (is_whole, packing) {
        (true, _) if rows < files.sample_rows => Some(rows as u64),
        (_, Packing::None) => {
            Some((meta.size as f64 / (sample.len().max(1) as f64 / lines as f64)) as u64)
        }
        _ => None,
    };
    let is_one_column = format == FileFormat::Csv && fields.len() == 1;
    let is_asked = is_one_column && files.csv.delimiter.is_none();
    let doubt =
        doubt.or_else(|| is_asked.then(|| csv_delimiter::doubt(style.marks, &sample)).flatten());
    let (int96, intervals) = Default::default();
    Ok(FileInfo { fields, groups: Vec::new(), rows, int96, intervals, layout, doubt })
}

/// A whole file as lines: JSON's rows may lie in it otherwise.
async fn laid_out(format: FileFormat, pieces: Pieces) -> Result<(Layout, Pieces)> {
    match format {
        FileFormat::Json => lines_of(pieces).await,
        _ => Ok((Layout::Lines, pieces)),
    }
}

/// Refuses what is not text at all, but packed: its name does not say so.
fn refuse_packed(begin: &[u8]) -> Result<()> {
    let Some((_, name)) = PACKED.iter().find(|(mark, _)| begin.starts_with(mark)) else {
        return Ok(());
    };
    Err(Error::data(format!("it is packed with {name}")).with_hint(match *name {
        "zip" => "unpack it: archives are not read".to_owned(),
        name => format!("say so with `source.compression: {name}`"),
    }))
}

/// Reads on until a sample has more lines than are wanted; whether there may be more.
async fn read_sample(lines: &mut Lines, sample: &mut Vec<u8>, wanted: usize) -> Result<bool> {
    let mut count = count_lines(sample);
    while count <= wanted as u64 && sample.len() < SAMPLE_LIMIT_BYTES {
        let Some(block) = lines.next().await? else { return Ok(false) };
        count += count_lines(&block.bytes);
        sample.extend(block.bytes);
    }
    Ok(true)
}

/// The rows of slices, in the schema that is given.
pub(super) fn read(given: ChunkInputs, scan: &Scan, slices: Vec<Slice>) -> Rows {
    let left = scan.limit.unwrap_or(u64::MAX);
    let ready = VecDeque::new();
    let reader = Reader { given, slices: slices.into(), open: None, ready, left };
    let next = |mut reader: Reader| async move {
        Ok::<_, Error>(reader.next().await?.map(|batch| (batch, reader)))
    };
    futures::stream::try_unfold(reader, next).boxed()
}

/// The inputs that all slices of a chunk share.
pub(super) struct ChunkInputs {
    pub(super) store: SourceStore,
    pub(super) files: Files,
    pub(super) info: Arc<FilesInfo>,
    pub(super) schema: SchemaRef,
    pub(super) left_out: SharedLeftOut,
}

struct Reader {
    given: ChunkInputs,
    slices: VecDeque<Slice>,
    open: Option<OpenSlice>,
    ready: VecDeque<RecordBatch>,
    /// Rows that are still wanted.
    left: u64,
}

struct OpenSlice {
    /// For errors.
    name: String,
    blocks: DecodedBlocks,
    marks: Option<Marks>,
    layout: Layout,
    /// Whether it is not the whole file: it may have been cut within a value.
    is_cut: bool,
    partitions: Vec<(String, Option<String>)>,
    left_out: PlacedLeftOut,
    /// Lines before what comes next, if the slice began with the file.
    lines_before: Option<u64>,
    /// For counting lines.
    meta: ObjectMeta,
}

/// A row that ends the run.
struct RefusedRow {
    name: String,
    meta: ObjectMeta,
    layout: Layout,
    is_cut: bool,
    at: u64,
    lines_before: Option<u64>,
    bad: BadRow,
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
            let block = open.blocks.try_next().await;
            match block.map_err(|error| error.with_context(open.name.clone()))? {
                Some(block) => match open.batches(block, &self.given)? {
                    Ok(batches) => self.ready.extend(batches),
                    Err(refused) => return Err(self.given.refusal(refused).await),
                },
                None => {
                    self.given.tell(open);
                    self.open = None;
                }
            }
        }
        Ok(None)
    }
}

impl ChunkInputs {
    /// Tells which rows of a slice were left out.
    fn tell(&self, slice: &mut OpenSlice) {
        let left_out = std::mem::take(&mut slice.left_out);
        if !left_out.rows.is_empty() {
            tracing::warn!("{}", left_out.rows);
            self.left_out.lock().merge(left_out);
        }
    }

    async fn open(&self, slice: &Slice) -> Result<OpenSlice> {
        let meta = slice.meta()?;
        let key = &meta.location;
        let packing = packing(&self.files, key);
        let name = shown(&self.store, key);
        let begins = slice.range.is_none_or(|(start, _)| start == 0);
        let pieces = match slice.range {
            None if packing == Packing::None => from(&self.store, key, 0..meta.size, meta.size),
            None => ahead(unpacked(&self.store, key, meta.size, packing)?),
            Some((start, end)) => {
                let range = start.saturating_sub(1)..end.min(meta.size);
                from(&self.store, key, range, meta.size)
            }
        };
        let (layout, pieces) = if begins {
            laid_out(self.info.format, pieces).await.context(name.as_str())?
        } else {
            (Layout::Lines, pieces)
        };
        if layout == Layout::Values && slice.range.is_some() {
            return Err(cut_values(&name));
        }
        let pieces = if layout == Layout::Values { ahead(pieces) } else { pieces };
        let style = Style::of(&self.files, key);
        let is_csv = self.info.format == FileFormat::Csv;
        let marks = is_csv.then_some(style.marks);
        let mut lines = Lines::new(pieces, marks, slice.range);
        let mut headed = FileHeader::default();
        let decoder: Box<dyn Decode> = if is_csv {
            let own = if begins { Some(&mut lines) } else { None };
            let decoder = match self.headed(&meta, &style, own).await {
                Ok(found) => {
                    headed = found;
                    let names = std::mem::take(&mut headed.names);
                    CsvDecoder::new(style, names, &self.files, &self.info, &self.schema)
                }
                Err(error) => Err(error),
            };
            Box::new(decoder.map_err(|error| error.with_context(name.clone()))?)
        } else {
            Box::new(JsonDecoder::new(&self.files, &self.info)?)
        };
        let blocks = Blocks { first: headed.block, lines, rows_from: headed.rows_from };
        let is_cut = slice.range.is_some();
        Ok(OpenSlice {
            name,
            blocks: if is_cut { blocks.decoded(decoder) } else { blocks.decoded_ahead(decoder) },
            marks,
            layout,
            is_cut,
            partitions: slice.partitions.clone(),
            left_out: PlacedLeftOut::default(),
            lines_before: begins.then_some(headed.lines),
            meta,
        })
    }

    /// What a file's columns are called. The slice that the file begins with, if it is `own`, is read up to the
    /// names; they may come only behind it, where it holds but comments.
    async fn headed(
        &self,
        meta: &ObjectMeta,
        style: &Style,
        own: Option<&mut Lines>,
    ) -> Result<FileHeader> {
        if !style.header {
            let names = csv::numbered(self.info.file_columns);
            return Ok(FileHeader { names, ..FileHeader::default() });
        }
        if let Some(lines) = own
            && let Some(headed) = FileHeader::find(lines, style).await?
        {
            return Ok(headed);
        }
        let beginning = 0..HEADER_BYTES.min(meta.size);
        let pieces = from(&self.store, &meta.location, beginning, meta.size);
        let mut lines = Lines::new(pieces, Some(style.marks), None);
        let found = FileHeader::find(&mut lines, style).await?;
        let none = FileHeader { rows_from: u64::MAX, ..FileHeader::default() };
        Ok(found.map_or(none, |headed| FileHeader { block: None, lines: 0, ..headed }))
    }

    /// A bad row's place in its file.
    async fn refusal(&self, refused: RefusedRow) -> Error {
        let RefusedRow { name, meta, layout, is_cut, at, lines_before, bad } = refused;
        let is_json = self.info.format == FileFormat::Json;
        if is_json && is_cut && self.holds_values(&meta).await {
            return cut_values(&name);
        }
        let within_a_value = if lines_before.is_none() && !is_json {
            "; where values hold line ends, add `csv: { newlines: true }`"
        } else {
            ""
        };
        let lines = match lines_before {
            Some(lines) => Some(lines),
            None => self.count_lines(&meta, at).await,
        };
        Error::data(format!("{name}: {}: {}", place(layout, at, lines), bad.cause))
            .with_hint(format!("{}{within_a_value}", bad.hint))
    }

    /// Whether the rows of a file of JSON are values and no lines.
    async fn holds_values(&self, meta: &ObjectMeta) -> bool {
        let pieces = from(&self.store, &meta.location, 0..HEADER_BYTES.min(meta.size), meta.size);
        matches!(lines_of(pieces).await, Ok((Layout::Values, _)))
    }

    /// Line ends before a byte, unless they are too many to be read for a message, or cannot be.
    async fn count_lines(&self, meta: &ObjectMeta, at: u64) -> Option<u64> {
        if at > LINE_COUNT_LIMIT_BYTES {
            return None;
        }
        let mut pieces = from(&self.store, &meta.location, 0..at, at);
        let mut lines = 0;
        while let Some(piece) = pieces.next().await {
            lines += memchr::memchr_iter(b'\n', &piece.ok()?).count() as u64;
        }
        Some(lines)
    }
}

/// A file that was cut at line ends, where its rows do not end: it was not in the sample.
fn cut_values(name: &str) -> Error {
    Error::data(format!("{name}: its rows are no lines, as those of the files of the sample are"))
        .with_hint("name files of one kind with a pattern")
}

/// Where a row stands in its file, as far as the lines before it are counted.
fn place(layout: Layout, at: u64, lines_before: Option<u64>) -> String {
    let row = lines_before.map(|lines| format!("{} {}", layout.row_word(), lines + 1));
    match (layout, row) {
        // Bytes are counted in the lines that were made.
        (Layout::Values, row) => row.unwrap_or_default(),
        (Layout::Lines, Some(row)) => format!("at byte {at}, {row}"),
        (Layout::Lines, None) => format!("at byte {at}"),
    }
}

/// The names of a file's columns.
#[derive(Default)]
struct FileHeader {
    names: Vec<String>,
    /// Where the names end in the file.
    rows_from: u64,
    /// What was read to find them, and how many lines come before it.
    block: Option<Block>,
    lines: u64,
}

impl FileHeader {
    async fn find(lines: &mut Lines, style: &Style) -> Result<Option<Self>> {
        let mut before = 0;
        while let Some(block) = lines.next().await? {
            if let Some(Header { names, length }) = csv::header(style, &block.bytes)? {
                let rows_from = block.at + length as u64;
                return Ok(Some(Self { names, rows_from, block: Some(block), lines: before }));
            }
            before += count_lines(&block.bytes);
        }
        Ok(None)
    }
}

impl OpenSlice {
    fn batches(
        &mut self,
        decoded: DecodedBlock,
        given: &ChunkInputs,
    ) -> Result<Result<Vec<RecordBatch>, RefusedRow>> {
        let DecodedBlock { block: Block { at, bytes }, no_rows, rows, mut decoder, .. } = decoded;
        let (before, text) = bytes.split_at(no_rows);
        let at = at + no_rows as u64;
        let lines_before = self.lines_before;
        let batches = match rows {
            Ok(batches) => batches,
            Err(_) => {
                let records = Splitter::new(self.marks).records(text);
                let block = BlockRest {
                    text,
                    at,
                    lines_before: lines_before.map(|lines| lines + count_lines(before)),
                    bad_rows: given.files.bad_rows,
                };
                let mut batches = Vec::new();
                let salvaged = self.salvage(&mut *decoder, &block, &records, &mut batches);
                if let Err((start, bad)) = salvaged {
                    let lines_before = block.lines_before_row(start);
                    return Ok(Err(RefusedRow {
                        name: self.name.clone(),
                        meta: self.meta.clone(),
                        layout: self.layout,
                        is_cut: self.is_cut,
                        at: at + start as u64,
                        lines_before,
                        bad,
                    }));
                }
                batches
            }
        };
        self.lines_before = lines_before.map(|lines| lines + count_lines(&bytes));
        let arranged = batches.into_iter().map(|b| arrange(b, &given.schema, &self.partitions));
        arranged.collect::<Result<_>>().map(Ok)
    }

    /// Decodes records where one at least cannot be: halves of them, until those are found. The first of
    /// them, with where it begins, unless such rows are left out.
    fn salvage(
        &mut self,
        decoder: &mut dyn Decode,
        block: &BlockRest<'_>,
        records: &[Range<usize>],
        batches: &mut Vec<RecordBatch>,
    ) -> Result<(), (usize, BadRow)> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let bad = match decoder.decode(&block.text[first.start..last.end]) {
            Ok(decoded) => {
                batches.extend(decoded);
                return Ok(());
            }
            Err(bad) => bad,
        };
        if records.len() > 1 {
            let (left, right) = records.split_at(records.len() / 2);
            self.salvage(decoder, block, left, batches)?;
            return self.salvage(decoder, block, right, batches);
        }
        if block.bad_rows == BadRows::Fail {
            return Err((first.start, bad));
        }
        self.leave_out(block, first.start, &bad);
        Ok(())
    }

    fn leave_out(&mut self, block: &BlockRest<'_>, start: usize, bad: &BadRow) {
        let LeftOut { rows, first } = &mut self.left_out.rows;
        if *rows == 0 {
            let (at, before) = (block.at + start as u64, block.lines_before_row(start));
            *first = format!("{}: {}: {}", self.name, place(self.layout, at, before), bad.cause);
            self.left_out.place = (self.meta.location.to_string(), at);
        }
        *rows += 1;
    }
}

/// The part of a block that is read record by record.
struct BlockRest<'a> {
    text: &'a [u8],
    /// Where it begins in the file.
    at: u64,
    /// The lines of the file before it, if they are counted.
    lines_before: Option<u64>,
    bad_rows: BadRows,
}

impl BlockRest<'_> {
    fn lines_before_row(&self, start: usize) -> Option<u64> {
        self.lines_before.map(|lines| lines + count_lines(&self.text[..start]))
    }
}

fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
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
                ScalarValue::try_from_string(value.clone(), field.data_type())
                    .map_err(from_datafusion)?
                    .to_array_of_size(rows)
                    .map_err(from_datafusion)?
            }
            (None, _) => new_null_array(field.data_type(), rows),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}
