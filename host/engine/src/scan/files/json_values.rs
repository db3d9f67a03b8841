//! JSON that is not an object a line: arrays of objects, and objects that go over several lines or stand one
//! behind the other. They are made into lines, a value to each, and read as those.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use longshore_model::error::{Error, Result};
use memchr::{memchr, memchr3};
use serde::de::IgnoredAny;

use super::bytes::Pieces;
use super::lines::{RECORD_LIMIT_BYTES, UTF8_MARK};

/// How the rows of a file lie in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Layout {
    /// A row ends with its line.
    #[default]
    Lines,
    /// A row ends with its value.
    Values,
}

impl Layout {
    /// Tells it by how a file begins; nothing, where more of the file decides.
    fn of(begin: &[u8], is_all: bool) -> Option<Self> {
        if !is_all && begin.len() < UTF8_MARK.len() && UTF8_MARK.starts_with(begin) {
            return None;
        }
        let text = without_blanks(begin.strip_prefix(UTF8_MARK).unwrap_or(begin));
        match text.first() {
            None => is_all.then_some(Self::Lines),
            Some(b'[') => Self::of_array(without_blanks(&text[1..]), is_all),
            Some(b'{') => Self::of_objects(text, is_all),
            Some(_) => Some(Self::Lines),
        }
    }

    /// By what an array begins with: lines may begin with `[`, too.
    fn of_array(text: &[u8], is_all: bool) -> Option<Self> {
        let end = match text.first() {
            None => return is_all.then_some(Self::Values),
            Some(b'{' | b']') => return Some(Self::Values),
            Some(b'[' | b'"') => first_end(text),
            Some(_) => Ok(text.iter().position(|byte| ends_word(*byte))),
        };
        let end = match end {
            Ok(Some(end)) => end,
            Ok(None) if !is_all && text.len() < RECORD_LIMIT_BYTES => return None,
            _ => return Some(Self::Lines),
        };
        let (value, behind) = text.split_at(end);
        match without_blanks(behind).first() {
            None if !is_all => None,
            Some(b',' | b']') if is_json(value) => Some(Self::Values),
            _ => Some(Self::Lines),
        }
    }

    /// By the first object, and what stands behind it.
    fn of_objects(text: &[u8], is_all: bool) -> Option<Self> {
        let end = match first_end(text) {
            Ok(Some(end)) => end,
            Ok(None) if !is_all && text.len() < RECORD_LIMIT_BYTES => return None,
            // A line that is cut off must not take those behind it with it.
            Ok(None) if !is_all && !has_second_object(text) => return Some(Self::Values),
            _ => return Some(Self::Lines),
        };
        let (object, behind) = text.split_at(end);
        let goes_on = match behind.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) {
            None if !is_all => return None,
            None | Some(b'\n') => memchr(b'\n', object).is_some(),
            Some(next) => *next == b'{',
        };
        Some(if goes_on && is_json(object) { Self::Values } else { Self::Lines })
    }

    /// What rows are counted by, in errors.
    pub(super) fn row_word(self) -> &'static str {
        match self {
            Self::Lines => "line",
            Self::Values => "object",
        }
    }
}

/// A whole file as lines, and how its rows lie in it.
pub(super) async fn lines_of(mut pieces: Pieces) -> Result<(Layout, Pieces)> {
    let (mut begin, mut looked_at_bytes) = (Vec::new(), 0);
    let layout = loop {
        let piece = pieces.try_next().await?;
        let is_all = piece.is_none();
        begin.extend_from_slice(&piece.unwrap_or_default());
        // Each look begins anew: at twice as many bytes, that costs no more than one look at all of them.
        if is_all || begin.len() >= 2 * looked_at_bytes {
            looked_at_bytes = begin.len();
            if let Some(layout) = Layout::of(&begin, is_all) {
                break layout;
            }
        }
    };
    let begin = Bytes::from(begin);
    let lines = match layout {
        Layout::Lines => futures::stream::iter([Ok(begin)]).chain(pieces).boxed(),
        Layout::Values => {
            let begin =
                begin.strip_prefix(UTF8_MARK).map_or(begin.clone(), |rest| begin.slice_ref(rest));
            made_into_lines(futures::stream::iter([Ok(begin)]).chain(pieces).boxed())
        }
    };
    Ok((layout, lines))
}

fn made_into_lines(pieces: Pieces) -> Pieces {
    let next = |(mut pieces, mut values): (Pieces, Values)| async move {
        let Some(piece) = pieces.try_next().await? else {
            let rest = values.finish().map_err(|fault| values.error(&fault))?;
            return Ok(rest.map(|rest| (rest, (pieces, values))));
        };
        let lines = values.lines(&piece).map_err(|fault| values.error(&fault))?;
        Ok::<_, Error>(Some((Bytes::from(lines), (pieces, values))))
    };
    futures::stream::try_unfold((pieces, Values::default()), next).boxed()
}

/// Why a text is no sequence of values, wherever rows may be left out.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Fault {
    #[error("`{0}` stands where an object should begin")]
    Stray(char),
    #[error("a `,` or a `]` is missing")]
    NoSeparator,
    #[error("a `,` has nothing behind it")]
    TrailingComma,
    #[error("a `{0}` stands where a `{1}` should")]
    Crossed(char, char),
    #[error("the file ends within a value")]
    OpenValue,
    #[error("the array does not end")]
    OpenArray,
}

/// Where a text is between values, or in one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum At {
    /// A value or an array of them may begin, or the text end.
    #[default]
    Top,
    /// An array of rows has begun.
    Begun,
    /// Behind a row of an array.
    Behind,
    /// Behind the comma between two rows.
    Comma,
    /// In a row that is an object, an array or a text.
    Within,
    /// In one that is a number or a word.
    Word,
}

/// Makes lines of values.
#[derive(Default)]
struct Values {
    at: At,
    in_array: bool,
    nesting: Nesting,
    /// Line ends so far.
    line_ends: u64,
}

impl Values {
    /// The lines that a piece of the text makes: a value ends with its line, and holds no line end.
    fn lines(&mut self, mut text: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut lines = Vec::with_capacity(text.len() + text.len() / 16 + 1);
        while let Some(byte) = text.first().copied() {
            let length = match self.at {
                At::Within => self.within(text, &mut lines)?,
                At::Word if !ends_word(byte) => {
                    lines.push(byte);
                    1
                }
                At::Word => {
                    self.end_value(&mut lines);
                    0
                }
                _ => self.between(byte, &mut lines)?,
            };
            text = &text[length..];
        }
        Ok(lines)
    }

    /// Moves over bytes of a row: how many.
    fn within(&mut self, text: &[u8], lines: &mut Vec<u8>) -> Result<usize, Fault> {
        let plain = self.nesting.plain_bytes(text);
        if plain > 0 {
            lines.extend_from_slice(&text[..plain]);
            return Ok(plain);
        }
        self.take(text[0], lines)?;
        Ok(1)
    }

    /// Moves over a byte between rows: over how many, as one that begins a word is looked at again.
    fn between(&mut self, byte: u8, lines: &mut Vec<u8>) -> Result<usize, Fault> {
        if is_blank(byte) {
            self.line_ends += u64::from(byte == b'\n');
            return Ok(1);
        }
        self.at = match (self.at, byte) {
            (At::Top, b'[') => {
                self.in_array = true;
                At::Begun
            }
            (At::Begun | At::Behind, b']') => {
                self.in_array = false;
                At::Top
            }
            (At::Behind, b',') => At::Comma,
            (At::Behind, _) => return Err(Fault::NoSeparator),
            (At::Comma, b']') => return Err(Fault::TrailingComma),
            (_, b',' | b':' | b'}' | b']') => return Err(Fault::Stray(byte.into())),
            (_, b'{' | b'[' | b'"') => {
                self.take(byte, lines)?;
                return Ok(1);
            }
            _ => {
                self.at = At::Word;
                return Ok(0);
            }
        };
        Ok(1)
    }

    /// Takes a byte of an object, an array or a text.
    fn take(&mut self, byte: u8, lines: &mut Vec<u8>) -> Result<(), Fault> {
        self.at = At::Within;
        self.line_ends += u64::from(byte == b'\n');
        lines.push(match byte {
            // Within a text it stays a character that is not allowed there.
            b'\n' if self.nesting.in_text => b'\r',
            b'\n' => b' ',
            byte => byte,
        });
        if self.nesting.step(byte)? {
            self.end_value(lines);
        }
        Ok(())
    }

    fn end_value(&mut self, lines: &mut Vec<u8>) {
        lines.push(b'\n');
        self.at = if self.in_array { At::Behind } else { At::Top };
    }

    /// The last line's end, if it is missing.
    fn finish(&mut self) -> Result<Option<Bytes>, Fault> {
        let mut lines = Vec::new();
        if self.at == At::Word {
            self.end_value(&mut lines);
        }
        match self.at {
            At::Within => Err(Fault::OpenValue),
            _ if self.in_array => Err(Fault::OpenArray),
            _ => Ok((!lines.is_empty()).then(|| lines.into())),
        }
    }

    fn error(&self, fault: &Fault) -> Error {
        let hint = match fault {
            Fault::OpenValue | Fault::OpenArray => "check that the file is whole",
            _ => "correct the file there",
        };
        Error::data(format!("line {}: {fault}", self.line_ends + 1)).with_hint(hint)
    }
}

/// The brackets and quotes that are open.
#[derive(Debug, Default)]
struct Nesting {
    /// What closes each.
    closers: Vec<u8>,
    in_text: bool,
    is_escaped: bool,
}

impl Nesting {
    /// How many of the next bytes change nothing, and are no line ends.
    fn plain_bytes(&self, text: &[u8]) -> usize {
        if self.is_escaped {
            return 0;
        }
        let next = if self.in_text {
            memchr3(b'"', b'\\', b'\n', text)
        } else {
            let is_mark = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b'\n');
            text.iter().position(is_mark)
        };
        next.unwrap_or(text.len())
    }

    /// Moves over a byte; whether nothing is open behind it.
    fn step(&mut self, byte: u8) -> Result<bool, Fault> {
        if self.in_text {
            let ends = byte == b'"' && !self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            self.in_text = !ends;
            return Ok(ends && self.closers.is_empty());
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' => self.closers.push(b'}'),
            b'[' => self.closers.push(b']'),
            b'}' | b']' => {
                let closer = self.closers.pop().unwrap_or(byte);
                if closer != byte {
                    return Err(Fault::Crossed(byte.into(), closer.into()));
                }
                return Ok(self.closers.is_empty());
            }
            _ => {}
        }
        Ok(false)
    }
}

/// Where the value ends that a text begins with.
fn first_end(text: &[u8]) -> Result<Option<usize>, Fault> {
    let (mut nesting, mut at) = (Nesting::default(), 0);
    while at < text.len() {
        at += nesting.plain_bytes(&text[at..]);
        let Some(byte) = text.get(at) else { break };
        at += 1;
        if nesting.step(*byte)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn is_json(value: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(value).is_ok()
}

/// Whether the second line is an object.
fn has_second_object(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    without_blanks(line).first() == Some(&b'{') && is_json(line)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn ends_word(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b',' | b']' | b'[' | b'{' | b'}' | b'"')
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let begin = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    &text[begin..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn lines(text: &[u8], piece: usize) -> Result<(Layout, String)> {
        let pieces: Vec<Result<Bytes>> =
            text.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        futures::executor::block_on(async {
            let (layout, lines) = lines_of(futures::stream::iter(pieces).boxed()).await?;
            let lines: Vec<Bytes> = lines.try_collect().await?;
            Ok((layout, String::from_utf8_lossy(&lines.concat()).into_owned()))
        })
    }

    #[test]
    fn a_value_ends_with_its_line() {
        for (text, made) in [
            ("[{\"a\":1},{\"a\":2}]", "{\"a\":1}\n{\"a\":2}\n"),
            ("\u{feff} [\n {\"a\":\n1}\n,\n2 , \"x\",[3]\n]\n", "{\"a\": 1}\n2\n\"x\"\n[3]\n"),
            ("[]", ""),
            ("[]\n[{}]\n{}", "{}\n{}\n"),
            ("{\n}\n{}\n", "{ }\n{}\n"),
            ("{\"a\":\"}\\\"{\"}{\"b\":[]} {}", "{\"a\":\"}\\\"{\"}\n{\"b\":[]}\n{}\n"),
            ("[{\"a\":\"x\ny\"},tru]", "{\"a\":\"x\ry\"}\ntru\n"),
            ("[null , {}]", "null\n{}\n"),
            ("[[{}],{}]", "[{}]\n{}\n"),
            ("[\n1\n]", "1\n"),
            ("[\"a,\",2]", "\"a,\"\n2\n"),
        ] {
            for piece in 1..6 {
                assert_eq!(lines(text.as_bytes(), piece).unwrap(), (Layout::Values, made.into()));
            }
        }
    }

    #[test]
    fn lines_stay_as_they_are() {
        for text in [
            "",
            "\n",
            "{\"a\":1}\n{\"a\":2}",
            "\u{feff}{}\n",
            " {} \r\n{",
            "{\"a\":\n{}\n{}\n",
            "{\"a\":1},\n{}",
            "[INFO] x\n{}",
            "[2026-11-20 10:00] x",
            "[\"a\" b]",
            "[[1]x]",
            "7",
            "{}]",
            "{]",
            "\u{feff}",
            "{\n\"a\"}\n",
            "{\"a\": [1, 2}\n{}\n",
        ] {
            for piece in 1..4 {
                assert_eq!(lines(text.as_bytes(), piece).unwrap(), (Layout::Lines, text.into()));
            }
        }
    }

    #[test]
    fn what_is_between_rows_is_never_passed_over() {
        for (text, said) in [
            ("[{}\n{}]", "line 2: a `,` or a `]` is missing"),
            ("[{},\n\n]", "line 3: a `,` has nothing behind it"),
            ("[{},,{}]", "line 1: `,` stands where an object should begin"),
            ("[{}]]", "line 1: `]` stands where an object should begin"),
            ("[{\"a\":[1}]", "line 1: a `}` stands where a `]` should"),
            ("[{},\n{\"a\":\"]", "line 2: the file ends within a value"),
            ("[{}\n", "line 2: the array does not end"),
            ("[", "line 1: the array does not end"),
            ("[{},1", "line 1: the array does not end"),
            ("{}{", "line 1: the file ends within a value"),
        ] {
            for piece in 1..4 {
                assert_eq!(lines(text.as_bytes(), piece).unwrap_err().to_string(), said, "{text}");
            }
        }
    }

    fn values() -> impl Strategy<Value = Vec<Value>> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\{}\\[\\],:\n é]{0,8}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a\"{]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        let row = prop::collection::btree_map("[a-c]", value, 0..3);
        prop::collection::vec(row.prop_map(|map| Value::Object(map.into_iter().collect())), 1..5)
    }

    proptest! {
        #[test]
        fn rows_are_the_same_however_they_are_laid_out(
            rows in values(), is_pretty in any::<bool>(), is_array in any::<bool>(), piece in 1_usize..40,
        ) {
            let all = Value::from(rows.clone());
            let text = |value: &Value| if is_pretty { format!("{value:#}") } else { value.to_string() };
            let text = if is_array { text(&all) } else { rows.iter().map(text).collect::<String>() };
            let (_, lines) = lines(text.as_bytes(), piece).unwrap();
            let read: Vec<Value> =
                lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
