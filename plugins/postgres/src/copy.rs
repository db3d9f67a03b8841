//! The COPY stream: messages, rows, fields.
//!
//! The bytes that the host hands over stay where they are. A block of rows is passed over twice: the
//! first pass notes where each field lies, the second (in `decode`) decodes column by column. A
//! message that a stretch cuts off is completed in a buffer of its own.

use std::sync::Arc;

use longshore_sdk::array::RecordBatch;
use longshore_sdk::schema::{Schema, SchemaRef};
use longshore_sdk::{Reader, Result};

use crate::column::Column;
use crate::decode::ColumnBuilder;
use crate::field::Field;
use crate::session::CopyStream;
use longshore_postgres_client::fault;

/// What is asked of the host at a time.
const READ_BYTES: u32 = 1 << 20;

/// A batch is complete when this much of the stream went into it.
const BATCH_BYTES: usize = 1 << 20;

/// A batch is complete at so many rows.
const BATCH_ROWS: usize = 65_536;

/// So many rows are noted, then decoded, at a time: their bytes are still in the cache.
const BLOCK_ROWS: usize = 256;

/// From one column's notes to the next one's; not a power of two, which caches dislike.
const BLOCK_STRIDE: usize = BLOCK_ROWS + 8;

/// More than a cut row needs: then its place in memory is large enough for the batch that is made of it.
const CARRY_MARGIN_BYTES: usize = 64 << 10;

/// A message's type and length.
const HEADER_BYTES: usize = 5;

/// `PGCOPY\n\377\r\n\0`, flags, length of an extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const FILE_HEADER_BYTES: usize = SIGNATURE.len() + 8;

/// Reads one COPY to its end.
pub(crate) struct CopyReader {
    stream: CopyStream,
    schema: SchemaRef,
    parser: Parser,
    /// The transaction is over.
    ended: bool,
}

impl CopyReader {
    pub(crate) fn new(stream: CopyStream, columns: Vec<Column>, row_limit_bytes: usize) -> Self {
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        Self { stream, schema, parser: Parser::new(&columns, row_limit_bytes), ended: false }
    }
}

impl Reader for CopyReader {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.parser.done && !self.parser.batch_is_full() {
            let bytes = self.stream.read(READ_BYTES)?;
            self.parser.push(&bytes)?;
        }
        match self.parser.rows {
            0 if self.ended => Ok(None),
            0 => {
                self.ended = true;
                self.stream.end().map(|()| None)
            }
            _ => self.parser.finish_batch(self.schema.clone()).map(Some),
        }
    }
}

/// Takes the stream's bytes in stretches of any size.
pub(crate) struct Parser {
    builders: Vec<ColumnBuilder>,
    /// The fields of the block at hand, column by column.
    fields: Vec<Field>,
    /// Rows of the block at hand.
    noted: usize,
    /// The beginning of a message that the last stretch cut off.
    carry: Vec<u8>,
    row_limit_bytes: usize,
    header_seen: bool,
    pub(crate) rows: usize,
    bytes: usize,
    failed: Option<longshore_sdk::Error>,
    /// The server is ready for the next query.
    pub(crate) done: bool,
}

impl Parser {
    pub(crate) fn new(columns: &[Column], row_limit_bytes: usize) -> Self {
        Self {
            builders: columns.iter().map(ColumnBuilder::new).collect(),
            fields: vec![Field::default(); columns.len() * BLOCK_STRIDE],
            noted: 0,
            carry: Vec::new(),
            row_limit_bytes,
            header_seen: false,
            rows: 0,
            bytes: 0,
            failed: None,
            done: false,
        }
    }

    fn batch_is_full(&self) -> bool {
        self.rows > 0 && (self.bytes >= BATCH_BYTES || self.rows >= BATCH_ROWS)
    }

    pub(crate) fn finish_batch(&mut self, schema: SchemaRef) -> Result<RecordBatch> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let arrays =
            self.builders.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = longshore_sdk::array::RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }

    /// Takes the next stretch of the stream.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len();
        if !self.carry.is_empty() {
            bytes = self.complete_carry(bytes)?;
        }
        let taken = self.parse(bytes)?;
        self.carry.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    /// Completes the message that was cut off, parses it, and gives what comes after it.
    fn complete_carry<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        let mut carry = std::mem::take(&mut self.carry);
        let mut used = 0;
        // First the header, which tells how much is missing.
        for wanted in [HEADER_BYTES, 0] {
            let wanted = if wanted == 0 { message_length(&carry)? } else { wanted };
            if carry.len() > self.row_limit_bytes && wanted > carry.len() {
                return Err(self.too_large(&carry, wanted));
            }
            let missing = wanted.saturating_sub(carry.len()).min(bytes.len() - used);
            // Once, and not twice as much: it may be large.
            let room = wanted.min(self.row_limit_bytes) + CARRY_MARGIN_BYTES;
            carry.reserve_exact(room.saturating_sub(carry.len()));
            carry.extend_from_slice(&bytes[used..used + missing]);
            used += missing;
            if carry.len() < wanted {
                self.carry = carry;
                return Ok(&bytes[used..]);
            }
        }
        self.parse(&carry)?;
        Ok(&bytes[used..])
    }

    /// A row is larger than may be. What is known of it are the lengths of fields up to the limit.
    fn too_large(&self, begun: &[u8], length: usize) -> longshore_sdk::Error {
        let file_header = if self.header_seen { 0 } else { FILE_HEADER_BYTES };
        let mut at = HEADER_BYTES + file_header + size_of::<i16>();
        let (mut column, mut most) = ("", 0);
        for builder in &self.builders {
            let Some(length) = read_u32(begun, at) else { break };
            let length = (length as i32).max(0) as usize;
            if length > most {
                (column, most) = (builder.name(), length);
            }
            at += size_of::<u32>() + length;
        }
        let [most, length, limit] = [most, length, self.row_limit_bytes].map(|bytes| bytes >> 20);
        longshore_sdk::Error::data(format!(
            "column `{column}`: a value of {most} MiB, in a row of {length} MiB: a row may hold {limit} MiB"
        ))
        .with_hint(
            "raise `source.row_mib`, and the operator's `memory_mib` and `call_mib` with it; or leave the column \
             out, or cut its values up in a query",
        )
    }

    /// Parses the whole messages at the beginning of a stretch; gives how many bytes they take.
    fn parse(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut at = 0;
        while bytes.len() - at >= HEADER_BYTES {
            let length = message_length(&bytes[at..])?;
            if bytes.len() - at < length {
                break;
            }
            let body = at + HEADER_BYTES..at + length;
            match bytes[at] {
                b'd' => self.note_rows(bytes, body.start, body.end)?,
                b'E' => self.failed = Some(server_error(&bytes[at..at + length])?),
                // The end of the data, of the command; notices and parameters.
                b'c' | b'C' | b'N' | b'S' => {}
                b'Z' => {
                    self.done = true;
                    at += length;
                    break;
                }
                other => {
                    return Err(fault::protocol(format!("message `{}` in a COPY", other as char)));
                }
            }
            at += length;
        }
        self.decode(bytes)?;
        match self.failed.take() {
            Some(error) if self.done => Err(error),
            failed => {
                self.failed = failed;
                Ok(at)
            }
        }
    }

    /// Notes where the fields of a message's rows lie.
    #[inline(never)]
    fn note_rows(&mut self, bytes: &[u8], mut at: usize, end: usize) -> Result<()> {
        let cut = || fault::protocol("a row that ends before its fields do");
        if !self.header_seen {
            let header =
                bytes.get(at..at + FILE_HEADER_BYTES).filter(|_| at + FILE_HEADER_BYTES <= end);
            let header = header.filter(|header| header.starts_with(SIGNATURE));
            let header = header.ok_or_else(|| fault::protocol("COPY data without its header"))?;
            let extension = read_u32(header, FILE_HEADER_BYTES - 4).unwrap_or(0) as usize;
            at += FILE_HEADER_BYTES + extension;
            self.header_seen = true;
        }
        while at < end {
            let count = bytes.get(at..at + 2).ok_or_else(cut)?;
            let count = i16::from_be_bytes([count[0], count[1]]);
            at += 2;
            if count == -1 {
                return Ok(());
            }
            let columns = self.builders.len();
            if usize::try_from(count) != Ok(columns) {
                return Err(fault::protocol(format!("a row of {count} fields, not {columns}")));
            }
            // A relation may have no columns at all.
            let noted = self.noted.min(self.fields.len());
            for field in self.fields[noted..].iter_mut().step_by(BLOCK_STRIDE) {
                let length = read_u32(bytes, at).ok_or_else(cut)? as i32;
                at += 4;
                *field = Field { at: at as u32, length };
                at += length.max(0) as usize;
            }
            if at > end {
                return Err(cut());
            }
            self.rows += 1;
            self.noted += 1;
            if self.noted == BLOCK_ROWS {
                self.decode(bytes)?;
            }
        }
        Ok(())
    }

    /// Decodes the noted block, one column after the other.
    fn decode(&mut self, bytes: &[u8]) -> Result<()> {
        let noted = std::mem::take(&mut self.noted);
        for (builder, fields) in self.builders.iter_mut().zip(self.fields.chunks(BLOCK_STRIDE)) {
            builder.append(bytes, &fields[..noted])?;
        }
        Ok(())
    }
}

fn message_length(header: &[u8]) -> Result<usize> {
    // The length counts itself, but not the type before it.
    let length =
        read_u32(header, 1).ok_or_else(|| fault::protocol("a message without a length"))?;
    if (4..=i32::MAX as u32).contains(&length) {
        Ok(length as usize + 1)
    } else {
        Err(fault::protocol(format!("a message of {length} bytes")))
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn server_error(message: &[u8]) -> Result<longshore_sdk::Error> {
    use longshore_postgres_client::message::backend::Message;
    match Message::parse(&mut bytes::BytesMut::from(message)) {
        Ok(Some(Message::ErrorResponse(error))) => Ok(fault::from_server(error.fields())),
        _ => Err(fault::protocol("an error that cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use longshore_sdk::array::cast::AsArray;
    use longshore_sdk::array::types::Int32Type;
    use proptest::prelude::*;

    use super::*;
    use crate::kind::{Digits, Kind};
    use crate::policy::SpecialValues;

    fn columns() -> Vec<Column> {
        vec![Column::of_kind("a", Kind::Int4), Column::of_kind("b", Kind::Text)]
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    fn stream(rows: &[(Option<i32>, Option<String>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut head = [SIGNATURE, &[0; 8]].concat();
        for (number, text) in rows {
            let mut row = std::mem::take(&mut head);
            row.extend(2_i16.to_be_bytes());
            let fields =
                [number.map(|n| n.to_be_bytes().to_vec()), text.clone().map(String::into_bytes)];
            for field in fields {
                match field {
                    Some(value) => {
                        row.extend((value.len() as i32).to_be_bytes());
                        row.extend(value);
                    }
                    None => row.extend((-1_i32).to_be_bytes()),
                }
            }
            bytes.extend(message(b'd', &row));
        }
        head.extend((-1_i16).to_be_bytes());
        bytes.extend(message(b'd', &head));
        bytes.extend(message(b'c', b""));
        bytes.extend(message(b'C', b"COPY 1\0"));
        bytes.extend(message(b'Z', b"I"));
        bytes
    }

    fn parse(bytes: &[u8], size: usize) -> Result<Vec<(Option<i32>, Option<String>)>> {
        let columns = columns();
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let mut parser = Parser::new(&columns, 1 << 20);
        for stretch in bytes.chunks(size) {
            parser.push(stretch)?;
        }
        assert!(parser.done);
        let batch = parser.finish_batch(schema)?;
        let numbers = batch.column(0).as_primitive::<Int32Type>().iter();
        let texts = batch.column(1).as_string::<i32>().iter().map(|text| text.map(str::to_owned));
        Ok(numbers.zip(texts).collect())
    }

    proptest! {
        #[test]
        fn rows_survive_wherever_the_stream_is_cut(
            rows in proptest::collection::vec((any::<Option<i32>>(), any::<Option<String>>()), 0..20),
            size in 1_usize..200,
        ) {
            prop_assert_eq!(parse(&stream(&rows), size).unwrap(), rows);
        }

        #[test]
        fn damaged_streams_are_errors_and_never_panics(at in 0_usize..300, value: u8) {
            let mut bytes = stream(&[(Some(1), Some("one".into())), (None, None), (Some(3), Some("x".repeat(50)))]);
            let at = at % bytes.len();
            bytes[at] = value;
            let mut parser = Parser::new(&columns(), 1 << 20);
            // That it comes back is the promise.
            let _ = parser.push(&bytes);
        }
    }

    /// Every kind of column.
    fn all_kinds() -> Vec<Kind> {
        let scalars = vec![
            Kind::Bool,
            Kind::Int2,
            Kind::Int4,
            Kind::Int8,
            Kind::Oid,
            Kind::Float4,
            Kind::Float8,
            Kind::Numeric(Digits { precision: 9, scale: 2 }),
            Kind::Numeric(Digits { precision: 18, scale: 2 }),
            Kind::Numeric(Digits { precision: 38, scale: 9 }),
            Kind::Numeric(Digits { precision: 60, scale: 9 }),
            Kind::NumericText,
            Kind::Money { scale: 2 },
            Kind::Text,
            Kind::Jsonb,
            Kind::Bytea,
            Kind::Date,
            Kind::Time,
            Kind::Timestamp { utc: true },
            Kind::Uuid,
        ];
        let list = |kind: &Kind| Kind::List { element: Box::new(kind.clone()), dimensions: 2 };
        let pair =
            |kind: &Kind| Kind::Struct(vec![("a".into(), kind.clone()), ("b".into(), Kind::Text)]);
        let nested: Vec<Kind> = scalars.iter().flat_map(|kind| [list(kind), pair(kind)]).collect();
        [scalars, nested].concat()
    }

    /// A row whose field claims to be of a kind; the lengths around it are right.
    fn row_of(field: &[u8]) -> Vec<u8> {
        let mut data = [SIGNATURE, &[0; 8]].concat();
        data.extend(1_i16.to_be_bytes());
        data.extend((field.len() as i32).to_be_bytes());
        data.extend(field);
        [message(b'd', &data), message(b'c', b""), message(b'Z', b"I")].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_bytes_are_rows_or_an_error_whatever_the_columns_type(
            kind in proptest::sample::select(all_kinds()),
            field in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255), any::<u8>()], 0..64),
            size in 1_usize..80,
        ) {
            for special_values in [SpecialValues::Refuse, SpecialValues::Nullify] {
                let mut column = Column::of_kind("c", kind.clone());
                column.special_values = special_values;
                let schema = Arc::new(Schema::new(vec![column.field()]));
                let mut parser = Parser::new(&[column], 1 << 20);
                let pushed = row_of(&field).chunks(size).try_for_each(|bytes| parser.push(bytes));
                // That it comes back, with a sound batch or none, is the promise.
                if pushed.is_ok() && let Ok(batch) = parser.finish_batch(schema) {
                    batch.column(0).to_data().validate_full().unwrap();
                    prop_assert_eq!(batch.num_rows(), 1);
                }
            }
        }

        #[test]
        fn any_stream_of_messages_is_rows_or_an_error(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'd'), Just(b'E'), Just(4), any::<u8>()], 0..200),
            size in 1_usize..80,
        ) {
            let mut parser = Parser::new(&columns(), 1 << 20);
            let _ = bytes.chunks(size).try_for_each(|bytes| parser.push(bytes));
        }
    }

    #[test]
    fn a_row_beyond_the_limit_is_refused_with_its_largest_column() {
        let row = (Some(1), Some("x".repeat(3 << 20)));
        let error = parse(&stream(&[(None, None), row]), 10_000).unwrap_err();
        assert_eq!(
            error.message(),
            "column `b`: a value of 3 MiB, in a row of 3 MiB: a row may hold 1 MiB"
        );
        let fits = [(Some(1), Some("x".repeat((1 << 20) - 100))); 1];
        assert_eq!(parse(&stream(&fits), 10_000).unwrap(), fits);
    }

    #[test]
    fn an_error_in_mid_stream_is_the_servers_own() {
        let mut bytes = stream(&[(Some(1), None)]);
        bytes.truncate(bytes.len() - message(b'd', &[0, 0]).len() - 5 - 12 - 6);
        bytes.extend(message(b'E', b"SERROR\0C22012\0Mdivision by zero\0\0"));
        bytes.extend(message(b'Z', b"I"));
        let error = parse(&bytes, 1_000).unwrap_err();
        assert_eq!((error.message(), error.code()), ("division by zero", Some("22012")));
    }

    /// Rows that are decoded again and again.
    const COUNTED_BLOCK_ROWS: usize = 1_024;

    /// What `make instructions` counts: ROWS rows, as of `lineitem`.
    #[test]
    #[ignore = "`make instructions` runs it"]
    fn counted_rows_are_decoded() {
        let rows: usize = std::env::var("ROWS").unwrap().parse().unwrap();
        let decimal = Kind::Numeric(Digits { precision: 15, scale: 2 });
        let kinds = [Kind::Int8, Kind::Int4, decimal, Kind::Date, Kind::Text, Kind::Text];
        let columns = kinds.map(|kind| Column::of_kind("c", kind));
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()));
        let block: Vec<u8> = (0..COUNTED_BLOCK_ROWS).flat_map(counted_row).collect();
        let mut parser = Parser::new(&columns, 1 << 20);
        parser.push(&message(b'd', &[SIGNATURE, &[0; 8]].concat())).unwrap();
        let mut decoded = 0;
        for _ in 0..rows / COUNTED_BLOCK_ROWS {
            parser.push(&block).unwrap();
            if parser.batch_is_full() {
                decoded += parser.finish_batch(schema.clone()).unwrap().num_rows();
            }
        }
        decoded += parser.finish_batch(schema).unwrap().num_rows();
        assert_eq!(decoded, rows);
    }

    fn counted_row(number: usize) -> Vec<u8> {
        let (large, small) = (number as i64 * 7, number as i32 % 7);
        let groups = [3_i16, 1, 0, 2, (number % 10) as i16, (number % 9_999) as i16, 4_200];
        let comment = format!("{number:x} ironic deposits sleep");
        let fields = [
            large.to_be_bytes().to_vec(),
            small.to_be_bytes().to_vec(),
            groups.iter().flat_map(|group| group.to_be_bytes()).collect(),
            (small * 365).to_be_bytes().to_vec(),
            vec![b"ANR"[number % 3]],
            comment.into_bytes(),
        ];
        let mut row = (fields.len() as i16).to_be_bytes().to_vec();
        for field in fields {
            row.extend((field.len() as i32).to_be_bytes());
            row.extend(field);
        }
        message(b'd', &row)
    }
}
