//! The process in which Longshore runs ODBC drivers, one session each: a driver is native code, and what
//! becomes of it must not become of the daemon. It says and is told what `longshore-odbc-wire` holds.
//!
//! A read's rows go from the driver's buffers into Arrow, and out as IPC, a batch at a time.

mod column;
mod fault;
mod lifeline;
mod raw;
mod reading;
mod session;
mod text;
mod value;

use std::io::{self, Write};
use std::process::ExitCode;

use longshore_odbc_wire::{Kind, Request, write_frame};
use odbc_api::Environment;
use serde::Serialize;

use fault::{Result, Trouble};
use lifeline::Lifeline;
use session::Session;

fn main() -> ExitCode {
    // Drivers give text in the locale's encoding.
    // SAFETY: no other thread runs yet.
    unsafe { libc::setlocale(libc::LC_ALL, c"C.UTF-8".as_ptr()) };
    let (lifeline, requests) = Lifeline::hold();
    let mut out = io::stdout().lock();
    let environment = match Environment::new() {
        Ok(environment) => environment,
        Err(error) => return refuse_all(&mut out, &error.into()),
    };
    let mut session = None;
    for line in requests {
        let answered = match serde_json::from_str(&line) {
            Ok(request) => answer(&environment, &mut session, &lifeline, request, &mut out),
            Err(error) => Err(Trouble::own(format!("not a request: {error}"))),
        };
        let told = match answered {
            Ok(()) => Ok(()),
            Err(trouble) => tell(&mut out, &trouble),
        };
        if told.is_err() {
            // Nobody listens any more.
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}

fn answer<'e>(
    environment: &'e Environment,
    session: &mut Option<Session<'e>>,
    lifeline: &Lifeline,
    request: Request,
    out: &mut impl Write,
) -> Result<()> {
    match request {
        Request::Drivers => return give(out, &session::drivers(environment)?),
        Request::Sources => return give(out, &session::sources(environment)?),
        Request::Connect { attributes, login_timeout_secs } => {
            *session = Some(Session::open(environment, &attributes, login_timeout_secs)?);
            return give(out, &());
        }
        _ => {}
    }
    let session = session.as_ref().ok_or_else(|| Trouble::own("not connected"))?;
    match request {
        Request::Product => give(out, &session.product()?),
        Request::Catalog(what) => give(out, &session.catalog(&what)?),
        Request::Describe(sql) => give(out, &session.describe(&sql)?),
        Request::Query { sql, parameters, max_rows } => {
            give(out, &session.query(lifeline, &sql, &parameters, max_rows)?)
        }
        Request::Read(wanted) => {
            let piece = |piece: &[&[u8]]| Ok(write_frame(out, Kind::Piece, piece)?);
            session.read(lifeline, &wanted, piece)?;
            Ok(write_frame(out, Kind::End, &[])?)
        }
        Request::Drivers | Request::Sources | Request::Connect { .. } => Ok(()),
    }
}

fn give(out: &mut impl Write, answer: &impl Serialize) -> Result<()> {
    let answer = serde_json::to_vec(answer).map_err(|error| Trouble::own(error.to_string()))?;
    Ok(write_frame(out, Kind::Answer, &[&answer])?)
}

fn tell(out: &mut impl Write, trouble: &Trouble) -> io::Result<()> {
    if let Trouble::Unheard(_) = trouble {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    write_frame(out, Kind::Fault, &[&serde_json::to_vec(&trouble.fault())?])
}

fn refuse_all(out: &mut impl Write, trouble: &Trouble) -> ExitCode {
    let _ = tell(out, trouble);
    ExitCode::FAILURE
}
