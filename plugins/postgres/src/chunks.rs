//! Chunks: ranges of a table's pages.
//!
//! The last range is open: pages that were added since belong to it.

use longshore_sdk::{Chunk, ChunkWish, Consistency, Error, Plan, Result};

use crate::catalog::Table;

/// The first version that reads a range of `ctid` without reading the whole table.
const CTID_RANGES_SINCE: u32 = 140_000;

/// Rows to a page, where the table was never analysed.
const GUESSED_PAGE_ROWS: u64 = 60;

/// Which pages a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    All,
    /// From the first page to before the second; without a second, to the end.
    Range(u64, Option<u64>),
}

impl Pages {
    pub(crate) fn parse(descriptor: &[u8]) -> Result<Self> {
        let parsed = std::str::from_utf8(descriptor).ok().and_then(|text| {
            if text == "all" {
                return Some(Self::All);
            }
            let (from, to) = text.split_once('-')?;
            let to = if to.is_empty() { None } else { Some(to.parse().ok()?) };
            Some(Self::Range(from.parse().ok()?, to))
        });
        parsed.ok_or_else(|| Error::internal("a chunk descriptor that postgres did not make"))
    }

    fn descriptor(self) -> Vec<u8> {
        match self {
            Self::All => "all".to_string(),
            Self::Range(from, Some(to)) => format!("{from}-{to}"),
            Self::Range(from, None) => format!("{from}-"),
        }
        .into_bytes()
    }

    fn label(self) -> String {
        match self {
            Self::All => "everything".into(),
            Self::Range(from, Some(to)) => format!("pages {from} to {}", to - 1),
            Self::Range(from, None) => format!("pages {from} to the end"),
        }
    }

    pub(crate) fn condition(&self) -> Option<String> {
        match self {
            Self::All => None,
            Self::Range(from, Some(to)) => {
                Some(format!("ctid >= '({from},0)'::tid AND ctid < '({to},0)'::tid"))
            }
            Self::Range(from, None) => Some(format!("ctid >= '({from},0)'::tid")),
        }
    }
}

/// Cuts a table.
pub(crate) fn plan(table: &Table, version: u32, wish: &ChunkWish) -> Plan {
    let one = |strategy: &str| Plan {
        consistency: Consistency::PerChunk,
        strategy: strategy.into(),
        chunks: Box::new(std::iter::once(Ok(Chunk {
            label: Pages::All.label(),
            descriptor: Pages::All.descriptor(),
            rows: table.rows,
            bytes: table.size.as_ref().map(crate::catalog::Size::bytes),
        }))),
    };
    let Some(size) = &table.size else { return one("one chunk: it has no pages of its own") };
    if version < CTID_RANGES_SINCE {
        return one("one chunk: page ranges need PostgreSQL 14");
    }
    let page_rows = match table.rows {
        Some(rows) if rows > 0 && size.pages > 0 => rows.div_ceil(size.pages),
        _ => GUESSED_PAGE_ROWS,
    };
    let wanted = match wish.rows {
        Some(rows) => (rows / page_rows).max(1),
        None => (wish.bytes / size.page_bytes).max(1),
    };
    let step = wanted.max(size.pages.div_ceil(u64::from(wish.max_chunks.max(1))));
    if size.pages <= step {
        return one("one chunk: it is small");
    }
    let (pages, page_bytes) = (size.pages, size.page_bytes);
    let chunks = (0..pages).step_by(step as usize).map(move |from| {
        let to = Some(from + step).filter(|to| *to < pages);
        let range = Pages::Range(from, to);
        let count = to.unwrap_or(pages) - from;
        Ok(Chunk {
            label: range.label(),
            descriptor: range.descriptor(),
            rows: Some(count * page_rows),
            bytes: Some(count * page_bytes),
        })
    });
    Plan {
        consistency: Consistency::PerChunk,
        strategy: format!("ctid ranges of {step} pages of {pages}"),
        chunks: Box::new(chunks),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::Size;

    proptest! {
        #[test]
        fn ranges_cover_every_page_once(pages in 0_u64..100_000, bytes in 1_u64..10_000_000, most in 1_u32..2_000) {
            let table = Table::of_size(Size { pages, page_bytes: 8192 });
            let wish = ChunkWish { rows: None, bytes, parallel: 2, max_chunks: most };
            let plan = plan(&table, 150_000, &wish);
            let ranges: Vec<Pages> = plan.chunks.map(|c| Pages::parse(&c.unwrap().descriptor).unwrap()).collect();
            prop_assert!(ranges.len() <= most as usize);
            if ranges == [Pages::All] {
                return Ok(());
            }
            let mut next = Some(0);
            for range in ranges {
                let Pages::Range(from, to) = range else { panic!("a range among ranges") };
                prop_assert_eq!(Some(from), next);
                next = to;
            }
            prop_assert_eq!(next, None, "the last one is open");
        }
    }
}
