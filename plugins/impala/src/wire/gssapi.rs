//! SASL GSSAPI (RFC 4752): a login by Kerberos, and the protection of what comes after it, if the server wants
//! any. The host makes the tokens.

use longshore_sdk::host::{Connection, Kerberos};
use longshore_sdk::{Error, Result};

use super::sasl::{self, COMPLETE, OK, START, frame};

/// How messages can be protected: not at all, signed, encrypted.
const BARE: u8 = 1;
const SIGNED: u8 = 2;
const ENCRYPTED: u8 = 4;

/// The longest frame that is taken: three bytes say it.
const FRAME_LIMIT_BYTES: usize = 0x00ff_ffff;

/// What protection adds to a message, at the most.
const PROTECTION_BYTES: usize = 256;

/// The most tokens that a login takes.
const STEP_LIMIT: usize = 16;

/// A login that protects messages.
pub(super) struct Seal {
    login: Kerberos,
    encrypt: bool,
    /// What fits into a frame that the server takes.
    most: usize,
}

/// Logs in; gives what protects messages, if the server wants that.
pub(super) fn log_in(
    connection: &mut Connection,
    service: &str,
    host: &str,
) -> Result<Option<Seal>> {
    let mut login = Kerberos::begin(service, host)?;
    let (token, mut done) = login.step(&[])?;
    let mut message = frame(START, b"GSSAPI");
    message.extend(frame(OK, &token));
    connection.write(&message)?;
    for _ in 0..STEP_LIMIT {
        let said = challenge(connection)?;
        let token = if done {
            return choose(connection, login, &said);
        } else {
            let (token, is_done) = login.step(&said)?;
            done = is_done;
            token
        };
        connection.write(&frame(OK, &token))?;
    }
    Err(Error::internal("the server and Kerberos do not come to an end"))
}

fn challenge(connection: &mut Connection) -> Result<Vec<u8>> {
    match sasl::answer(connection)? {
        (OK, said) => Ok(said),
        (COMPLETE, _) => Err(Error::internal("the server ends a login that is under way")),
        (_, said) => Err(sasl::refused(&said)),
    }
}

/// The strongest protection that the server offers.
fn choose(connection: &mut Connection, mut login: Kerberos, offer: &[u8]) -> Result<Option<Seal>> {
    let offer = login.unwrap(offer)?;
    let &[layers, a, b, c] = offer.as_slice() else {
        return Err(Error::internal("the server offers no protection that RFC 4752 knows"));
    };
    let layer = [ENCRYPTED, SIGNED, BARE].into_iter().find(|layer| layers & layer != 0);
    let layer = layer.ok_or_else(|| {
        Error::config("the server offers no protection that is known here")
            .with_hint("see `hive.server2.thrift.sasl.qop`: auth, auth-int or auth-conf")
    })?;
    let limit = if layer == BARE { 0 } else { FRAME_LIMIT_BYTES as u32 };
    let [_, x, y, z] = limit.to_be_bytes();
    let choice = login.wrap(&[layer, x, y, z], false)?;
    connection.write(&frame(OK, &choice))?;
    match sasl::answer(connection)? {
        (COMPLETE, _) => {}
        (_, said) => return Err(sasl::refused(&said)),
    }
    let takes = u32::from_be_bytes([0, a, b, c]) as usize;
    let most = takes.saturating_sub(PROTECTION_BYTES).max(PROTECTION_BYTES);
    Ok((layer != BARE).then_some(Seal { login, encrypt: layer == ENCRYPTED, most }))
}

impl Seal {
    /// A message in frames, each protected.
    pub(super) fn frames(&mut self, message: &[u8]) -> impl Iterator<Item = Result<Vec<u8>>> {
        message.chunks(self.most).map(|piece| {
            let sealed = self.login.wrap(piece, self.encrypt)?;
            let mut frame = (sealed.len() as u32).to_be_bytes().to_vec();
            frame.extend_from_slice(&sealed);
            Ok(frame)
        })
    }

    /// Takes whole frames out of what has arrived; the beginning of one stays.
    pub(super) fn open(&mut self, raw: &mut Vec<u8>, into: &mut Vec<u8>) -> Result<()> {
        while let Some((head, rest)) = raw.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > FRAME_LIMIT_BYTES {
                return Err(crate::fault::protocol(format!("a frame of {length} bytes")));
            }
            if rest.len() < length {
                break;
            }
            into.extend(self.login.unwrap(&rest[..length])?);
            raw.drain(..4 + length);
        }
        Ok(())
    }
}
