//! Which encoder writes which format.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use longshore_model::config::target::Format;
use longshore_model::error::Result;

use super::arrow_ipc::ArrowEncoder;
use super::checksum_writer::ChecksumWriter;
use super::encoder::Encoder;
use super::fit::check_fits;
use super::parquet::ParquetEncoder;
use super::text::{CsvEncoder, JsonEncoder};
use crate::destination::PartFile;

/// Begins a file; `sample` is its first batch, if it has one.
pub fn open_encoder(
    format: &Format,
    schema: SchemaRef,
    sample: Option<&RecordBatch>,
    file: Box<dyn PartFile>,
) -> Result<Box<dyn Encoder>> {
    check_fits(format, &schema)?;
    let file = ChecksumWriter::new(file);
    Ok(match format {
        Format::Parquet(compression) => {
            Box::new(ParquetEncoder::new(schema, *compression, sample, file)?)
        }
        Format::Csv(style, squeeze) => Box::new(CsvEncoder::new(schema, style, *squeeze, file)?),
        Format::Json(squeeze) => Box::new(JsonEncoder::new(*squeeze, file)?),
        Format::Arrow => Box::new(ArrowEncoder::new(schema, file)?),
    })
}
