//! Who must act on what a driver complains about.

use longshore_model::error::{Class, Error};
use longshore_odbc_wire::Fault;

/// `HY000`: a driver has no better word.
const GENERAL: &str = "HY000";

/// MySQL's numbers for a server that cannot be reached, or went away.
const LOST: &[i32] = &[2002, 2003, 2006, 2013, 2055];

/// A fault as an error: classed by its SQLSTATE.
pub(super) fn error_of(fault: Fault) -> Error {
    let Fault { state, native, message } = fault;
    let Some(state) = state else { return Error::data(message) };
    let class =
        if LOST.contains(&native) && state == GENERAL { Class::Connection } else { class(&state) };
    let code = match native {
        0 => state.clone(),
        native => format!("{state}/{native}"),
    };
    let error = Error::new(class, bare(&message)).with_code(Some(code));
    match hint(&state) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Without the chain of who passed it on: `[unixODBC][Driver Manager]`.
fn bare(message: &str) -> String {
    let mut rest = message;
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        rest = after.trim_start();
    }
    if rest.is_empty() { message.to_owned() } else { rest.to_owned() }
}

fn class(state: &str) -> Class {
    match state {
        // Nothing is listening, or it went away; a login that took too long.
        "HYT00" | "HYT01" | "57014" => Class::Timeout,
        "HY001" | "HY013" | "HY014" => Class::Resource,
        "08004" | "53300" | "08S02" => Class::Throttled,
        "IM002" | "IM003" | "IM004" | "IM005" | "IM006" | "IM012" | "IM014" | "01S00" | "01000" => {
            Class::Config
        }
        "42S02" | "42S22" | "42S12" | "3D000" | "3F000" | "42P01" | "42703" | "42S01" => {
            Class::NotFound
        }
        "42501" | "42502" => Class::Auth,
        // Whom a deadlock or a restart hit can come again.
        "40001" | "40P01" | "57P01" | "57P02" | "57P03" => Class::Connection,
        state if state.starts_with("08") => Class::Connection,
        state if state.starts_with("28") => Class::Auth,
        state if state.starts_with("53") => Class::Resource,
        _ => Class::Data,
    }
}

fn hint(state: &str) -> Option<&'static str> {
    match state {
        "IM002" => Some("`longshore odbc sources` lists the data sources that are set up here"),
        "IM003" | "IM004" | "01000" => {
            Some("`longshore odbc drivers` lists the drivers that are installed here")
        }
        "28000" | "28P01" => Some("check the user and the password in the job's source"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_who_must_act() {
        let told = |state: &str, message: &str| {
            let error =
                error_of(Fault { state: Some(state.into()), native: 7, message: message.into() });
            format!("{}: {error}", error.class().name())
        };
        let cases = [
            told("42S02", "[SQLite]no such table: t (1)"),
            told("28000", "[unixODBC][ma-3.1.15]Access denied for user 'u'"),
            told("08001", "[unixODBC]connection refused"),
            told("HYT00", "timeout"),
            told("22018", "[x][y]"),
        ];
        insta::assert_snapshot!(cases.join("\n"), @r"
        not-found: no such table: t (1) [42S02/7]
        auth: Access denied for user 'u' [28000/7]
        connection: connection refused [08001/7]
        timeout: timeout [HYT00/7]
        data: [x][y] [22018/7]
        ");
    }
}
