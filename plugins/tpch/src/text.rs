//! The text that comments are cut out of: 300 MiB of sentences from one stream of random numbers.
//!
//! Each instance of the component has a memory of its own. Therefore the text is kept as words, in a sixth
//! of its size, and in blocks, which are made when a comment needs them. `text_starts.bin` says where the
//! stream stands at the start of each block.

use std::sync::OnceLock;

use tpchgen::distribution::Distributions;

use crate::stream::Stream;
use crate::words::Words;

/// Bytes of text in a block.
const BLOCK_BYTES: usize = 64 << 10;

/// What a block has beyond its end: more than the longest comment.
const BEYOND_BYTES: usize = 512;

/// Bytes of text between two marks.
const MARK_BYTES: usize = 128;

/// About as many bytes of text a word has.
const USUAL_WORD_BYTES: usize = 7;

/// The stream at each block of the whole text: its last number, and how far before the block the sentence
/// begins that comes next. `starts_are_those_of_the_stream` tells whether they are right.
static STARTS: &[u8] = include_bytes!("text_starts.bin");

/// Bytes of a start: a number of four, and one of two, little-endian.
const START_BYTES: usize = 6;

/// The text, as far as a comment needed it.
pub(crate) struct Text {
    words: Words,
    blocks: Vec<OnceLock<Block>>,
}

/// A piece of the text. A place in it counts from its first word.
struct Block {
    words: Vec<u8>,
    /// The word at each multiple of [`MARK_BYTES`].
    marks: Vec<Mark>,
    /// The place at which the block begins.
    start: usize,
}

/// Where a piece of the text begins.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The words from the mark before it.
    words: &'a [u8],
    /// Bytes of these words before the piece.
    skip: usize,
}

impl Place<'_> {
    /// Its first word.
    pub(crate) fn first(&self) -> u8 {
        self.words[0]
    }
}

/// A word, and how far before its mark it begins.
struct Mark {
    word: u16,
    before: u8,
}

impl Text {
    /// The text of this process.
    pub(crate) fn shared() -> &'static Self {
        static TEXT: OnceLock<Text> = OnceLock::new();
        TEXT.get_or_init(|| {
            let blocks = STARTS.chunks_exact(START_BYTES).map(|_| OnceLock::new()).collect();
            Self { words: Words::new(Distributions::static_default()), blocks }
        })
    }

    /// Where a piece of the text begins.
    pub(crate) fn find(&self, offset: usize) -> Place<'_> {
        // Each word has its space before it, and the text begins without one.
        let (block, offset) = ((offset + 1) / BLOCK_BYTES, (offset + 1) % BLOCK_BYTES);
        let block = self.blocks[block].get_or_init(|| self.block(block));
        let place = block.start + offset;
        let mark = &block.marks[place / MARK_BYTES];
        Place {
            words: &block.words[usize::from(mark.word)..],
            skip: place % MARK_BYTES + usize::from(mark.before),
        }
    }

    /// Adds a piece of the text.
    pub(crate) fn append(
        &self,
        Place { words, mut skip }: Place<'_>,
        length: usize,
        into: &mut Vec<u8>,
    ) {
        let mut words = words.iter().map(|code| self.words.word(*code));
        let end = into.len() + length;
        for word in words.by_ref() {
            if word.length > skip {
                into.extend_from_slice(&word.bytes[skip..word.length]);
                break;
            }
            skip -= word.length;
        }
        for word in words {
            if into.len() >= end {
                break;
            }
            let whole = into.len() + word.length;
            into.extend_from_slice(&word.bytes);
            into.truncate(whole);
        }
        into.truncate(end);
    }

    fn block(&self, number: usize) -> Block {
        let start = &STARTS[number * START_BYTES..][..START_BYTES];
        let [a, b, c, d, e, f] = *start else { unreachable!("a start has six bytes") };
        let mut stream = Stream::new(u32::from_le_bytes([a, b, c, d]).into());
        let start = usize::from(u16::from_le_bytes([e, f]));
        let mut words = Vec::with_capacity(BLOCK_BYTES / USUAL_WORD_BYTES);
        let mut marks = Vec::with_capacity(BLOCK_BYTES / MARK_BYTES);
        let mut at = 0;
        while at < start + BLOCK_BYTES + BEYOND_BYTES {
            let first = words.len();
            self.words.sentence(&mut stream, &mut words);
            for (word, code) in words.iter().enumerate().skip(first) {
                let end = at + self.words.word(*code).length;
                let mark = marks.len() * MARK_BYTES;
                if mark < end {
                    marks.push(Mark { word: word as u16, before: (mark - at) as u8 });
                }
                at = end;
            }
        }
        words.shrink_to_fit();
        marks.shrink_to_fit();
        Block { words, marks, start }
    }
}

#[cfg(test)]
mod tests {
    use tpchgen::text::TextPool;

    use super::*;

    /// The stream's state at the first sentence.
    const SEED: u64 = 933_588_178;

    fn starts() -> Vec<u8> {
        let (text, mut stream) = (Text::shared(), Stream::new(SEED));
        let (mut starts, mut at, mut words) = (Vec::new(), 0, Vec::new());
        let blocks = (300 << 20) / BLOCK_BYTES + 1;
        while starts.len() < blocks * START_BYTES {
            let seed = stream.seed();
            words.clear();
            text.words.sentence(&mut stream, &mut words);
            let end = at + words.iter().map(|code| text.words.word(*code).length).sum::<usize>();
            let block = starts.len() / START_BYTES * BLOCK_BYTES;
            if block < end {
                starts.extend((seed as u32).to_le_bytes());
                starts.extend(((block - at) as u16).to_le_bytes());
            }
            at = end;
        }
        starts
    }

    #[test]
    fn starts_are_those_of_the_stream() {
        let right = starts();
        if STARTS != right {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/text_starts.bin"), right)
                .unwrap();
            panic!("text_starts.bin was wrong, and is written anew");
        }
    }

    #[test]
    fn the_text_is_that_of_the_official_generator() {
        let (ours, official) = (Text::shared(), TextPool::get_or_init_default());
        let mut piece = Vec::new();
        for offset in (0..official.size() - 200).step_by(151) {
            piece.clear();
            ours.append(ours.find(offset as usize), 200, &mut piece);
            assert_eq!(piece, official.text(offset, offset + 200).as_bytes(), "at {offset}");
        }
    }
}
