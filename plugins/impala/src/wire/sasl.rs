//! SASL as HiveServer2 frames it: a byte for the state, a length, the text; and PLAIN (RFC 4616).

use longshore_sdk::host::Connection;
use longshore_sdk::{Error, Result, Secret};

use super::{Login, some};

pub(super) const START: u8 = 1;
pub(super) const OK: u8 = 2;
pub(super) const COMPLETE: u8 = 5;

/// The longest answer of a server that logs somebody in.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

/// Where a server asks for no password, it wants one all the same.
const NO_PASSWORD: &str = "-";

pub fn log_in(connection: &mut Connection, login: &Login<'_>) -> Result<()> {
    let password = login.password.map(Secret::reveal).transpose()?;
    let password = password.unwrap_or_else(|| NO_PASSWORD.into());
    let response = format!("\0{}\0{password}", login.user);
    let mut message = frame(START, b"PLAIN");
    message.extend(frame(OK, response.as_bytes()));
    connection.write(&message)?;
    let (state, said) = answer(connection)?;
    match state {
        COMPLETE => Ok(()),
        OK => Err(Error::config("the server asks for more than SASL PLAIN gives")
            .with_hint("it may be set to Kerberos: add `kerberos: true`")),
        _ => Err(refused(&said)),
    }
}

pub(super) fn refused(said: &[u8]) -> Error {
    let said = String::from_utf8_lossy(said);
    Error::auth(format!("the server refuses the login: {}", said.trim()))
        .with_hint("check the user, the password, and `auth`")
}

pub(super) fn frame(state: u8, text: &[u8]) -> Vec<u8> {
    let mut frame = vec![state];
    frame.extend((text.len() as u32).to_be_bytes());
    frame.extend_from_slice(text);
    frame
}

/// The server's next frame: its state and what it says.
pub(super) fn answer(connection: &mut Connection) -> Result<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some((head, text)) = bytes.split_first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if length > ANSWER_LIMIT_BYTES {
                return Err(Error::config("the server does not speak SASL")
                    .with_hint("give `auth: nosasl`, or `tls` if it speaks TLS"));
            }
            if text.len() >= length {
                return Ok((head[0], text[..length].to_vec()));
            }
        }
        bytes.extend(some(connection.read(ANSWER_LIMIT_BYTES as u32)?)?);
    }
}
