//! Compression of whole files of text.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use longshore_model::config::target::Squeeze;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::measured::Measured;

/// A file that is compressed on the way, or not.
pub(super) enum Squeezed {
    Plain(Measured),
    Gzip(GzEncoder<Measured>),
    Zstd(ZstdEncoder<'static, Measured>),
}

impl Squeezed {
    pub(super) fn new(squeeze: Squeeze, file: Measured) -> io::Result<Self> {
        Ok(match squeeze {
            Squeeze::None => Self::Plain(file),
            Squeeze::Gzip(level) => Self::Gzip(GzEncoder::new(file, Compression::new(level))),
            Squeeze::Zstd(level) => Self::Zstd(ZstdEncoder::new(file, level)?),
        })
    }

    /// Writes the end of the compressed stream.
    pub(super) fn finish(self) -> io::Result<Measured> {
        match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Write for Squeezed {
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
