//! `odbc`: sessions with databases behind the drivers of this machine. A driver is native code that
//! nothing holds back, so each session is a process of its own, `longshore-odbc`.

#[cfg(not(feature = "odbc"))]
mod absent;
#[cfg(feature = "odbc")]
mod fault;
#[cfg(feature = "odbc")]
mod process;

#[cfg(not(feature = "odbc"))]
pub use absent::Process;
#[cfg(feature = "odbc")]
pub use process::Process;

use std::time::Duration;

use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::grant::Grant;
use longshore_model::grant::odbc::Login;
use longshore_odbc_wire::Request;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

/// How long a login may take.
pub const LOGIN_TIMEOUT_SECS: u32 = 60;

/// The longest that any one answer may take.
pub const ANSWER_TIMEOUT_LIMIT_SECS: u32 = 86_400;

/// How long the manager of drivers may take to tell of them.
const LISTING_TIMEOUT_SECS: u64 = 20;

/// The most rows of an answer in texts.
pub const QUERY_LIMIT_ROWS: u32 = 100_000;

/// The names of the drivers that are installed.
pub async fn drivers(io: &Handle) -> Result<Vec<String>> {
    list(io, &Request::Drivers).await
}

/// The names of the data sources that are set up, and the driver of each.
pub async fn sources(io: &Handle) -> Result<Vec<(String, String)>> {
    list(io, &Request::Sources).await
}

async fn list<T: DeserializeOwned>(io: &Handle, request: &Request) -> Result<T> {
    let mut process = Process::start(io, Duration::from_secs(LISTING_TIMEOUT_SECS))?;
    parsed(&process.ask(request).await?)
}

/// Connects, if the grant allows it.
pub async fn connect(io: &Handle, grant: &Grant, login: &Login) -> Result<Process> {
    let attributes = grant.odbc()?.attributes(grant, login)?;
    let timeout_secs = login.timeout_secs.clamp(1, ANSWER_TIMEOUT_LIMIT_SECS);
    let mut process = Process::start(io, Duration::from_secs(timeout_secs.into()))?;
    let login_timeout_secs = LOGIN_TIMEOUT_SECS.min(timeout_secs);
    let connected = process.ask(&Request::Connect { attributes, login_timeout_secs }).await;
    connected.map_err(|error| match error.class() {
        // Whom a driver cannot reach it often has no code for.
        Class::Data => error.with_class(Class::Connection),
        _ => error,
    })?;
    for statement in &login.setup {
        let sql = statement.clone();
        let request = Request::Query { sql, parameters: Vec::new(), max_rows: QUERY_LIMIT_ROWS };
        process.ask(&request).await.context(format!("`{statement}`"))?;
    }
    Ok(process)
}

/// An answer of a process.
pub fn parsed<T: DeserializeOwned>(answer: &[u8]) -> Result<T> {
    serde_json::from_slice(answer).map_err(|error| {
        Error::internal(format!("longshore-odbc answered something else: {error}"))
    })
}
