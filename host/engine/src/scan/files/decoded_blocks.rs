//! The blocks of a slice, decoded: one after the other, or several at a time where a file is one chunk.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use futures::future::{Either, ready};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};
use longshore_model::memory::{Account, memory};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::decode::{BadRow, Decode};
use super::lines::{Block, Lines};
use crate::batch::batch_bytes;

/// Blocks that may be decoded ahead: with one for each core, all are busy.
static AHEAD: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(cores())));

/// The most of them for one file: whoever cuts it into blocks is no quicker than so many.
const AHEAD_LIMIT_BLOCKS: usize = 8;

/// Blocks in their order, each with its rows.
pub(super) type DecodedBlocks = BoxStream<'static, Result<DecodedBlock>>;

/// A block, and its rows.
pub(super) struct DecodedBlock {
    pub(super) block: Block,
    /// Bytes that it begins with which hold no rows: the columns' names, and what comes before them.
    pub(super) no_rows: usize,
    pub(super) rows: Result<Vec<RecordBatch>, BadRow>,
    /// For parts of the block, where all of it cannot be decoded.
    pub(super) decoder: Box<dyn Decode>,
    /// Its memory.
    _held: Account,
}

/// Where a slice's blocks come from.
pub(super) struct Blocks {
    /// What was read of the lines before.
    pub(super) first: Option<Block>,
    pub(super) lines: Lines,
    /// Where in the file the first row can begin.
    pub(super) rows_from: u64,
}

impl Blocks {
    /// Decodes block by block.
    pub(super) fn decoded(self, decoder: Box<dyn Decode>) -> DecodedBlocks {
        let rows_from = self.rows_from;
        let decode = move |block| ready(decoded(block, rows_from, decoder.another()));
        self.stream().and_then(decode).boxed()
    }

    /// Decodes several blocks at a time, each in a task, as far as others do not.
    pub(super) fn decoded_ahead(self, decoder: Box<dyn Decode>) -> DecodedBlocks {
        let Some(ahead) = claim() else { return self.decoded(decoder) };
        let at_once = 1 + ahead.num_permits();
        let rows_from = self.rows_from;
        let decode = move |block: Result<Block>| {
            let _held = &ahead;
            let decoder = decoder.another();
            match block {
                Ok(block) => Either::Left(in_task(move || decoded(block, rows_from, decoder))),
                Err(error) => Either::Right(ready(Err(error))),
            }
        };
        self.stream().map(decode).buffered(at_once).boxed()
    }

    fn stream(self) -> BoxStream<'static, Result<Block>> {
        let next = |mut lines: Lines| async { Ok(lines.next().await?.map(|block| (block, lines))) };
        let rest = futures::stream::try_unfold(self.lines, next);
        futures::stream::iter(self.first.map(Ok)).chain(rest).boxed()
    }
}

/// Free places; none where memory is short.
fn claim() -> Option<OwnedSemaphorePermit> {
    if memory().is_over_budget() {
        return None;
    }
    let free = AHEAD.available_permits().clamp(1, AHEAD_LIMIT_BLOCKS);
    AHEAD.clone().try_acquire_many_owned(u32::try_from(free).ok()?).ok()
}

/// Begins at once.
fn in_task<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> impl Future<Output = Result<T>> {
    let task = tokio::spawn(async { work() });
    async { task.await.map_err(|error| Error::internal(error.to_string()))? }
}

fn decoded(block: Block, rows_from: u64, decoder: Result<Box<dyn Decode>>) -> Result<DecodedBlock> {
    let mut held = memory().account();
    held.set(block.bytes.len());
    let mut decoder = decoder?;
    let no_rows = rows_from.saturating_sub(block.at).min(block.bytes.len() as u64) as usize;
    let rows = decoder.decode(&block.bytes[no_rows..]);
    let batches = rows.iter().flatten();
    held.set(block.bytes.len() + batches.map(batch_bytes).sum::<usize>());
    Ok(DecodedBlock { block, no_rows, rows, decoder, _held: held })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Takes longer for blocks that come first; `bad` cannot be decoded, and at `panic` it panics.
    struct Slow;

    impl Decode for Slow {
        fn decode(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow> {
            assert_ne!(block, b"panic\n", "the decoder panics");
            let rest = 20_u64.saturating_sub(block.len() as u64);
            std::thread::sleep(std::time::Duration::from_millis(rest));
            if block == b"bad\n" { Err(BadRow::not_utf8()) } else { Ok(Vec::new()) }
        }

        fn another(&self) -> Result<Box<dyn Decode>> {
            Ok(Box::new(Self))
        }
    }

    fn decoded_ahead(pieces: Vec<Result<Bytes>>) -> DecodedBlocks {
        let lines = Lines::new(futures::stream::iter(pieces).boxed(), None, None);
        Blocks { first: None, lines, rows_from: 0 }.decoded_ahead(Box::new(Slow))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn blocks_come_in_their_order_and_an_error_behind_those_before_it() {
        let piece = |length: usize| Ok(Bytes::from("x".repeat(length) + "\n"));
        let mut pieces: Vec<_> = (1..20).map(piece).collect();
        pieces.push(Ok(Bytes::from("bad\n")));
        pieces.push(Err(Error::data("damaged")));
        let mut blocks = decoded_ahead(pieces);
        for length in 1..20 {
            let block = blocks.try_next().await.unwrap().unwrap();
            assert!(block.rows.is_ok() && block.block.bytes.len() == length + 1);
        }
        assert!(blocks.try_next().await.unwrap().unwrap().rows.is_err());
        assert_eq!(blocks.try_next().await.err().unwrap().to_string(), "damaged");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_of_a_decoder_is_an_error_and_no_end() {
        let pieces = ["a\n", "panic\n", "b\n"].map(|piece| Ok(Bytes::from(piece)));
        let mut blocks = decoded_ahead(pieces.into());
        assert!(blocks.try_next().await.unwrap().is_some());
        assert!(blocks.try_next().await.is_err());
    }
}
