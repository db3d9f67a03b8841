//! Counts and hashes what passes on its way into a part.

use std::io::{self, Write};

use longshore_model::checksum::{Checksum, Hasher};

use crate::destination::PartFile;

/// A part's file, with a count and a hash of what was written to it.
pub(super) struct ChecksumWriter {
    file: Box<dyn PartFile>,
    bytes: u64,
    hasher: Hasher,
}

impl ChecksumWriter {
    pub(super) fn new(file: Box<dyn PartFile>) -> Self {
        Self { file, bytes: 0, hasher: Hasher::new() }
    }

    /// The file, its size and its checksum.
    pub(super) fn into_parts(self) -> (Box<dyn PartFile>, u64, Checksum) {
        (self.file, self.bytes, self.hasher.finish())
    }
}

impl Write for ChecksumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
