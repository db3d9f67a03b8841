//! One column of a result: the buffer that the driver writes into, and what becomes of it.

use std::any::Any;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use longshore_odbc_wire::Fetch;
use odbc_api::buffers::{BinColumn, BoxColumnBuffer, BufferDesc, Indicator, Slice, TextColumn};
use odbc_api::handles::{Statement, StatementImpl};
use odbc_api::sys::CDataType;

use crate::fault::{Result, Trouble, checked};
use crate::raw::{go_to, whole_value};
use crate::value::{Bytes, Values, Wrong};

/// The most bytes that a value's place in a block has, where longer ones can be fetched again.
const GUESS_LIMIT_BYTES: usize = 1 << 10;

/// Those of a value of which nobody knows how long it is.
const GUESS_BYTES: usize = 256;

/// What a driver's size is believed to be at most, where they cannot.
const BELIEVED_LIMIT: usize = 4_000;

/// The most bytes of a character.
const CHARACTER_BYTES: usize = 4;

/// Digits, a sign, a point and a leading zero.
const DECIMAL_EXTRA_BYTES: usize = 3;

/// Any number, any moment.
const READ_TEXT_BYTES: usize = 64;

/// A column.
pub struct Column {
    number: u16,
    name: String,
    values: Values,
    form: Form,
    /// The most bytes of a value of it that are expected; nothing if nobody knows.
    expected: Option<usize>,
    buffer: BoxColumnBuffer,
    spare: Spare,
}

/// What values of bytes are fetched as.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Wide,
    Binary,
}

/// Room for one value, and how many bytes went through it or the block since the last batch.
#[derive(Default)]
struct Spare {
    piece: Vec<u8>,
    characters: String,
    bytes: usize,
}

impl Column {
    /// The column of this number, from 1, of which the driver says that its values are of this size.
    pub fn new(number: u16, field: &Field, fetch: Fetch, size: usize) -> Result<Self> {
        let data_type = field.data_type();
        let believed = (1..=BELIEVED_LIMIT).contains(&size);
        let (form, expected) = match data_type {
            DataType::Utf8 if fetch == Fetch::Wide => {
                (Form::Wide, believed.then_some(size * CHARACTER_BYTES))
            }
            DataType::Utf8 => (Form::Text, believed.then_some(size * CHARACTER_BYTES)),
            DataType::Binary => (Form::Binary, believed.then_some(size)),
            DataType::Decimal128(precision, _) => {
                (Form::Text, Some(usize::from(*precision) + DECIMAL_EXTRA_BYTES))
            }
            _ => (Form::Text, Some(READ_TEXT_BYTES)),
        };
        let mut column = Self {
            number,
            name: field.name().clone(),
            values: Values::of(data_type, fetch)?,
            form,
            expected,
            buffer: BufferDesc::Bit { nullable: true }.column_buffer(1),
            spare: Spare::default(),
        };
        column.reserve(1, true);
        Ok(column)
    }

    /// Whether a block can hold each of its values, as far as anybody knows.
    pub fn fits_blocks(&self) -> bool {
        matches!(self.values, Values::Fixed(_)) || self.expected.is_some()
    }

    fn described(&self, again: bool) -> BufferDesc {
        let Values::Bytes(_) = &self.values else { return self.values.buffer() };
        let most = if again { GUESS_LIMIT_BYTES } else { usize::MAX };
        let bytes = self.expected.unwrap_or(GUESS_BYTES).min(most);
        match self.form {
            Form::Text => BufferDesc::Text { max_str_len: bytes },
            Form::Wide => BufferDesc::WText { max_str_len: bytes / 2 },
            Form::Binary => BufferDesc::Binary { max_bytes: bytes },
        }
    }

    /// Bytes of one of its rows in a block; `again`: longer values can be fetched again.
    pub fn row_bytes(&self, again: bool) -> usize {
        self.described(again).bytes_per_row()
    }

    /// Makes room for a block of so many rows.
    pub fn reserve(&mut self, rows: usize, again: bool) {
        self.buffer = self.described(again).column_buffer(rows);
    }

    /// Has the driver write into the block, as long as the column lives.
    pub fn bind(&mut self, statement: &mut StatementImpl<'_>) -> Result<()> {
        // SAFETY: the reader keeps its columns until the statement is dropped.
        let bound = unsafe { statement.bind_col(self.number, &mut self.buffer) };
        Ok(bound.into_result(&*statement)?)
    }

    /// Takes a block of so many rows; what was cut is fetched again, if that is possible.
    pub fn take_block(
        &mut self,
        statement: &mut StatementImpl<'_>,
        rows: usize,
        again: bool,
    ) -> Result<()> {
        let Self { number, name, values, form, buffer, spare, .. } = self;
        let values = match values {
            Values::Fixed(values) => {
                return values.append(buffer.slice(rows)).map_err(|wrong| not_of(name, wrong));
            }
            Values::Bytes(values) => values,
        };
        let buffer: &dyn Any = buffer.as_ref();
        let block = Block::of(buffer).ok_or_else(|| Trouble::own("a buffer of another kind"))?;
        for row in 0..rows {
            if !block.is_cut(row) {
                let value = block.value(row, &mut spare.characters);
                let value = value.map_err(|wrong| not_of(name, wrong))?;
                spare.bytes += value.map_or(0, <[u8]>::len);
                values.append(value).map_err(|wrong| not_of(name, wrong))?;
            } else if again {
                go_to(statement, row)?;
                take_whole(statement, *number, *form, spare, values.as_mut(), name)?;
                if block.length(row).is_some_and(|length| length != spare.piece.len()) {
                    let what = "the driver gave another length for a value than it has";
                    return Err(Trouble::own(format!(
                        "`{name}`: {what}: `fetch: rows` in the job's source reads it"
                    )));
                }
            } else {
                let what = "a value is longer than the driver said it could be";
                return Err(Trouble::own(format!(
                    "`{name}`: {what}: `fetch: rows` in the job's source reads it"
                )));
            }
        }
        Ok(())
    }

    /// Takes the value of the row under the cursor, however long it is.
    pub fn take_row(&mut self, statement: &mut StatementImpl<'_>) -> Result<()> {
        let Self { number, name, values, form, buffer, spare, .. } = self;
        match values {
            Values::Fixed(values) => {
                if !checked(statement.get_data(*number, buffer), statement)? {
                    return Err(Trouble::own(format!("`{name}`: the driver gave no value")));
                }
                values.append(buffer.slice(1)).map_err(|wrong| not_of(name, wrong))
            }
            Values::Bytes(values) => {
                take_whole(statement, *number, *form, spare, values.as_mut(), name)
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of any length since the last batch.
    pub fn bytes(&self) -> usize {
        self.spare.bytes
    }

    /// All since the last batch.
    pub fn finish(&mut self) -> ArrayRef {
        self.spare.bytes = 0;
        self.values.finish()
    }
}

fn take_whole(
    statement: &mut StatementImpl<'_>,
    number: u16,
    form: Form,
    spare: &mut Spare,
    values: &mut dyn Bytes,
    name: &str,
) -> Result<()> {
    let (kind, end) = match form {
        Form::Text => (CDataType::Char, 1),
        Form::Wide => (CDataType::WChar, 2),
        Form::Binary => (CDataType::Binary, 0),
    };
    let is_there = whole_value(statement, number, kind, end, &mut spare.piece).map_err(
        |trouble| match trouble {
            Trouble::Own(what) => Trouble::own(format!("column `{name}`: {what}")),
            other => other,
        },
    )?;
    let value = match (is_there, form) {
        (false, _) => None,
        (true, Form::Wide) => {
            let pairs = spare.piece.chunks_exact(2);
            let units: Vec<u16> =
                pairs.map(|pair| u16::from_ne_bytes([pair[0], pair[1]])).collect();
            let characters = characters(&mut spare.characters, &units);
            Some(characters.map_err(|wrong| not_of(name, wrong))?)
        }
        (true, _) => Some(spare.piece.as_slice()),
    };
    spare.bytes += value.map_or(0, <[u8]>::len);
    values.append(value).map_err(|wrong| not_of(name, wrong))
}

/// A block of values of bytes.
enum Block<'a> {
    Text(&'a TextColumn<u8>),
    Wide(&'a TextColumn<u16>),
    Binary(&'a BinColumn),
}

impl<'a> Block<'a> {
    fn of(buffer: &'a dyn Any) -> Option<Self> {
        let text = buffer.downcast_ref().map(Self::Text);
        let wide = || buffer.downcast_ref().map(Self::Wide);
        text.or_else(wide).or_else(|| buffer.downcast_ref().map(Self::Binary))
    }

    fn indicator(&self, row: usize) -> Indicator {
        match self {
            Self::Text(column) => column.indicator_at(row),
            Self::Wide(column) => column.indicator_at(row),
            Self::Binary(column) => column.indicator_at(row),
        }
    }

    /// Whether there is more of a value than the block holds; if the driver does not know, there is.
    fn is_cut(&self, row: usize) -> bool {
        let most = match self {
            Self::Text(column) => column.max_len(),
            Self::Wide(column) => column.max_len() * 2,
            Self::Binary(column) => column.max_len(),
        };
        match self.indicator(row) {
            Indicator::Null => false,
            Indicator::NoTotal => true,
            Indicator::Length(length) => length > most,
        }
    }

    /// The bytes of a value that was cut, if the driver knows.
    fn length(&self, row: usize) -> Option<usize> {
        match self.indicator(row) {
            Indicator::Length(length) => Some(length),
            Indicator::Null | Indicator::NoTotal => None,
        }
    }

    fn value<'v>(
        &'v self,
        row: usize,
        text: &'v mut String,
    ) -> std::result::Result<Option<&'v [u8]>, Wrong> {
        Ok(match self {
            Self::Text(column) => column.value_at(row),
            Self::Wide(column) => match column.value_at(row) {
                Some(units) => Some(characters(text, units)?),
                None => None,
            },
            Self::Binary(column) => column.value_at(row),
        })
    }
}

fn characters<'a>(text: &'a mut String, units: &[u16]) -> std::result::Result<&'a [u8], Wrong> {
    text.clear();
    for character in char::decode_utf16(units.iter().copied()) {
        text.push(character.map_err(|_| Wrong("half a character of UTF-16".into()))?);
    }
    Ok(text.as_bytes())
}

fn not_of(name: &str, Wrong(what): Wrong) -> Trouble {
    let instead = "a `query` of the job can make another of it";
    Trouble::own(format!("`{name}`: {what} is no value of its type; {instead}"))
}
