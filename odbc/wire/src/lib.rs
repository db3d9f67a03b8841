//! What Longshore and its ODBC process say to each other, over the process's standard input and output.
//!
//! The host writes requests, a line of JSON each. The process answers each one with frames: a byte of
//! kind, the payload's length as four bytes (little endian), the payload. A read is answered with
//! pieces of an Arrow IPC stream and an end, everything else with one answer; both can end with a fault.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// The most bytes of one frame.
pub const FRAME_LIMIT_BYTES: u32 = 256 << 20;

/// The bytes before a payload.
pub const HEAD_BYTES: usize = 5;

/// What the host asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The drivers that are installed: their names.
    Drivers,
    /// The data sources that are set up: their names, and the driver of each.
    Sources,
    /// Connects; the first request of all that follow.
    Connect {
        /// Attributes of the connection string, in their order.
        attributes: Vec<(String, String)>,
        /// How long a login may take.
        login_timeout_secs: u32,
    },
    /// What answered, as a [`Product`].
    Product,
    /// What the database has, as [`Rows`] in the columns that ODBC gives them.
    Catalog(Catalog),
    /// A statement's columns, as a list of [`Column`]s; it is not run.
    Describe(String),
    /// A statement's rows as texts, as [`Rows`]: for what is small.
    Query {
        /// The statement.
        sql: String,
        /// In place of its question marks.
        parameters: Vec<Value>,
        /// More than this is an error.
        max_rows: u32,
    },
    /// A statement's rows as Arrow.
    Read(Reading),
}

/// What can be asked of a database's catalog.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Catalog {
    /// `SQLTables`: tables and views.
    Tables,
    /// `SQLPrimaryKeys`.
    PrimaryKey(TableName),
    /// `SQLStatistics`: sizes, and unique indexes.
    Statistics(TableName),
}

/// A table's name, in the parts that the database has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TableName {
    /// Its catalog.
    pub catalog: Option<String>,
    /// Its schema.
    pub schema: Option<String>,
    /// Its own name.
    pub name: String,
}

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A statement whose rows are wanted as Arrow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The statement.
    pub sql: String,
    /// In place of its question marks.
    pub parameters: Vec<Value>,
    /// One Arrow IPC schema message: what the rows are to be.
    pub schema: Vec<u8>,
    /// How each column is fetched.
    pub fetch: Vec<Fetch>,
    /// Row by row, even where blocks are possible.
    pub by_row: bool,
}

/// How a column is fetched from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fetch {
    /// As what it is.
    Native,
    /// As text, and read here: nothing that is not of its type passes.
    Text,
    /// Text as UTF-16, where a driver spoils what it gives as UTF-8.
    Wide,
}

/// What answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Product {
    /// The database's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The driver's file.
    pub driver: String,
    /// Its version.
    pub driver_version: String,
    /// Who is logged in.
    pub user: String,
    /// What encloses a name; empty if nothing does.
    pub quote: String,
}

/// A column, as the driver describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The code of its SQL type.
    pub data_type: i16,
    /// Its type's name at the source.
    pub type_name: String,
    /// Its size: characters, bytes, or decimal digits; 0 if it is not known.
    pub size: u64,
    /// Digits behind the point.
    pub digits: i16,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// Whether a number has no sign.
    pub unsigned: bool,
}

/// Rows as texts.
pub type Rows = Vec<Vec<Option<String>>>;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The driver's SQLSTATE, if it is the driver's.
    pub state: Option<String>,
    /// The database's own number, if it is not 0.
    pub native: i32,
    /// What went wrong.
    pub message: String,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer, in JSON.
    Answer,
    /// A [`Fault`], in JSON.
    Fault,
    /// A piece of an Arrow IPC stream.
    Piece,
    /// The end of such a stream; empty.
    End,
}

impl Kind {
    /// The byte that stands for it.
    pub fn byte(self) -> u8 {
        match self {
            Self::Answer => b'J',
            Self::Fault => b'E',
            Self::Piece => b'A',
            Self::End => b'Z',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Answer, Self::Fault, Self::Piece, Self::End].into_iter().find(|k| k.byte() == byte)
    }
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// The payload's length.
    pub bytes: u32,
}

impl Head {
    /// Reads a head; nothing if it is none.
    pub fn read(bytes: [u8; HEAD_BYTES]) -> Option<Self> {
        let [kind, length @ ..] = bytes;
        let head = Self { kind: Kind::of(kind)?, bytes: u32::from_le_bytes(length) };
        (head.bytes <= FRAME_LIMIT_BYTES).then_some(head)
    }

    /// Its bytes.
    pub fn bytes(self) -> [u8; HEAD_BYTES] {
        let [a, b, c, d] = self.bytes.to_le_bytes();
        [self.kind.byte(), a, b, c, d]
    }
}

/// Writes a frame whose payload lies in several places.
pub fn write_frame(to: &mut impl Write, kind: Kind, payload: &[&[u8]]) -> io::Result<()> {
    let bytes: usize = payload.iter().map(|part| part.len()).sum();
    let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes <= FRAME_LIMIT_BYTES);
    let bytes = bytes.ok_or_else(|| io::Error::other("a frame over its limit"))?;
    to.write_all(&Head { kind, bytes }.bytes())?;
    payload.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

/// The attributes of a connection string, in their order: `Driver={SQL Server};Server=db`. A value in
/// braces ends at the next single one.
pub fn attributes(text: &str) -> Vec<(String, String)> {
    let (mut attributes, mut rest) = (Vec::new(), text);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.trim_start().strip_prefix('{') {
            Some(enclosed) => braced(enclosed),
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        attributes.push((name.trim_matches([' ', ';']).to_owned(), value));
        rest = next;
    }
    attributes
}

fn braced(text: &str) -> (String, &str) {
    let (mut value, mut rest) = (String::new(), text);
    loop {
        let Some((before, after)) = rest.split_once('}') else { return (value + rest, "") };
        value += before;
        match after.strip_prefix('}') {
            Some(after) => {
                value.push('}');
                rest = after;
            }
            None => return (value, after.split_once(';').map_or("", |(_, next)| next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_connection_string_is_read() {
        let read =
            attributes("Driver={My {x}} Driver}; Server = db.internal ;PWD={a;b=c}}d};Port=1");
        let expected = [
            ("Driver", "My {x} Driver"),
            ("Server", "db.internal"),
            ("PWD", "a;b=c}d"),
            ("Port", "1"),
        ];
        let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(read, expected);
        assert_eq!(attributes("shop"), []);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec(any::<Vec<u8>>(), 0..4)) {
            let mut stream = Vec::new();
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            write_frame(&mut stream, Kind::Piece, &slices).unwrap();
            let (head, payload) = stream.split_first_chunk().unwrap();
            let head = Head::read(*head).unwrap();
            prop_assert_eq!((head.kind, head.bytes as usize), (Kind::Piece, payload.len()));
            prop_assert_eq!(payload, parts.concat());
        }

        #[test]
        fn no_head_claims_more_than_the_limit(bytes: [u8; HEAD_BYTES]) {
            let head = Head::read(bytes);
            prop_assert!(head.is_none_or(|head| head.bytes <= FRAME_LIMIT_BYTES));
        }
    }
}
