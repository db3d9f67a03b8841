//! A statement's rows, as a stream of Arrow IPC.
//!
//! Where the driver can fetch any value of a block again, or where all values fit, rows come in blocks;
//! else row by row, and each value in as many pieces as it takes. No value is ever cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::SchemaRef;
use longshore_odbc_wire::{Fetch, Reading};
use odbc_api::handles::{Statement, StatementImpl};

use crate::column::Column;
use crate::fault::{Result, Trouble, checked};
use crate::raw::{ROW_ERROR, watch_rows};

/// Bytes that a block's buffers may have: the driver writes into them.
const BLOCK_BYTES: usize = 4 << 20;

/// The most rows of a block or a batch.
const BATCH_ROWS: usize = 16 << 10;

/// Bytes of values after which a batch ends.
const BATCH_BYTES: usize = 4 << 20;

/// The most bytes of the values of a batch: the host takes little more.
const BATCH_LIMIT_BYTES: usize = 192 << 20;

/// What a batch is told to.
type Piece<'a> = &'a mut dyn FnMut(&[&[u8]]) -> Result<()>;

/// Reads all rows of a statement that was executed.
pub fn read(
    statement: &mut StatementImpl<'_>,
    wanted: &Reading,
    any_value_again: bool,
    piece: Piece<'_>,
) -> Result<()> {
    let schema = schema(&wanted.schema)?;
    let columns = columns(statement, &schema, &wanted.fetch)?;
    let mut batches =
        Batches { columns, encoder: StreamEncoder::try_new(&schema)?, schema, rows: 0 };
    let by_row =
        wanted.by_row || !any_value_again && !batches.columns.iter().all(Column::fits_blocks);
    if by_row {
        batches.rows(statement, piece)?
    } else {
        batches.blocks(statement, any_value_again, piece)?
    }
    batches.end(piece)
}

fn schema(bytes: &[u8]) -> Result<SchemaRef> {
    const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let mut decoder = StreamDecoder::new();
    let mut buffer = Buffer::from_vec([bytes, &END_OF_STREAM].concat());
    while !buffer.is_empty() {
        decoder.decode(&mut buffer)?;
    }
    decoder.schema().ok_or_else(|| Trouble::own("no schema"))
}

fn columns(
    statement: &mut StatementImpl<'_>,
    schema: &SchemaRef,
    fetch: &[Fetch],
) -> Result<Vec<Column>> {
    let count = statement.num_result_cols().into_result(&*statement)?;
    let wanted = schema.fields().len();
    // Where no column is wanted, only rows count: a statement has one all the same.
    let fits = wanted == 0 || usize::try_from(count).ok() == Some(wanted);
    if !fits || fetch.len() != wanted {
        return Err(Trouble::own(format!(
            "the statement gives {count} columns, and {wanted} were described"
        )));
    }
    let column = |(index, field): (usize, &Arc<arrow_schema::Field>)| {
        let number = index as u16 + 1;
        let size = statement.col_octet_length(number).into_result(&*statement).unwrap_or(0);
        Column::new(number, field, fetch[index], usize::try_from(size).unwrap_or(0))
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// What the driver tells of a block, whenever it has fetched one: hence atomic.
struct BlockReport {
    rows: Box<AtomicUsize>,
    states: Vec<AtomicU16>,
}

impl BlockReport {
    fn new(rows: usize) -> Self {
        Self { rows: Box::default(), states: (0..rows).map(|_| AtomicU16::default()).collect() }
    }
}

/// Rows on their way into batches.
struct Batches {
    columns: Vec<Column>,
    schema: SchemaRef,
    encoder: StreamEncoder,
    rows: usize,
}

impl Batches {
    fn blocks(
        &mut self,
        statement: &mut StatementImpl<'_>,
        again: bool,
        piece: Piece<'_>,
    ) -> Result<()> {
        let row_bytes: usize = self.columns.iter().map(|column| column.row_bytes(again)).sum();
        let size = (BLOCK_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS);
        let told = BlockReport::new(size);
        // SAFETY: what the driver writes into outlives the statement's use of it: all is taken back
        // before this returns.
        unsafe {
            statement.set_row_array_size(size).into_result(&*statement)?;
            statement.set_num_rows_fetched(&mut *told.rows.as_ptr()).into_result(&*statement)?;
        }
        watch_rows(statement, Some(&told.states))?;
        for column in &mut self.columns {
            column.reserve(size, again);
            column.bind(statement)?;
        }
        let read = self.read_blocks(statement, again, &told, piece);
        let unbound = statement.unbind_cols().into_result(&*statement);
        watch_rows(statement, None)?;
        statement.unset_num_rows_fetched().into_result(&*statement)?;
        read.and(unbound.map_err(Trouble::from))
    }

    fn read_blocks(
        &mut self,
        statement: &mut StatementImpl<'_>,
        again: bool,
        told: &BlockReport,
        piece: Piece<'_>,
    ) -> Result<()> {
        loop {
            // SAFETY: all that is bound is alive.
            let more = unsafe { statement.fetch() };
            if !checked(more, statement)? {
                return Ok(());
            }
            let rows = told.rows.load(Ordering::Relaxed);
            let failed = |state: &AtomicU16| state.load(Ordering::Relaxed) == ROW_ERROR;
            if told.states.iter().take(rows).any(failed) {
                let what = "the driver could not fetch a row of a block, and does not say why";
                return Err(Trouble::own(format!(
                    "{what}: `fetch: rows` in the job's source tells"
                )));
            }
            for column in &mut self.columns {
                column.take_block(statement, rows, again)?;
            }
            self.within_limit("`fetch: rows` in the job's source reads one row after the other")?;
            self.rows += rows;
            self.write(piece)?;
        }
    }

    fn rows(&mut self, statement: &mut StatementImpl<'_>, piece: Piece<'_>) -> Result<()> {
        loop {
            // SAFETY: nothing is bound.
            let more = unsafe { statement.fetch() };
            if !checked(more, statement)? {
                return Ok(());
            }
            for column in &mut self.columns {
                column.take_row(statement)?;
            }
            self.within_limit("leave columns out, or cut their values up in a query")?;
            self.rows += 1;
            let bytes: usize = self.columns.iter().map(Column::bytes).sum();
            if self.rows == BATCH_ROWS || bytes >= BATCH_BYTES {
                self.write(piece)?;
            }
        }
    }

    /// Refuses what the host would not take, with the column that takes most of it.
    fn within_limit(&self, instead: &str) -> Result<()> {
        let bytes: usize = self.columns.iter().map(Column::bytes).sum();
        let largest = self.columns.iter().max_by_key(|column| column.bytes());
        let Some(largest) = largest.filter(|_| bytes > BATCH_LIMIT_BYTES) else { return Ok(()) };
        let [most, limit] = [largest.bytes(), BATCH_LIMIT_BYTES].map(|bytes| bytes >> 20);
        Err(Trouble::own(format!(
            "column `{}`: {most} MiB, in a batch of more than {limit} MiB: {instead}",
            largest.name()
        )))
    }

    fn write(&mut self, piece: Piece<'_>) -> Result<()> {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        give(&self.encoder.encode(&batch)?, piece)
    }

    fn end(mut self, piece: Piece<'_>) -> Result<()> {
        if self.rows > 0 {
            self.write(piece)?;
        }
        give(&self.encoder.finish()?, piece)
    }
}

fn give(buffers: &[Buffer], piece: Piece<'_>) -> Result<()> {
    let parts: Vec<&[u8]> = buffers.iter().map(Buffer::as_slice).collect();
    piece(&parts)
}
