//! What can go wrong, and what the host is told of it.

use std::io;

use arrow_schema::ArrowError;
use longshore_odbc_wire::Fault;
use odbc_api::Error;
use odbc_api::handles::{Record, SqlResult, StatementImpl};

/// The manager's word for a driver that it cannot load.
const NO_DRIVER: &str = "IM003";

/// A result of this process.
pub type Result<T, E = Trouble> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The driver or its manager said so.
    #[error(transparent)]
    Odbc(#[from] Error),
    /// The driver is not there.
    #[error("{0}")]
    NoDriver(String),
    /// A value or a wish that cannot be carried over.
    #[error("{0}")]
    Own(String),
    /// Nobody reads what is written.
    #[error(transparent)]
    Unheard(#[from] io::Error),
}

impl Trouble {
    /// One of this process's own.
    pub fn own(message: impl Into<String>) -> Self {
        Self::Own(message.into())
    }

    /// What the host is told.
    pub fn fault(&self) -> Fault {
        let record = match self {
            Self::Odbc(
                Error::Diagnostics { record, .. }
                | Error::InvalidRowArraySize { record, .. }
                | Error::UnsupportedOdbcApiVersion(record)
                | Error::UnableToRepresentNull(record)
                | Error::OracleOdbcDriverDoesNotSupport64Bit(record),
            ) => record,
            Self::NoDriver(message) => {
                let state = Some(NO_DRIVER.to_owned());
                return Fault { state, native: 0, message: message.clone() };
            }
            other => return Fault { state: None, native: 0, message: other.to_string() },
        };
        of_record(record)
    }
}

/// What a driver's diagnostic record says.
pub fn of_record(record: &Record) -> Fault {
    Fault {
        state: Some(record.state.as_str().to_owned()),
        native: record.native_error,
        message: String::from_utf8_lossy(&record.message).trim().to_owned(),
    }
}

impl From<ArrowError> for Trouble {
    fn from(error: ArrowError) -> Self {
        Self::own(error.to_string())
    }
}

/// Whether a call gave something; a warning that tells of a lost part of a value is an error.
pub fn checked(result: SqlResult<()>, statement: &mut StatementImpl<'_>) -> Result<bool> {
    if let SqlResult::SuccessWithInfo(()) = result {
        refuse_loss(statement)?;
    }
    Ok(result.into_result_bool(&*statement)?)
}

/// Fractions cut off, numbers out of range: drivers tell of them by a warning only. Cut texts are seen by
/// their lengths.
fn refuse_loss(statement: &mut StatementImpl<'_>) -> Result<()> {
    let mut record = Record::default();
    for number in 1..=i16::MAX {
        if !record.fill_from(&*statement, number) {
            return Ok(());
        }
        let state = record.state.as_str();
        if state == "01S07" || state.starts_with("22") {
            let Fault { message, .. } = of_record(&record);
            return Err(Trouble::own(format!("a value would lose a part ({state}): {message}")));
        }
    }
    Ok(())
}
