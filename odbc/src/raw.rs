//! The few calls of ODBC that `odbc-api` has no words for.

use std::ptr::{null, null_mut};
use std::sync::atomic::AtomicU16;

use longshore_odbc_wire::TableName;
use odbc_api::handles::{AsStatementRef, SqlResult, Statement, StatementImpl};
use odbc_api::sys::{
    CDataType, Desc, HDbc, HStmt, InfoType, Lock, NO_TOTAL, NULL_DATA, Operation, SQLColAttribute,
    SQLGetData, SQLGetInfo, SQLSetPos, SQLSetStmtAttr, SqlReturn, StatementAttribute,
};

use crate::fault::{Result, Trouble};

/// The most bytes of one value.
pub const VALUE_LIMIT_BYTES: usize = 128 << 20;

/// Bytes that a piece of a value is fetched in, at first.
const PIECE_BYTES: usize = 1 << 10;

/// Bytes of a text that tells of a driver or a column.
const INFO_BYTES: usize = 512;

/// What a driver can do beyond the least, of `SQL_GETDATA_EXTENSIONS`: columns that are bound, in any
/// order, of any row of a block.
const ANY_VALUE: u32 = 1 | 2 | 4 | 8;

/// Drivers that say so, and give the second long value of a column from where the first ended.
const FORGETFUL: &[&str] = &["libmaodbc"];

/// What a row of a block is when it could not be fetched.
pub const ROW_ERROR: u16 = 5;

#[link(name = "odbc")]
unsafe extern "system" {
    fn SQLStatistics(
        statement: HStmt,
        catalog: *const u8,
        catalog_bytes: i16,
        schema: *const u8,
        schema_bytes: i16,
        table: *const u8,
        table_bytes: i16,
        unique: u16,
        reserved: u16,
    ) -> SqlReturn;
}

/// `SQL_INDEX_UNIQUE` and `SQL_QUICK`: what is there without looking at rows.
const UNIQUE_INDEXES: u16 = 0;
const QUICK: u16 = 0;

/// A text about the connection; empty where the driver has none.
pub fn info_text(connection: HDbc, what: InfoType) -> String {
    let mut text = [0_u8; INFO_BYTES];
    let mut bytes = 0_i16;
    // SAFETY: the buffer is as long as it says, and the handle is open.
    let answer = unsafe {
        SQLGetInfo(connection, what, text.as_mut_ptr().cast(), INFO_BYTES as i16, &raw mut bytes)
    };
    known(&text, answer, bytes)
}

/// Whether any value of a block that was fetched can be fetched again, in pieces.
pub fn any_value_again(connection: HDbc) -> bool {
    let mut bits = 0_u32;
    // SAFETY: this one is a number of 32 bits.
    let answer = unsafe {
        SQLGetInfo(
            connection,
            InfoType::GetDataExtensions,
            (&raw mut bits).cast(),
            size_of::<u32>() as i16,
            null_mut(),
        )
    };
    let driver = info_text(connection, InfoType::DriverName);
    answer == SqlReturn::SUCCESS
        && bits & ANY_VALUE == ANY_VALUE
        && !FORGETFUL.iter().any(|forgetful| driver.starts_with(forgetful))
}

/// The name of a column's type at the source.
pub fn type_name(statement: &StatementImpl<'_>, column: u16) -> String {
    let mut text = [0_u8; INFO_BYTES];
    let mut bytes = 0_i16;
    // SAFETY: the buffer is as long as it says.
    let answer = unsafe {
        SQLColAttribute(
            statement.as_sys(),
            column,
            Desc::TypeName,
            text.as_mut_ptr().cast(),
            INFO_BYTES as i16,
            &raw mut bytes,
            null_mut(),
        )
    };
    known(&text, answer, bytes)
}

fn known(text: &[u8], answer: SqlReturn, bytes: i16) -> String {
    match answer {
        SqlReturn::SUCCESS | SqlReturn::SUCCESS_WITH_INFO => {
            let bytes = usize::try_from(bytes).unwrap_or(0).min(text.len() - 1);
            String::from_utf8_lossy(&text[..bytes]).trim_end_matches('\0').to_owned()
        }
        _ => String::new(),
    }
}

/// Asks for a table's sizes and its unique indexes.
pub fn statistics(statement: &mut impl AsStatementRef, table: &TableName) -> Result<()> {
    let part = |part: &Option<String>| match part {
        Some(text) => (text.as_ptr(), text.len() as i16),
        None => (null(), 0),
    };
    let (catalog, catalog_bytes) = part(&table.catalog);
    let (schema, schema_bytes) = part(&table.schema);
    let statement = statement.as_stmt_ref();
    // SAFETY: the texts live through the call.
    let answer = unsafe {
        SQLStatistics(
            statement.as_sys(),
            catalog,
            catalog_bytes,
            schema,
            schema_bytes,
            table.name.as_ptr(),
            table.name.len() as i16,
            UNIQUE_INDEXES,
            QUICK,
        )
    };
    Ok(result(answer, "SQLStatistics").into_result(&statement)?)
}

fn result(answer: SqlReturn, function: &'static str) -> SqlResult<()> {
    match answer {
        SqlReturn::SUCCESS => SqlResult::Success(()),
        SqlReturn::SUCCESS_WITH_INFO => SqlResult::SuccessWithInfo(()),
        SqlReturn::NO_DATA => SqlResult::NoData,
        _ => SqlResult::Error { function },
    }
}

/// Has the driver tell of each row of a block how its fetching ended, or tell no more.
pub fn watch_rows(statement: &mut StatementImpl<'_>, rows: Option<&[AtomicU16]>) -> Result<()> {
    let pointer = rows.map_or(null_mut(), |rows| rows.as_ptr().cast_mut().cast());
    // SAFETY: the caller keeps the rows until no more is told.
    let answer =
        unsafe { SQLSetStmtAttr(statement.as_sys(), StatementAttribute::RowStatusPtr, pointer, 0) };
    Ok(result(answer, "SQLSetStmtAttr").into_result(&*statement)?)
}

/// Goes to a row of the block that was fetched, from 0.
pub fn go_to(statement: &mut StatementImpl<'_>, row: usize) -> Result<()> {
    let row = row as u64 + 1;
    // SAFETY: the driver checks the row's number.
    let answer =
        unsafe { SQLSetPos(statement.as_sys(), row, Operation::POSITION, Lock::NO_CHANGE) };
    Ok(result(answer, "SQLSetPos").into_result(&*statement)?)
}

/// Fetches one value of the row under the cursor, however long it is, a piece after the other; nothing
/// for a null. `end` bytes at the end of a piece are a terminating zero.
pub fn whole_value(
    statement: &mut StatementImpl<'_>,
    column: u16,
    kind: CDataType,
    end: usize,
    value: &mut Vec<u8>,
) -> Result<bool> {
    value.clear();
    loop {
        let begun = value.len();
        value.resize(begun + PIECE_BYTES.max(begun), 0);
        let room = value.len() - begun;
        let mut length = 0_isize;
        // SAFETY: the driver writes at most `room` bytes behind what is there.
        let answer = unsafe {
            SQLGetData(
                statement.as_sys(),
                column,
                kind,
                value[begun..].as_mut_ptr().cast(),
                room as isize,
                &raw mut length,
            )
        };
        match result(answer, "SQLGetData") {
            // What came before was all of it.
            SqlResult::NoData => {
                value.truncate(begun);
                return Ok(true);
            }
            other => other.into_result_without_logging(&*statement)?,
        }
        if length == NULL_DATA {
            return Ok(false);
        }
        let held = room - end;
        let left = usize::try_from(length).ok();
        match left.filter(|left| *left <= held && length != NO_TOTAL) {
            Some(left) => {
                value.truncate(begun + left);
                return within_limit(value).map(|()| true);
            }
            None => value.truncate(begun + held - held % end.max(1)),
        }
        within_limit(value)?;
    }
}

fn within_limit(value: &[u8]) -> Result<()> {
    if value.len() <= VALUE_LIMIT_BYTES {
        return Ok(());
    }
    Err(Trouble::own(format!(
        "a value of more than {} MiB: leave the column out, or cut its values up in a query",
        VALUE_LIMIT_BYTES >> 20
    )))
}
