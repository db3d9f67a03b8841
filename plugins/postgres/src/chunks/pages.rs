//! Ranges of a table's pages. The last range is open: pages that were added since belong to it.

use longshore_sdk::ChunkHints;

use super::ChunkPlan;
use super::slice::Slice;
use crate::relation::Leaf;

/// Rows to a page, where the table was never analysed.
const GUESSED_PAGE_ROWS: u64 = 60;

/// How many pages make a chunk, over all leaves of a table.
pub(super) fn step(leaves: &[Leaf], hints: &ChunkHints) -> u64 {
    let sum = |of: &dyn Fn(&Leaf) -> u64| leaves.iter().map(of).sum::<u64>();
    let pages = sum(&|leaf| leaf.pages.unwrap_or(0)).max(1);
    let rows = sum(&|leaf| leaf.rows.unwrap_or(0));
    let wanted = match hints.rows {
        Some(wanted) if rows > 0 => wanted.saturating_mul(pages) / rows,
        Some(wanted) => wanted / GUESSED_PAGE_ROWS,
        None => hints.bytes / (sum(&|leaf| leaf.bytes) / pages).max(1),
    };
    // Each leaf has a last chunk that is not full.
    let most = u64::from(hints.max_chunks).saturating_sub(leaves.len() as u64).max(1);
    wanted.max(pages.div_ceil(most)).max(1)
}

/// The leaf's ranges.
pub(super) fn ranges(leaf: &Leaf, step: u64) -> Vec<ChunkPlan> {
    let pages = leaf.pages.filter(|pages| *pages > step);
    let Some(pages) = pages else {
        let slice = slice(leaf, None);
        return vec![ChunkPlan { slice, rows: leaf.rows, bytes: Some(leaf.bytes) }];
    };
    let range = |from: u64| {
        let to = Some(from + step).filter(|to| *to < pages);
        let count = to.unwrap_or(pages) - from;
        let share = |whole: u64| (u128::from(whole) * u128::from(count) / u128::from(pages)) as u64;
        ChunkPlan {
            slice: slice(leaf, Some((from, to))),
            rows: Some(leaf.rows.map_or(count * GUESSED_PAGE_ROWS, share)),
            bytes: Some(share(leaf.bytes)),
        }
    };
    (0..pages).step_by(step as usize).map(range).collect()
}

fn slice(leaf: &Leaf, pages: Option<(u64, Option<u64>)>) -> Slice {
    // A foreign table has no files here.
    let files = if leaf.foreign { Vec::new() } else { vec![leaf.file.clone()] };
    let from = Some(leaf.from.clone());
    Slice { from, files, pages, condition: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_cover_every_page_of_every_leaf_once(
            sizes in proptest::collection::vec(0_u64..100_000, 1..5),
            bytes in 1_u64..10_000_000,
            most in 10_u32..2_000,
        ) {
            let leaves: Vec<Leaf> = sizes.iter().map(|pages| Leaf::of_pages(*pages)).collect();
            let hints = ChunkHints { rows: None, bytes, parallel: 2, max_chunks: most, key: None };
            let step = step(&leaves, &hints);
            let cuts: Vec<Vec<ChunkPlan>> = leaves.iter().map(|leaf| ranges(leaf, step)).collect();
            prop_assert!(cuts.iter().map(Vec::len).sum::<usize>() <= most as usize);
            for cuts in cuts {
                if cuts.len() == 1 && cuts[0].slice.pages.is_none() {
                    continue;
                }
                let mut next = Some(0);
                for cut in cuts {
                    let (from, to) = cut.slice.pages.unwrap();
                    prop_assert_eq!(Some(from), next);
                    next = to;
                }
                prop_assert_eq!(next, None, "the last one is open");
            }
        }
    }
}
