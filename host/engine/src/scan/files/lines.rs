//! Text in blocks of whole records: a record ends with a line that does not end within quotes.
//!
//! A large file is read in slices. A record belongs to the slice that it begins in. That a slice begins
//! at a record is only known of the first one; each makes sure of it for the one behind it: where it ends,
//! the line's end must not lie within quotes. All slices of a file are read, or the run fails: so none has
//! begun within a record.

use std::ops::Range;

use futures::TryStreamExt;
use longshore_model::error::{Error, Result};
use memchr::{memchr, memchr2, memrchr};

use super::bytes::Pieces;

/// The longest record.
pub(super) const RECORD_LIMIT_BYTES: usize = 64 << 20;

/// The characters that have a meaning in CSV.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    /// Nothing where quotes mean nothing.
    pub(super) quote: Option<u8>,
    /// Before a quote, where that is not doubled.
    pub(super) escape: Option<u8>,
    pub(super) comment: Option<u8>,
}

/// Whole records.
pub(super) struct Block {
    /// Where it begins in the file, unpacked.
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// Why records cannot be told apart.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unclear {
    /// A line ends within quotes where the file was to be cut.
    #[error("a value holds a line end at byte {0}")]
    LineEndInQuotes(u64),
    /// A value that has a beginning and no end.
    #[error("the quotes of a value in the record at byte {0} are not closed")]
    Open(u64),
    /// Quotes that do not end, most likely.
    #[error("a record longer than {RECORD_LIMIT_BYTES} bytes at byte {0}")]
    TooLong(u64),
    /// Lines that end as they did on old Macs.
    #[error("the lines from byte {0} on end with carriage returns (CR) alone")]
    Returns(u64),
}

/// Where a scan is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Line,
    Field,
    Plain,
    Quoted,
    Escaped,
    Closed,
    Comment,
}

/// Tells records apart.
#[derive(Clone, Debug)]
pub(super) struct Splitter {
    marks: Option<Marks>,
    at: At,
}

impl Splitter {
    /// For CSV, or without marks for text whose every line is a record.
    pub(super) fn new(marks: Option<Marks>) -> Self {
        Self { marks, at: At::Line }
    }

    /// The records of a block.
    pub(super) fn records(mut self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut records = Vec::new();
        let mut start = 0;
        while let Some(length) = self.first_end(&bytes[start..], 0) {
            records.push(start..start + length);
            start += length;
        }
        if start < bytes.len() {
            records.push(start..bytes.len());
        }
        records
    }

    /// The first record of a block that is neither a comment nor an empty line.
    pub(super) fn first(mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let comment = self.marks.and_then(|marks| marks.comment);
        let mut start = 0;
        while start < bytes.len() {
            let end = self.first_end(&bytes[start..], 0).map_or(bytes.len(), |end| start + end);
            let record = &bytes[start..end];
            let is_comment = comment.is_some() && record.first().copied() == comment;
            if !is_comment && !matches!(record, b"\n" | b"\r\n" | b"\r") {
                return Some(start..end);
            }
            start = end;
        }
        None
    }

    /// Moves over bytes, up to the first record's end at or after `least`: how many bytes that is.
    fn first_end(&mut self, bytes: &[u8], least: usize) -> Option<usize> {
        let mut position = 0;
        while position < bytes.len() {
            let (length, is_end) = self.step(&bytes[position..]);
            position += length;
            if is_end && position >= least {
                return Some(position);
            }
        }
        None
    }

    /// Moves over all bytes; the last record's end.
    fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let (mut position, mut last) = (0, None);
        while position < bytes.len() {
            if let Some(marks) = self.leaps() {
                let (length, end) = self.leap(marks, &bytes[position..]);
                last = end.map(|end| position + end).or(last);
                position += length;
            } else {
                let (length, is_end) = self.step(&bytes[position..]);
                position += length;
                last = if is_end { Some(position) } else { last };
            }
        }
        last
    }

    /// Whether nothing but a quote can make a line's end another thing than a record's, from here on.
    fn leaps(&self) -> Option<Marks> {
        let plain = |marks: &Marks| marks.escape.is_none() && marks.comment.is_none();
        let outside = matches!(self.at, At::Line | At::Field | At::Plain);
        self.marks.filter(|marks| outside && plain(marks))
    }

    /// Moves up to the next quote and over it, or to the end; the last record's end before it.
    fn leap(&mut self, marks: Marks, bytes: &[u8]) -> (usize, Option<usize>) {
        let quote = marks.quote.and_then(|quote| memchr(quote, bytes));
        let before = &bytes[..quote.unwrap_or(bytes.len())];
        self.at = match before.last() {
            None => self.at,
            Some(b'\n') => At::Line,
            Some(byte) if *byte == marks.delimiter => At::Field,
            Some(_) => At::Plain,
        };
        let end = memrchr(b'\n', before).map(|at| at + 1);
        if quote.is_none() {
            return (bytes.len(), end);
        }
        // Elsewhere than at a field's beginning it is a character like others.
        self.at = if self.at == At::Plain { At::Plain } else { At::Quoted };
        (before.len() + 1, end)
    }

    /// Moves over at least one byte; whether a record ended with the last of them.
    fn step(&mut self, bytes: &[u8]) -> (usize, bool) {
        let Some(Marks { delimiter, quote, escape, comment }) = self.marks else {
            let end = memchr(b'\n', bytes);
            return (end.map_or(bytes.len(), |at| at + 1), end.is_some());
        };
        // What cannot change anything is skipped.
        let skipped = match self.at {
            At::Plain => memchr2(delimiter, b'\n', bytes).unwrap_or(bytes.len()),
            At::Quoted if escape.is_none() => {
                quote.and_then(|quote| memchr(quote, bytes)).unwrap_or(bytes.len())
            }
            At::Comment => memchr(b'\n', bytes).unwrap_or(bytes.len()),
            _ => 0,
        };
        let Some(byte) = bytes.get(skipped).copied() else { return (bytes.len(), false) };
        self.at = match (self.at, byte) {
            (At::Quoted, byte) if Some(byte) == escape => At::Escaped,
            (At::Quoted, byte) if Some(byte) == quote => At::Closed,
            (At::Quoted | At::Escaped, _) => At::Quoted,
            (At::Closed, byte) if Some(byte) == quote => At::Quoted,
            (At::Line, byte) if Some(byte) == comment => At::Comment,
            (_, b'\n') => At::Line,
            (At::Comment, _) => At::Comment,
            (_, byte) if byte == delimiter => At::Field,
            (At::Line | At::Field, byte) if Some(byte) == quote => At::Quoted,
            _ => At::Plain,
        };
        (skipped + 1, self.at == At::Line)
    }
}

/// A slice of a file, block by block.
pub(super) struct Lines {
    pieces: Pieces,
    splitter: Splitter,
    /// What is not handed on yet, and where in the file it begins.
    held: Vec<u8>,
    at: u64,
    /// How much of it the splitter has seen.
    seen: usize,
    /// Where the last record may begin at most, exclusive.
    to: u64,
    /// The slice begins behind the first line's end.
    skips: bool,
    /// The file's first bytes have not come: they may be a mark.
    begins: bool,
    done: bool,
}

/// The mark that some programs begin UTF-8 with.
pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// And UTF-16.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

impl Lines {
    /// A whole file, or the records that begin in a range of it; then `pieces` begin a byte before it,
    /// unless that is the file's beginning.
    pub(super) fn new(pieces: Pieces, marks: Option<Marks>, range: Option<(u64, u64)>) -> Self {
        let (from, to) = range.unwrap_or((0, u64::MAX));
        Self {
            pieces,
            splitter: Splitter::new(marks),
            held: Vec::new(),
            at: from.saturating_sub(1),
            seen: 0,
            to,
            skips: from > 0,
            begins: from == 0,
            done: false,
        }
    }

    /// The next block.
    pub(super) async fn next(&mut self) -> Result<Option<Block>> {
        let has_quotes = self.splitter.marks.is_some();
        while !self.done {
            let Some(piece) = self.pieces.try_next().await? else {
                self.done = true;
                if matches!(self.splitter.at, At::Quoted | At::Escaped) {
                    return Err(unclear(Unclear::Open(self.at), has_quotes));
                }
                let bytes = std::mem::take(&mut self.held);
                let is_rest = !bytes.is_empty() && !self.skips && self.at < self.to;
                return Ok(is_rest.then_some(Block { at: self.at, bytes }));
            };
            self.held.extend_from_slice(&piece);
            if self.begins && !self.begin()? {
                continue;
            }
            if self.skips && !self.skip() {
                continue;
            }
            if let Some(block) = self.cut().map_err(|cause| unclear(cause, has_quotes))? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Takes off the mark that a file may begin with; whether enough bytes have come to know.
    fn begin(&mut self) -> Result<bool> {
        let begins_mark =
            |mark: &&[u8]| mark.len() > self.held.len() && mark.starts_with(&self.held);
        if UTF16_MARKS.iter().chain([&UTF8_MARK]).any(begins_mark) {
            return Ok(false);
        }
        self.begins = false;
        if UTF16_MARKS.iter().any(|mark| self.held.starts_with(mark)) {
            return Err(Error::data("the text is UTF-16")
                .with_hint("convert the file: iconv -f UTF-16 -t UTF-8 FILE > FILE.utf8"));
        }
        if self.held.starts_with(UTF8_MARK) {
            self.held.drain(..UTF8_MARK.len());
            self.at += UTF8_MARK.len() as u64;
            // What follows it is the first slice's, even where that ends within the mark: no line begins there.
            self.to = self.to.max(self.at + 1);
        }
        Ok(true)
    }

    /// Drops what belongs to the slice before; whether that is done.
    fn skip(&mut self) -> bool {
        let end = memchr(b'\n', &self.held);
        let length = end.map_or(self.held.len(), |at| at + 1);
        self.held.drain(..length);
        self.at += length as u64;
        self.skips = end.is_none();
        // No record begins in this slice.
        self.done = !self.skips && self.at >= self.to;
        !self.skips
    }

    /// Cuts whole records off what is held.
    fn cut(&mut self) -> Result<Option<Block>, Unclear> {
        if self.done {
            return Ok(None);
        }
        let fresh = &self.held[self.seen..];
        let fresh_at = self.at + self.seen as u64;
        let least = usize::try_from(self.to.saturating_sub(fresh_at)).unwrap_or(usize::MAX);
        let end = if least <= fresh.len() {
            let end = self.splitter.first_end(fresh, least.max(1));
            self.check_end(least, end)?;
            self.done = end.is_some();
            end
        } else {
            self.splitter.last_end(fresh)
        };
        let Some(length) = end.map(|end| self.seen + end) else {
            self.seen = self.held.len();
            if self.held.len() <= RECORD_LIMIT_BYTES {
                return Ok(None);
            }
            let has_returns =
                memchr(b'\r', &self.held).is_some() && memchr(b'\n', &self.held).is_none();
            let at = self.at;
            return Err(if has_returns { Unclear::Returns(at) } else { Unclear::TooLong(at) });
        };
        let rest = self.held.split_off(length);
        let bytes = std::mem::replace(&mut self.held, rest);
        let block = Block { at: self.at, bytes };
        self.at += length as u64;
        // In the middle of the last record, if there is more.
        self.seen = if self.done { 0 } else { self.held.len() };
        Ok(Some(block))
    }

    /// The slice behind this one begins at the first line's end from `least` on: it must be a record's.
    fn check_end(&self, least: usize, end: Option<usize>) -> Result<(), Unclear> {
        let fresh = &self.held[self.seen..];
        let begin = least.saturating_sub(1);
        let line = memchr(b'\n', &fresh[begin..]).map(|at| begin + at + 1);
        match (line, end) {
            (Some(line), end) if end != Some(line) => {
                Err(Unclear::LineEndInQuotes(self.at + (self.seen + line) as u64))
            }
            _ => Ok(()),
        }
    }
}

fn unclear(cause: Unclear, has_quotes: bool) -> Error {
    let hint = match cause {
        Unclear::LineEndInQuotes(_) => {
            "add `csv: { newlines: true }` to `source`: then a file is one chunk"
        }
        Unclear::Returns(_) => "convert the line ends, as with `tr '\\r' '\\n'`",
        Unclear::TooLong(_) if !has_quotes => {
            "check that the file is whole, and its rows are small"
        }
        Unclear::Open(_) | Unclear::TooLong(_) => {
            "check that the file is whole; where quotes mean nothing, add `csv: { quote: \"\" }`"
        }
    };
    Error::data(cause.to_string()).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::StreamExt;
    use proptest::prelude::*;

    use super::*;

    const MARKS: Marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None, comment: None };

    fn read(text: &str, range: Option<(u64, u64)>, piece: usize) -> Result<Vec<String>> {
        let from = range.map_or(0, |(from, _)| from.saturating_sub(1)) as usize;
        let pieces: Vec<Result<Bytes>> = text.as_bytes()[from..]
            .chunks(piece)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let mut lines = Lines::new(futures::stream::iter(pieces).boxed(), Some(MARKS), range);
        let mut records = Vec::new();
        futures::executor::block_on(async {
            while let Some(block) = lines.next().await? {
                let text = String::from_utf8(block.bytes).unwrap();
                let found = Splitter::new(Some(MARKS)).records(text.as_bytes());
                records.extend(found.into_iter().map(|range| text[range].to_owned()));
            }
            Ok(records)
        })
    }

    proptest! {
        #[test]
        fn slices_hold_each_record_once_or_say_that_they_cannot(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\n ]{0,4}", 1..4), 0..12),
            cuts in prop::collection::btree_set(1_u64..200, 0..4),
            piece in 1_usize..20,
            ends in any::<bool>(),
        ) {
            let quoted = |value: &String| format!("\"{}\"", value.replace('"', "\"\""));
            let row = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let records: Vec<String> = rows.iter().map(row).collect();
            let mut text = records.join("\n");
            if ends && !text.is_empty() {
                text.push('\n');
            }
            let whole = read(&text, None, piece).unwrap();
            prop_assert_eq!(whole.concat(), text.clone());
            prop_assert_eq!(whole.len(), rows.len());
            let cuts = cuts.into_iter().filter(|cut| *cut < text.len() as u64);
            let bounds: Vec<u64> = [0].into_iter().chain(cuts).chain([text.len() as u64]).collect();
            let slices = bounds.windows(2).map(|pair| read(&text, Some((pair[0], pair[1])), piece));
            if let Ok(slices) = slices.collect::<Result<Vec<_>>>() {
                prop_assert_eq!(slices.concat(), whole);
            }
        }

        #[test]
        fn without_line_ends_in_values_slices_are_always_clear(
            rows in prop::collection::vec("[a-c]{0,3}(,\"[a-c, ]{0,3}\"){0,2}", 1..20),
            cut in 1_u64..60,
            piece in 1_usize..20,
        ) {
            let text = rows.join("\n") + "\n";
            let cut = cut.min(text.len() as u64);
            let slices = [(0, cut), (cut, text.len() as u64)];
            let read: Vec<String> =
                slices.into_iter().flat_map(|range| read(&text, Some(range), piece).unwrap()).collect();
            prop_assert_eq!(read.concat(), text);
        }
    }
}
