//! The server's errors, by who must act: the SQLSTATE tells.

use fallible_iterator::FallibleIterator;
use longshore_sdk::{Error, ErrorClass};
use postgres_protocol::message::backend::ErrorFields;

/// An error that the server reports.
pub fn from_server(mut fields: ErrorFields<'_>) -> Error {
    let (mut code, mut message, mut detail, mut hint) = (String::new(), String::new(), None, None);
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = text,
            b'M' => message = text,
            b'D' => detail = Some(text),
            b'H' => hint = Some(text),
            _ => {}
        }
    }
    if let Some(detail) = detail {
        message = format!("{message} ({detail})");
    }
    let error = Error::new(class(&code), message);
    let error = match hint.or_else(|| next_step(&code).map(Into::into)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    error.with_code(code)
}

fn class(code: &str) -> ErrorClass {
    match code {
        "42501" => ErrorClass::Auth,
        "42P01" | "42703" | "3D000" | "3F000" => ErrorClass::NotFound,
        "53300" => ErrorClass::Throttled,
        // It took longer than the job allows, or somebody cancelled it: not to be tried again.
        "57014" => ErrorClass::Data,
        "55P03" | "25P03" => ErrorClass::Timeout,
        _ => match code.get(..2).unwrap_or_default() {
            "28" => ErrorClass::Auth,
            // A conflict with recovery on a standby, a deadlock: the same read can succeed later.
            "08" | "57" | "40" => ErrorClass::Connection,
            "53" | "54" | "58" => ErrorClass::Resource,
            "XX" => ErrorClass::Internal,
            _ => ErrorClass::Data,
        },
    }
}

fn next_step(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => "check the user and the password",
        "3D000" => "check the database's name in `url`",
        "42501" => "grant the user the right to it",
        "42601" => "mend the query: try it in psql",
        "42P01" => {
            "check the name and the schema; `longshore test-connection` lists what can be read"
        }
        "42703" => "check the column's name",
        "53300" => "lower `parallel`, or raise the server's max_connections",
        "55P03" => "see who holds the lock in pg_locks, or raise `lock_timeout_secs`",
        "57014" => "raise `statement_timeout_secs`, or ask for smaller chunks",
        "57P03" => "the server is starting or stopping: try again",
        _ => return None,
    })
}

/// A broken rule of the protocol.
pub fn protocol(what: impl Into<String>) -> Error {
    Error::internal(format!("unexpected answer from the server: {}", what.into()))
}
