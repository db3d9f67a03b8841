use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use longshore_model::config::files::{BadRows, DeclaredType, FileFormat, Files};
use proptest::prelude::*;
use proptest::sample::select;

use super::csv::digits;
use super::{Cut, WHOLE, files, read, same_in_pieces};

/// Values that stand alone.
const LEAVES: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-12",
    "007",
    "+1",
    ".5",
    "5.",
    "1.5",
    "1.10",
    "1e3",
    "1E-2",
    "2.0",
    "0.1000000000000000055",
    "1e999",
    "9007199254740993",
    "9223372036854775808",
    "99999999999999999999999999999999999999",
    "123456789012345678901234567890123456789",
    "NaN",
    "\"NaN\"",
    "\"\"",
    "\"a\"",
    "\"é☃\"",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\n\\t\\/\\\\\\\"\"",
    "\"\\u0000\"",
    "\"\\x41\"",
    "\"\u{7f}\"",
    "\"null\"",
    "\"1\"",
    "[]",
    "{}",
    "\"\u{2028}\"",
    "\"a",
    "tru",
    "\"\\u12\"",
    "\"\t\"",
]; // fmt: skip

const KEYS: [&str; 7] =
    ["\"a\"", "\"b\"", "\"\\u0061\"", "\"\"", "\"é\"", "\"a.b\"", "\"\\ud800\""];

/// What falls into a file.
const PIECES: [&[u8]; 22] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"\0",
    b"null",
    b"1",
    b"-",
    b"{\"a\":1}",
    b"\n\n",
    b"\"a\":2,",
]; // fmt: skip

/// Values of columns that have one type.
const KINDS: [&[&str]; 9] = [
    &["0", "1", "-12", "9223372036854775807", "-9223372036854775808"],
    &["1.5", "-0", "-0.25", "1e3", "2.0", "1.10", "1E+5", "7", "0e5", "5e-324"],
    &["1", "9223372036854775808", "-99999999999999999999999999999999999999"],
    &["true", "false"],
    &["\"\"", "\"a\\u0000b\"", "\"\\ud83d\\ude00\"", "\"\\\\\"", "\"2026-11-20\"", "\" \""],
    &["[]", "[1]", "[null, 2]", "[9007199254740993]"],
    &["[[\"a\"], []]", "[null, [null, \"\\n\"]]"],
    &["{\"x\": 1}", "{\"y\": [true], \"x\": null}", "{\"x\":2 ,\"z\":{\"q\":\"\"}}"],
    &["[{\"x\": 1.5}, {}]", "[{\"w\": [\"a\"]}, null]"],
];

/// A value as it is spelled, maybe not as it should be.
fn value() -> impl Strategy<Value = String> {
    let blank = || select(vec!["", "", " ", "\t", "\r"]);
    select(LEAVES.to_vec()).prop_map(str::to_owned).prop_recursive(4, 16, 4, move |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4);
        let pairs = prop::collection::vec((select(KEYS.to_vec()), inner), 0..4);
        prop_oneof![
            (items, blank()).prop_map(|(items, blank)| format!("[{blank}{}]", items.join(","))),
            (pairs, blank()).prop_map(|(pairs, blank)| object(&pairs, blank)),
        ]
    })
}

fn object(pairs: &[(&str, String)], blank: &str) -> String {
    let pair = |(key, value): &(&str, String)| format!("{blank}{key}{blank}:{value}");
    format!("{{{}{blank}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(","))
}

/// Lines of objects that hold anything.
fn odd() -> impl Strategy<Value = Vec<u8>> {
    let row = prop::collection::vec((select(KEYS.to_vec()), value()), 0..4);
    let rows = prop::collection::vec(row.prop_map(|pairs| object(&pairs, "")), 1..5);
    rows.prop_map(|rows| rows.join("\n").into_bytes())
}

/// Lines of objects whose columns have one type each, in any order, some of them absent.
fn tidy() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::collection::vec(select(KINDS.to_vec()), 1..5);
    let rows = prop::collection::vec(prop::collection::vec(any::<(u8, u8)>(), 5), 1..6);
    (kinds, rows, any::<[bool; 3]>()).prop_map(|(kinds, rows, [crlf, last_end, mark])| {
        let line = |row: &Vec<(u8, u8)>| {
            let mut pairs: Vec<(u8, String)> = Vec::new();
            for (place, (kind, (pick, order))) in kinds.iter().zip(row).enumerate() {
                let given = kind.get(usize::from(*pick) % (kind.len() + 2));
                let absent = (order % 2 == 0).then_some(&"null");
                pairs.extend(given.or(absent).map(|v| (*order, format!("\"c{place}\": {v}"))));
            }
            pairs.sort();
            let pairs: Vec<String> = pairs.into_iter().map(|(_, pair)| pair).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        let lines: Vec<String> = rows.iter().map(line).collect();
        let end = if crlf { "\r\n" } else { "\n" };
        let mark = if mark { "\u{feff}" } else { "" };
        format!("{mark}{}{}", lines.join(end), if last_end { end } else { "" }).into_bytes()
    })
}

/// Lines into which something fell.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let fall = (any::<prop::sample::Index>(), select(PIECES.to_vec()), 0..4_usize);
    (prop_oneof![tidy(), odd()], fall).prop_map(|(mut text, (at, piece, lost))| {
        let at = at.index(text.len() + 1);
        let end = (at + lost).min(text.len());
        text.splice(at..end, piece.iter().copied());
        text
    })
}

/// A value, read a character at a time.
#[derive(Clone, Debug)]
struct Node {
    /// As it stands there.
    raw: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Null,
    Bool(bool),
    Number,
    /// Nothing for half of a surrogate pair.
    Text(Option<String>),
    List(Vec<Node>),
    Object(Vec<(Option<String>, Node)>),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn takes(&mut self, wanted: char) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n')) {
            self.at += 1;
        }
    }

    fn node(&mut self) -> Option<Node> {
        self.blanks();
        let start = self.at;
        let kind = match self.peek()? {
            '"' => Kind::Text(self.string()?),
            '[' => self.list()?,
            '{' => self.object()?,
            '-' | '0'..='9' => self.number()?,
            _ => self.word()?,
        };
        let raw = self.text[start..self.at].to_owned();
        self.blanks();
        Some(Node { raw, kind })
    }

    fn word(&mut self) -> Option<Kind> {
        let words =
            [("null", Kind::Null), ("true", Kind::Bool(true)), ("false", Kind::Bool(false))];
        let found = words.into_iter().find(|(word, _)| self.text[self.at..].starts_with(word))?;
        self.at += found.0.len();
        Some(found.1)
    }

    fn digits(&mut self) -> Option<usize> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(self.at - start)
    }

    fn number(&mut self) -> Option<Kind> {
        if self.peek() == Some('-') {
            self.at += 1;
        }
        let leads_with_zero = self.peek() == Some('0');
        if self.digits()? > 1 && leads_with_zero {
            return None;
        }
        if self.peek() == Some('.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(Kind::Number)
    }

    /// All of them, or nothing where the text is no JSON; within, nothing for half a pair.
    fn string(&mut self) -> Option<Option<String>> {
        self.takes('"')?;
        let mut units: Vec<u16> = Vec::new();
        loop {
            match self.next()? {
                '"' => return Some(String::from_utf16(&units).ok()),
                '\\' => units.push(self.escape()?),
                c if c < ' ' => return None,
                c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        Some(match self.next()? {
            c @ ('"' | '\\' | '/') => c as u16,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                self.at += 4;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hex.then(|| u16::from_str_radix(digits, 16).ok())??
            }
            _ => return None,
        })
    }

    /// Whether another one comes, behind the first.
    fn goes_on(&mut self, is_first: bool, close: char) -> Option<bool> {
        self.blanks();
        match self.peek()? {
            c if c == close => {
                self.at += 1;
                Some(false)
            }
            _ if is_first => Some(true),
            ',' => {
                self.at += 1;
                self.blanks();
                (self.peek()? != close).then_some(true)
            }
            _ => None,
        }
    }

    fn list(&mut self) -> Option<Kind> {
        self.takes('[')?;
        let mut items = Vec::new();
        while self.goes_on(items.is_empty(), ']')? {
            items.push(self.node()?);
        }
        Some(Kind::List(items))
    }

    fn object(&mut self) -> Option<Kind> {
        self.takes('{')?;
        let mut pairs = Vec::new();
        while self.goes_on(pairs.is_empty(), '}')? {
            let key = self.string()?;
            self.blanks();
            self.takes(':')?;
            pairs.push((key, self.node()?));
        }
        Some(Kind::Object(pairs))
    }
}

fn parsed(line: &str) -> Option<Node> {
    let mut reader = Reader { text: line, at: 0 };
    let node = reader.node()?;
    (reader.at == line.len()).then_some(node)
}

/// Whether no key in it comes twice, and all texts are some.
fn is_clear(node: &Node) -> bool {
    match &node.kind {
        Kind::Text(text) => text.is_some(),
        Kind::List(items) => items.iter().all(is_clear),
        Kind::Object(pairs) => {
            keys_are_clear(pairs) && pairs.iter().all(|(_, value)| is_clear(value))
        }
        _ => true,
    }
}

fn keys_are_clear(pairs: &[(Option<String>, Node)]) -> bool {
    let comes_once =
        |key: &Option<String>| pairs.iter().filter(|(other, _)| other == key).count() == 1;
    pairs.iter().all(|(key, _)| key.is_some() && comes_once(key))
}

/// Whether a row of a text ends with its line, and not with its value.
fn is_in_lines(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let text = text.trim_start_matches('\u{feff}').trim_start_matches(BLANKS);
    if let Some(behind) = text.strip_prefix('[') {
        let behind = behind.trim_start_matches(BLANKS);
        let mut reader = Reader { text: behind, at: 0 };
        let goes_on = reader.node().is_some() && behind[reader.at..].starts_with([',', ']']);
        return !(behind.is_empty() || behind.starts_with(['{', ']']) || goes_on);
    }
    let Some(first) = (Reader { text, at: 0 }).node() else { return true };
    if !text.starts_with('{') {
        return true;
    }
    let behind = text[first.raw.len()..].trim_start_matches([' ', '\t', '\r']);
    let ends = behind.is_empty() || behind.starts_with('\n');
    !(behind.starts_with('{') || ends && first.raw.contains('\n'))
}

const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// The rows of a text by its lines; nothing for a line that is no row.
fn rows(files: &Files, text: &[u8]) -> Vec<(Vec<u8>, Option<Node>)> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')));
    lines.map(|line| (line.to_vec(), row(files, line))).collect()
}

fn row(files: &Files, line: &[u8]) -> Option<Node> {
    let node = parsed(std::str::from_utf8(line).ok()?)?;
    let Kind::Object(pairs) = &node.kind else { return None };
    let is_taken = |(key, value): &(Option<String>, Node)| {
        let takes_all = key.as_ref().is_some_and(|key| files.columns.contains_key(key));
        let is_text = matches!(value.kind, Kind::Text(_));
        is_clear(value) || (takes_all && !is_text)
    };
    (keys_are_clear(pairs) && pairs.iter().all(is_taken)).then_some(node)
}

/// Whether a column holds exactly what stands in a file; `takes_all` if it is declared a text.
fn holds(array: &ArrayRef, row: usize, node: Option<&Node>, takes_all: bool) -> bool {
    let Some(node) = node.filter(|node| !matches!(node.kind, Kind::Null)) else {
        return array.is_null(row);
    };
    let is_text = |text: &str| array.as_string::<i32>().value(row) == text;
    array.is_valid(row)
        && match (array.data_type(), &node.kind) {
            (DataType::Utf8, Kind::Text(Some(text))) => is_text(text),
            (DataType::Utf8, _) => takes_all && is_text(&node.raw),
            (DataType::Boolean, Kind::Bool(value)) => array.as_boolean().value(row) == *value,
            (DataType::Int64, Kind::Number) => {
                array.as_primitive::<Int64Type>().value(row).to_string() == node.raw
            }
            (DataType::Decimal128(38, 0), Kind::Number) => {
                array.as_primitive::<Decimal128Type>().value(row).to_string() == node.raw
            }
            (DataType::Float64, Kind::Number) => {
                let value = array.as_primitive::<Float64Type>().value(row);
                digits(&format!("{value:e}")) == digits(&node.raw)
            }
            (DataType::List(_), Kind::List(items)) => {
                let list = array.as_list::<i32>().value(row);
                let is_same = |(at, item)| holds(&list, at, Some(item), takes_all);
                list.len() == items.len() && items.iter().enumerate().all(is_same)
            }
            (DataType::Struct(fields), Kind::Object(pairs)) => {
                let columns = array.as_struct().columns();
                let names = fields.iter().map(|field| field.name().as_str());
                names
                    .zip(columns)
                    .all(|(name, column)| holds(column, row, find(pairs, name), false))
                    && are_among(pairs, fields.iter().map(|field| field.name().as_str()))
            }
            _ => false,
        }
}

fn find<'a>(pairs: &'a [(Option<String>, Node)], name: &str) -> Option<&'a Node> {
    pairs.iter().find(|(key, _)| key.as_deref() == Some(name)).map(|(_, value)| value)
}

/// No key is left out.
fn are_among<'a>(
    pairs: &[(Option<String>, Node)],
    names: impl Iterator<Item = &'a str> + Clone,
) -> bool {
    pairs.iter().all(|(key, _)| names.clone().any(|name| Some(name) == key.as_deref()))
}

fn json(bad_rows: BadRows, declares: bool) -> Files {
    let mut files = Files { bad_rows, ..files(FileFormat::Json) };
    if declares {
        let text = DeclaredType { data_type: DataType::Utf8, lenient: false };
        files.columns.insert("a".into(), text);
    }
    files
}

/// Read as it stands there, or refused where it must be.
fn check(files: &Files, text: &[u8]) -> Result<bool, TestCaseError> {
    let rows = rows(files, text);
    let good: Vec<&Node> = rows.iter().filter_map(|(_, row)| row.as_ref()).collect();
    let Ok(table) = read(files, "t.json", text, WHOLE) else { return Ok(false) };
    let batch = table.batch();
    let is_refused = files.bad_rows == BadRows::Fail && good.len() < rows.len();
    prop_assert!(!is_refused, "must be refused: {:?}", batch);
    prop_assert_eq!(batch.num_rows(), good.len(), "{:?}", batch);
    for (number, row) in good.into_iter().enumerate() {
        let Kind::Object(pairs) = &row.kind else { panic!("a row is an object") };
        let names = table.schema.fields().iter().map(|field| field.name().as_str());
        prop_assert!(are_among(pairs, names.clone()), "a key is lost: {:?}", row);
        for (name, column) in names.zip(batch.columns()) {
            let takes_all = files.columns.contains_key(name);
            let is_same = holds(column, number, find(pairs, name), takes_all);
            prop_assert!(is_same, "`{}` is {:?} in {:?}", name, column, row.raw);
        }
    }
    Ok(true)
}

proptest! {
    #[test]
    fn the_plain_reader_takes_what_is_json(value in value()) {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok();
        prop_assert_eq!(parsed(&value).is_some(), is_json);
    }

    #[test]
    fn tidy_lines_are_read(text in tidy()) {
        // Without any key there is no column.
        prop_assume!(text.contains(&b'c'));
        let files = json(BadRows::Fail, false);
        prop_assert!(check(&files, &text)?, "{:?}", read(&files, "t.json", &text, WHOLE).err());
    }

    #[test]
    fn whatever_is_in_lines_is_read_as_it_stands_there_or_refused(
        text in prop_oneof![odd(), spoilt()], skips in any::<bool>(), declares in any::<bool>(),
    ) {
        prop_assume!(is_in_lines(&text));
        let bad_rows = if skips { BadRows::Skip } else { BadRows::Fail };
        check(&json(bad_rows, declares), &text)?;
    }

    #[test]
    fn a_small_sample_changes_no_value(
        text in prop_oneof![tidy(), spoilt()], declares in any::<bool>(),
    ) {
        prop_assume!(is_in_lines(&text));
        let files = Files { sample_rows: 1, ..json(BadRows::Fail, declares) };
        check(&files, &text)?;
    }

    #[test]
    fn bad_lines_that_are_left_out_change_nothing(text in spoilt()) {
        prop_assume!(is_in_lines(&text));
        let files = json(BadRows::Skip, false);
        let good = rows(&files, &text).into_iter().filter(|(_, row)| row.is_some());
        let good: Vec<Vec<u8>> = good.map(|(line, _)| line).collect();
        if !good.is_empty() && let Ok(table) = read(&files, "t.json", &good.join(&b'\n'), WHOLE) {
            let all = read(&files, "t.json", &text, WHOLE);
            let all = all.map_err(|error| TestCaseError::fail(format!("refused: {error}")))?;
            prop_assert_eq!(all.batch(), table.batch());
        }
    }

    #[test]
    fn rows_are_the_same_in_lines_and_in_other_layouts(
        text in tidy(), is_array in any::<bool>(), blank in select(vec!["", " ", "\n", "\r\n\t"]),
        sample_rows in 1..4_usize, chunk in 1..60_u64, piece in 1..12_usize,
    ) {
        prop_assume!(text.contains(&b'c'));
        let files = Files { sample_rows, ..json(BadRows::Fail, false) };
        let lines = String::from_utf8_lossy(&text);
        let lines = lines.trim_start_matches('\u{feff}').lines();
        let rows = lines.map(|line| {
            let Some(Node { kind: Kind::Object(pairs), .. }) = parsed(line) else { return line.into() };
            let pair = |(key, value): &(Option<String>, Node)| {
                format!("{:?}{blank}: {}", key.as_deref().unwrap_or_default(), value.raw)
            };
            format!("{{{blank}{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(","))
        });
        let rows: Vec<String> = rows.collect();
        let laid_out = if is_array { format!("[{blank}{}{blank}]", rows.join(",")) } else { rows.join(blank) };
        let is_read = read(&files, "t.json", &text, WHOLE).map(|table| table.batch()).ok();
        let other = read(&files, "t.json", laid_out.as_bytes(), Cut { chunk, piece });
        prop_assert_eq!(other.map(|table| table.batch()).ok(), is_read, "{}", laid_out);
    }

    #[test]
    fn rows_are_the_same_however_lines_are_cut(
        text in prop_oneof![tidy(), odd(), spoilt()],
        skips in any::<bool>(), chunk in 1..60_u64, piece in 1..12_usize,
    ) {
        let files = json(if skips { BadRows::Skip } else { BadRows::Fail }, false);
        let cut = Cut { chunk, piece };
        same_in_pieces(&files, "t.json", &text, cut, false).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_lies_very_deep_is_refused_or_kept_as_it_stands() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}"), ("[{\"k\":", "}]")] {
        let value = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let line = format!("{{\"a\":{value}}}");
        assert!(read(&json(BadRows::Fail, false), "t.json", line.as_bytes(), WHOLE).is_err());
        let table = read(&json(BadRows::Fail, true), "t.json", line.as_bytes(), WHOLE).unwrap();
        assert_eq!(table.batch().column(0).as_string::<i32>().value(0), value);
    }
}
