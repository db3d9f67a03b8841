//! A chunk, as it is planned, kept in the ledger and handed to whoever reads it.

use longshore_model::error::{Error, Result};
use longshore_sandbox::{ChunkLane, OdbcStatement, PlannedChunk};
use serde::{Deserialize, Serialize};

/// The most bytes of what a connector says of one chunk.
pub const DESCRIPTOR_LIMIT_BYTES: usize = 65_536;

/// The most bytes of a statement that is read over ODBC, with all that belongs to it.
pub const STATEMENT_LIMIT_BYTES: usize = 1 << 20;

/// A slice of a scan that can be read alone, again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// For people: what the slice is.
    pub label: String,
    /// For whoever reads it.
    #[serde(with = "hex")]
    pub descriptor: Vec<u8>,
    /// Estimated rows.
    pub rows: Option<u64>,
    /// Estimated bytes.
    pub bytes: Option<u64>,
}

impl Chunk {
    /// A chunk of a table's files: its lane goes into the descriptor.
    pub(super) fn of_files(self) -> Self {
        Self { descriptor: [&[FILES], self.descriptor.as_slice()].concat(), ..self }
    }

    /// A chunk that a connector planned: its lane goes into the descriptor.
    pub(super) fn of(planned: PlannedChunk) -> Result<Self> {
        let PlannedChunk { label, lane, rows, bytes } = planned;
        Ok(Self { label, descriptor: seal(lane)?, rows, bytes })
    }
}

/// A lane is told by a descriptor's first byte.
const COMPONENT: u8 = 0;
const ODBC: u8 = 1;
const FILES: u8 = 2;

/// How a chunk's rows reach the host.
#[derive(Debug)]
pub(super) enum ReadBy {
    /// The component, which is handed this.
    Component(Vec<u8>),
    /// An ODBC driver.
    Odbc(Box<OdbcStatement>),
    /// The host itself, from a table's files.
    Files(Vec<u8>),
}

/// A lane, as bytes.
fn seal(lane: ChunkLane) -> Result<Vec<u8>> {
    check_size(&lane)?;
    Ok(match lane {
        ChunkLane::Component(descriptor) => [&[COMPONENT], descriptor.as_slice()].concat(),
        ChunkLane::Odbc(reading) => [&[ODBC], serde_json::to_vec(&reading)?.as_slice()].concat(),
    })
}

/// Reads a sealed descriptor.
pub(super) fn open(descriptor: &[u8]) -> Result<ReadBy> {
    Ok(match descriptor.split_first() {
        Some((&COMPONENT, own)) => ReadBy::Component(own.to_vec()),
        Some((&ODBC, reading)) => ReadBy::Odbc(Box::new(serde_json::from_slice(reading)?)),
        Some((&FILES, own)) => ReadBy::Files(own.to_vec()),
        _ => return Err(Error::internal("a chunk of no known lane")),
    })
}

/// Refuses what is too large to be kept for each chunk.
pub fn check_size(lane: &ChunkLane) -> Result<()> {
    let (what, bytes, limit) = match lane {
        ChunkLane::Component(own) => ("descriptor", own.len(), DESCRIPTOR_LIMIT_BYTES),
        ChunkLane::Odbc(reading) => {
            ("statement", serde_json::to_vec(reading)?.len(), STATEMENT_LIMIT_BYTES)
        }
    };
    if bytes > limit {
        return Err(Error::internal(format!("planned a {what} over {limit} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened() {
        let sealed = seal(ChunkLane::Component(vec![1, 2])).unwrap();
        assert!(matches!(open(&sealed).unwrap(), ReadBy::Component(own) if own == [1, 2]));
        assert!(open(&[]).is_err() && open(&[7, 1]).is_err() && open(&[ODBC, b'{']).is_err());
        assert!(seal(ChunkLane::Component(vec![0; DESCRIPTOR_LIMIT_BYTES + 1])).is_err());
    }
}
