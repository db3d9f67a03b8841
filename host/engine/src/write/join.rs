//! Files of Arrow in the scratch folder of a run, written again as the one file that their rows are to become.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;

use super::part_file::FileParts;
use super::part_writer::{Attempt, Parts};
use crate::datafusion_fault::IntoDataFusion;

/// Batches that are read ahead of the writer.
const BATCHES_AHEAD: usize = 2;

/// Writes the rows of these files, one after the other, into one part.
pub async fn join_files(parts: &FileParts, schema: SchemaRef, files: Vec<PathBuf>) -> Result<Part> {
    let written = parts.write(read_all(schema.clone(), files), 0, Attempt(0), None).await?;
    let part = match written.parts.into_iter().next() {
        Some(part) => Some(part),
        None => parts.write_empty(schema).await?,
    };
    part.ok_or_else(|| Error::internal("one file became none"))
}

/// The rows of files, read on a thread of their own.
fn read_all(schema: SchemaRef, files: Vec<PathBuf>) -> SendableRecordBatchStream {
    let mut stream = RecordBatchReceiverStreamBuilder::new(schema, BATCHES_AHEAD);
    let rows = stream.tx();
    stream.spawn_blocking(move || {
        for file in files {
            for batch in read(&file).map_err(Error::external)? {
                let batch: std::result::Result<RecordBatch, DataFusionError> =
                    batch.map_err(|error| damaged(&file, &error).external());
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

fn read(path: &Path) -> Result<FileReader<BufReader<File>>> {
    let file = File::open(path).map_err(|error| Error::io(path.display(), error))?;
    FileReader::try_new_buffered(file, None).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &ArrowError) -> Error {
    Error::resource(format!("{}: {error}", path.display()))
        .with_hint("check the disk of the state folder, then run again")
}
