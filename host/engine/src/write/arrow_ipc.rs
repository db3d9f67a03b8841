//! Arrow's IPC file format.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;
use longshore_model::error::Result;

use super::checksum_writer::ChecksumWriter;
use super::encoder::{EncodedFile, Encoder, arrow_fault};

/// Writes one Arrow file.
pub(super) struct ArrowEncoder {
    writer: FileWriter<ChecksumWriter>,
}

impl ArrowEncoder {
    pub(super) fn new(schema: SchemaRef, file: ChecksumWriter) -> Result<Self> {
        let writer = FileWriter::try_new(file, &schema).map_err(arrow_fault)?;
        Ok(Self { writer })
    }
}

impl Encoder for ArrowEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(arrow_fault)
    }

    fn memory_bytes(&self) -> usize {
        // A batch is written as it comes.
        0
    }

    fn finish(self: Box<Self>) -> Result<EncodedFile> {
        Ok(EncodedFile::new(self.writer.into_inner().map_err(arrow_fault)?))
    }
}
