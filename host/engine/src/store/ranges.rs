//! Ranges of files, each as a whole.

use std::fs::File;
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::ops::Range;

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{
    GetOptions, GetResult, GetResultPayload, OBJECT_STORE_COALESCE_DEFAULT, ObjectStore, Result,
    coalesce_ranges,
};
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use super::SourceStore;
use super::local_objects::{apart, fault};

/// Bytes of a local file that are read along rather than asked for apart: a call costs as much.
const LOCAL_GAP_BYTES: u64 = 64 << 10;

impl SourceStore {
    /// A range of a file.
    pub(crate) async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        match self.objects.get_opts(key, options).await? {
            GetResult { payload: GetResultPayload::File(file, path), range, .. } => {
                apart(move || read_at(&file, range).map_err(|error| fault(&path, error))).await
            }
            got => got.bytes().await,
        }
    }

    /// Ranges of a file, in their order. Those that lie close together are read together.
    pub(crate) async fn get_ranges(&self, key: &Key, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let gap = if self.is_local() { LOCAL_GAP_BYTES } else { OBJECT_STORE_COALESCE_DEFAULT };
        coalesce_ranges(ranges, |range| self.get_range(key, range), gap).await
    }
}

/// Reads a range. The library's own way writes zeros before, which takes as long as the copy.
pub(crate) fn read_at(file: &File, range: Range<u64>) -> IoResult<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start));
    let length = length.map_err(|_| IoError::from(ErrorKind::OutOfMemory))?;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = range.start + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        let all: Vec<u8> = (0..100_000).map(|at| (at % 251) as u8).collect();
        std::fs::write(&path, &all).unwrap();
        let file = File::open(&path).unwrap();
        for range in [0..0, 0..1, 99_999..100_000, 1_234..98_765, 0..100_000] {
            let read = read_at(&file, range.clone()).unwrap();
            assert_eq!(read, all[range.start as usize..range.end as usize]);
        }
        let error = read_at(&file, 99_000..100_001).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
