//! HiveServer2's calls, as `TCLIService.thrift` declares them.

use longshore_sdk::schema::Field;
use longshore_sdk::{Error, Result};

use crate::Timestamps;
use crate::fault;
use crate::thrift::{Kind, Reader, Writer};
use crate::types::HiveType;
use crate::wire::Wire;

/// The protocol that is asked for: columns instead of rows. Impala knows none newer.
const PROTOCOL_V6: i32 = 5;

const FETCH_NEXT: i32 = 0;

/// What a call came to.
#[derive(Debug, Default)]
pub struct Status {
    code: i32,
    pub sql_state: String,
    pub message: String,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    UnderWay,
    Finished,
    Failed,
}

/// A column of a result.
#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub hive_type: HiveType,
}

impl Column {
    /// Its field. Hive declares no column that cannot be null.
    pub fn field(&self, timestamps: Timestamps) -> Field {
        Field::new(&self.name, self.hive_type.arrow(timestamps), true)
    }

    /// What the host knows beside its field.
    pub fn describe(&self) -> longshore_sdk::Column {
        longshore_sdk::Column {
            source_type: self.hive_type.name(),
            comparable: self.hive_type.comparable(),
            lossy: None,
        }
    }
}

impl Status {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut status = Self::default();
        reader.fields(|reader, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => status.code = reader.i32()?,
                (3, Kind::Text) => status.sql_state = reader.text()?,
                (5, Kind::Text) => status.message = reader.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(status)
    }

    fn check(self) -> Result<()> {
        match self.code {
            // Success, also with remarks, and under way.
            0..=2 => Ok(()),
            4 => Err(fault::lost("the server does not know the session any more")),
            _ => Err(fault::from_server(&self.sql_state, &self.message)),
        }
    }
}

/// Asks; `each` reads the answer's fields but the first, which is its status.
fn call(
    wire: &mut Wire,
    method: &str,
    request: impl FnOnce(&mut Writer),
    mut each: impl FnMut(&mut Reader<'_>, i16, Kind) -> Result<bool>,
) -> Result<()> {
    wire.send(&Writer::call(method, request))?;
    let mut status = Status::default();
    Reader::answer(wire, |reader| {
        reader.fields(|reader, id, kind| {
            if (id, kind) == (1, Kind::Struct) {
                status = Status::read(reader)?;
                return Ok(true);
            }
            each(reader, id, kind)
        })
    })?;
    status.check()
}

/// Asks for a handle, which is the answer's field of this number.
fn ask_handle(
    wire: &mut Wire,
    method: &str,
    field: i16,
    request: impl FnOnce(&mut Writer),
) -> Result<Vec<u8>> {
    let mut handle = None;
    call(wire, method, request, |reader, id, kind| {
        if (id, kind) != (field, Kind::Struct) {
            return Ok(false);
        }
        handle = Some(reader.handle()?);
        Ok(true)
    })?;
    handle
        .ok_or_else(|| Error::internal(format!("the server answered `{method}` without a handle")))
}

pub fn open_session<'a>(
    wire: &mut Wire,
    user: &str,
    settings: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<u8>> {
    ask_handle(wire, "OpenSession", 3, |request| {
        request.i32(1, PROTOCOL_V6);
        request.text(2, user);
        request.map(4, settings);
    })
}

pub fn execute(wire: &mut Wire, session: &[u8], sql: &str) -> Result<Vec<u8>> {
    ask_handle(wire, "ExecuteStatement", 2, |request| {
        request.handle(1, session);
        request.text(2, sql);
        request.boolean(4, true);
    })
}

/// How far an operation is; why it failed.
pub fn state(wire: &mut Wire, operation: &[u8]) -> Result<State> {
    let mut state = State::UnderWay;
    let mut failure = Status::default();
    call(
        wire,
        "GetOperationStatus",
        |request| request.handle(1, operation),
        |reader, id, kind| {
            match (id, kind) {
                // Initialized, running, pending; finished; the rest is the end.
                (2, Kind::I32) => {
                    state = match reader.i32()? {
                        0 | 1 | 7 => State::UnderWay,
                        2 => State::Finished,
                        _ => State::Failed,
                    }
                }
                (3, Kind::Text) => failure.sql_state = reader.text()?,
                (5, Kind::Text) => failure.message = reader.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        },
    )?;
    match state {
        State::Failed => Err(fault::from_server(&failure.sql_state, &failure.message)),
        state => Ok(state),
    }
}

pub fn columns(wire: &mut Wire, operation: &[u8]) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let request = |request: &mut Writer| request.handle(1, operation);
    call(wire, "GetResultSetMetadata", request, |reader, id, kind| {
        if (id, kind) != (2, Kind::Struct) {
            return Ok(false);
        }
        reader.fields(|reader, id, kind| {
            if (id, kind) != (1, Kind::List) {
                return Ok(false);
            }
            let (_, length) = reader.list()?;
            for _ in 0..length {
                columns.push(column(reader)?);
            }
            Ok(true)
        })?;
        Ok(true)
    })?;
    Ok(columns)
}

fn column(reader: &mut Reader<'_>) -> Result<Column> {
    let (mut name, mut hive_type) = (String::new(), HiveType::default());
    reader.fields(|reader, id, kind| {
        match (id, kind) {
            (1, Kind::Text) => name = reader.text()?,
            (2, Kind::Struct) => hive_type = HiveType::read(reader)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Column { name, hive_type })
}

/// Fetches rows: `each` reads a column's values, by its number. Whether the server says that there
/// are more.
pub fn fetch(
    wire: &mut Wire,
    operation: &[u8],
    max_rows: i64,
    mut each: impl FnMut(&mut Reader<'_>, usize) -> Result<()>,
) -> Result<bool> {
    let mut has_more = false;
    let request = |request: &mut Writer| {
        request.handle(1, operation);
        request.i32(2, FETCH_NEXT);
        request.i64(3, max_rows);
    };
    call(wire, "FetchResults", request, |reader, id, kind| {
        match (id, kind) {
            (2, Kind::Bool) => has_more = reader.u8()? != 0,
            (3, Kind::Struct) => row_set(reader, &mut each)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(has_more)
}

fn row_set(
    reader: &mut Reader<'_>,
    each: &mut impl FnMut(&mut Reader<'_>, usize) -> Result<()>,
) -> Result<()> {
    reader.fields(|reader, id, kind| {
        match (id, kind) {
            (2, Kind::List) => {
                if reader.list()?.1 > 0 {
                    return Err(Error::config("the server gives rows, not columns").with_hint(
                        "it is older than HiveServer2's protocol V6 (Hive 0.13, Impala 2.0)",
                    ));
                }
            }
            (3, Kind::List) => {
                let (_, length) = reader.list()?;
                (0..length).try_for_each(|number| each(reader, number))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })
}

pub fn cancel(wire: &mut Wire, operation: &[u8]) -> Result<()> {
    call(wire, "CancelOperation", |request| request.handle(1, operation), |_, _, _| Ok(false))
}

/// The message that cancels an operation, for whoever has to send it later.
pub fn cancel_message(operation: &[u8]) -> Vec<u8> {
    Writer::call("CancelOperation", |request| request.handle(1, operation))
}

pub fn close_operation(wire: &mut Wire, operation: &[u8]) -> Result<()> {
    call(wire, "CloseOperation", |request| request.handle(1, operation), |_, _, _| Ok(false))
}

pub fn close_session(wire: &mut Wire, session: &[u8]) -> Result<()> {
    call(wire, "CloseSession", |request| request.handle(1, session), |_, _, _| Ok(false))
}
