//! A text that seems to be of one column because its values stand between other delimiters.

use super::decode::utf8;
use super::lines::Marks;
use super::records::Records;

/// What values stand between, if not commas.
const DELIMITERS: [u8; 4] = [b';', b'\t', b'|', b','];

/// How many records are looked at.
const SAMPLE_RECORDS: usize = 100;

/// What people should know of a text that is read as one column: its first records, two or more, all have the same
/// number of values with another delimiter.
pub(super) fn doubt(marks: Marks, text: &[u8]) -> Option<String> {
    let text = utf8(text)?;
    let others = DELIMITERS.into_iter().filter(|delimiter| *delimiter != marks.delimiter);
    let mut doubts = others.filter_map(|delimiter| {
        let values = values_of_each(Marks { delimiter, ..marks }, text)?;
        Some(told(marks.delimiter, delimiter, values))
    });
    doubts.next()
}

/// The number of values that all records have, if they are several records of several values.
fn values_of_each(marks: Marks, text: &str) -> Option<usize> {
    let (mut records, mut counts) = (Records::new(marks, text), Vec::new());
    while counts.len() < SAMPLE_RECORDS && records.skip_to_record(false).is_some() {
        let mut count = 0;
        while records.next_value().ok()?.is_some() {
            count += 1;
        }
        counts.push(count);
    }
    let first = *counts.first()?;
    let are_same = counts.len() > 1 && counts.iter().all(|count| *count == first);
    (are_same && first > 1).then_some(first)
}

fn told(own: u8, other: u8, values: usize) -> String {
    let shown = |byte: u8| format!("{:?}", char::from(byte)).replace('\'', "\"");
    let (own, other) = (shown(own), shown(other));
    format!(
        "it is read as one column, and with the delimiter {other} it has {values}: set `csv.delimiter` of the \
         source to {other}, or to {own}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<String> {
        let marks = Marks { delimiter: b',', quote: Some(b'"'), escape: None, comment: None };
        doubt(marks, text.as_bytes())
    }

    #[test]
    fn one_column_is_told_from_several_with_another_delimiter() {
        for (text, values) in [
            ("a;b\n1;2\n", ";"),
            ("a\tb\tc\n\n1\t2\t\"x\ty\"", "\\t"),
            ("a|b\r\n1|2\r\n3|4\r\n", "|"),
        ] {
            assert!(said(text).unwrap().contains(values), "{text}");
        }
    }

    #[test]
    fn texts_that_hold_other_delimiters_are_one_column() {
        for text in ["a\n1;2\n", "a;b\n", "a;b\nx\n", "\"a;b\"\n\"1;2\"\n", "a;b\n1;2\n1;2;3\n", ""]
        {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
