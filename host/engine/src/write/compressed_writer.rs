//! Compression of whole files of text.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use longshore_model::config::target::TextCodec;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::checksum_writer::ChecksumWriter;

/// A file that is compressed on the way, or not.
pub(super) enum CompressedWriter {
    Plain(ChecksumWriter),
    Gzip(GzEncoder<ChecksumWriter>),
    Zstd(ZstdEncoder<'static, ChecksumWriter>),
}

impl CompressedWriter {
    pub(super) fn new(squeeze: TextCodec, file: ChecksumWriter) -> io::Result<Self> {
        Ok(match squeeze {
            TextCodec::None => Self::Plain(file),
            TextCodec::Gzip(level) => Self::Gzip(GzEncoder::new(file, Compression::new(level))),
            TextCodec::Zstd(level) => Self::Zstd(ZstdEncoder::new(file, level)?),
        })
    }

    /// Writes the end of the compressed stream.
    pub(super) fn finish(self) -> io::Result<ChecksumWriter> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for CompressedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // Not the compressor's own flush: it would end a block for every batch.
        Ok(())
    }
}
