//! Files in the scratch folder of a run, which become the one file that their rows are to be in.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use datafusion::error::Result as DfResult;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use longshore_model::config::target::{Format, ParquetCodec};
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use tokio::task::spawn_blocking;

use super::checksum_writer::ChecksumWriter;
use super::part_file::{FileParts, finish_file};
use super::part_writer::{Attempt, Parts};
use super::row_groups::{OpenFile, RowGroupWriter, are_long, damaged, is_parquet};
use crate::datafusion_fault::IntoDataFusion;

/// Batches that are read ahead of the writer.
const BATCHES_AHEAD: usize = 2;

/// The bytes of a batch, and the most rows: the first one tells which columns gain from a dictionary.
const BATCH_BYTES: u64 = 8 << 20;
const BATCH_LIMIT_ROWS: u64 = 8_192;

type ArrowResult<T> = std::result::Result<T, ArrowError>;

/// The rows of one file.
type Rows = Box<dyn RecordBatchReader + Send>;

/// The format in which chunks are kept until they become one file of `format`.
pub fn format_before_join(format: &Format) -> Format {
    match format {
        // Row groups can be copied.
        Format::Parquet(codec) => Format::Parquet(*codec),
        // It holds every value of the others.
        Format::Csv(..) | Format::Json(_) | Format::Arrow => Format::Arrow,
    }
}

/// Writes the rows of these files, one after the other, into one part.
pub async fn join_files(parts: &FileParts, schema: SchemaRef, files: Vec<PathBuf>) -> Result<Part> {
    let (is_copied, schema, files) = off_worker(move || {
        let schema = schema_of(&files, schema)?;
        Ok((are_long(&files)?, schema, files))
    })
    .await?;
    match parts.format {
        Format::Parquet(codec) if is_copied => {
            let file = parts.file_name(0, Attempt(0));
            let copied = copy_row_groups(parts, &file, schema, codec, files).await;
            parts.keep_or_remove(&file, copied).await
        }
        _ => {
            let rows = read_all(schema.clone(), files);
            let written = parts.write(rows, 0, Attempt(0), None).await?;
            let part = match written.parts.into_iter().next() {
                Some(part) => Some(part),
                None => parts.write_empty(schema).await?,
            };
            part.ok_or_else(|| Error::internal("one file became none"))
        }
    }
}

async fn copy_row_groups(
    parts: &FileParts,
    file: &str,
    schema: SchemaRef,
    codec: ParquetCodec,
    files: Vec<PathBuf>,
) -> Result<Part> {
    let output = parts.folder.create_part(&parts.target, file).await?;
    let mut writer = RowGroupWriter::new(schema, codec, ChecksumWriter::new(output))?;
    for path in files {
        let open = off_worker(move || OpenFile::open(&path)).await?;
        for group in 0..open.groups() {
            writer.copy(&open, group)?;
            // In between others have their turn, and a run can be stopped.
            tokio::task::yield_now().await;
        }
    }
    let (encoded, rows) = writer.finish()?;
    finish_file(encoded, 0, rows, file.to_owned()).await
}

async fn off_worker<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.map_err(|error| Error::internal(error.to_string()))?
}

/// The schema of the files: Parquet has fewer types than Arrow.
fn schema_of(files: &[PathBuf], schema: SchemaRef) -> Result<SchemaRef> {
    match files.first().filter(|file| is_parquet(file)) {
        Some(file) => Ok(open_parquet(file)?.schema().clone()),
        None => Ok(schema),
    }
}

/// The rows of files, read on a thread of their own.
fn read_all(schema: SchemaRef, files: Vec<PathBuf>) -> SendableRecordBatchStream {
    let types = schema.clone();
    let mut stream = RecordBatchReceiverStreamBuilder::new(schema, BATCHES_AHEAD);
    let rows = stream.tx();
    stream.spawn_blocking(move || {
        for file in files {
            for batch in read(&file).map_err(Error::external)? {
                let batch: DfResult<RecordBatch> = batch
                    .and_then(|batch| in_types_of(&types, batch))
                    .map_err(|error| damaged(&file, &error).external());
                if rows.blocking_send(batch).is_err() {
                    // Nobody wants the rest.
                    return Ok(());
                }
            }
        }
        Ok(())
    });
    stream.build()
}

/// An earlier version left Arrow, whose types may be others than those that are read from Parquet.
fn in_types_of(schema: &SchemaRef, batch: RecordBatch) -> ArrowResult<RecordBatch> {
    if batch.schema_ref().fields() == schema.fields() {
        return Ok(batch);
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let columns = batch.columns().iter().zip(schema.fields());
    let cast =
        columns.map(|(column, field)| cast_with_options(column, field.data_type(), &options));
    RecordBatch::try_new(schema.clone(), cast.collect::<ArrowResult<_>>()?)
}

fn open_parquet(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| Error::io(path.display(), error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(path, &error))
}

/// The rows of a batch: fewer where they are large.
fn batch_rows(file: &ParquetMetaData) -> usize {
    let bytes = |column: &ColumnChunkMetaData| {
        // A value that repeats stands once in a dictionary.
        column.uncompressed_size().max(column.unencoded_byte_array_data_bytes().unwrap_or(0))
    };
    let row_bytes = |group: &RowGroupMetaData| {
        let all: i64 = group.columns().iter().map(bytes).sum();
        all.unsigned_abs() / group.num_rows().unsigned_abs().max(1)
    };
    let largest = file.row_groups().iter().map(row_bytes).max().unwrap_or(0).max(1);
    (BATCH_BYTES / largest).clamp(1, BATCH_LIMIT_ROWS) as usize
}

fn read(path: &Path) -> Result<Rows> {
    if is_parquet(path) {
        let builder = open_parquet(path)?;
        let rows = batch_rows(builder.metadata());
        let reader = builder.with_batch_size(rows).build();
        return Ok(Box::new(reader.map_err(|error| damaged(path, &error))?));
    }
    let file = File::open(path).map_err(|error| Error::io(path.display(), error))?;
    let reader = FileReader::try_new_buffered(file, None);
    Ok(Box::new(reader.map_err(|error: ArrowError| damaged(path, &error))?))
}
