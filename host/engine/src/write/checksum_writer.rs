//! Counts and hashes what passes on its way into a part.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::destination::PartFile;

/// A part's file, with a count and a hash of what was written to it.
pub(super) struct ChecksumWriter {
    file: Box<dyn PartFile>,
    bytes: u64,
    hash: Sha256,
}

impl ChecksumWriter {
    pub(super) fn new(file: Box<dyn PartFile>) -> Self {
        Self { file, bytes: 0, hash: Sha256::new() }
    }

    /// The file, its size and its SHA-256.
    pub(super) fn into_parts(self) -> (Box<dyn PartFile>, u64, String) {
        (self.file, self.bytes, hex::encode(self.hash.finalize()))
    }
}

impl Write for ChecksumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
