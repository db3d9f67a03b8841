//! One file of a relation: how it is begun and ended, whoever writes it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use longshore_model::config::target::Format;
use longshore_model::error::{Error, Result};
use longshore_model::part::{Part, RelationTarget};

use super::encoder::{EncodedFile, Encoder};
use super::format::open_encoder;
use crate::destination::Folder;
use crate::ipc::catch_panic;

/// Where a relation's files go, and what they are.
#[derive(Debug)]
pub struct FileParts {
    /// The target.
    pub folder: Arc<dyn Folder>,
    /// The relation's place in it.
    pub target: RelationTarget,
    /// The files' format.
    pub format: Format,
    /// The columns whose values name folders; none: all files lie in one.
    pub partition_by: Vec<String>,
}

impl FileParts {
    /// Begins a file; `sample` is its first batch, if it has one.
    pub(super) async fn create(
        &self,
        file: &str,
        schema: SchemaRef,
        sample: Option<&RecordBatch>,
    ) -> Result<Box<dyn Encoder>> {
        let output = self.folder.create_part(&self.target, file).await?;
        guarded(|| open_encoder(&self.format, schema, sample, output))
    }
}

/// An encoder that holds less is left alone when memory is short: smaller row groups cost readers
/// more than they save.
pub(super) const MIN_FLUSH_BYTES: usize = 1 << 20;

/// Ends a file: it is durable, and a part.
pub(super) async fn finish(
    encoder: Box<dyn Encoder>,
    chunk: u64,
    rows: u64,
    file: String,
) -> Result<Part> {
    finish_file(guarded(|| encoder.finish())?, chunk, rows, file).await
}

/// Makes a file durable, and a part.
pub(super) async fn finish_file(
    encoded: EncodedFile,
    chunk: u64,
    rows: u64,
    file: String,
) -> Result<Part> {
    let EncodedFile { file: output, bytes, checksum } = encoded;
    let token = output.finish().await?;
    Ok(Part { chunk, file, rows, bytes, checksum: Some(checksum), token })
}

/// Encoders give up, in a panic, on types that they know nothing of.
pub(super) fn guarded<T>(encode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_panic(encode).unwrap_or_else(|| {
        Err(Error::data("the format cannot hold it: its encoder gave up")
            .with_hint("cast the column to another type in an `sql` step"))
    })
}
