//! How messages travel: bare, in the frames of SASL, protected or not, or as bodies of HTTP requests.

mod gssapi;
mod http;
mod sasl;

use longshore_sdk::host::{Connection, Endpoint, TlsOptions, TlsVerify};
use longshore_sdk::{Error, Result, Secret};

use crate::address::Address;
use crate::{Auth, Config, Tls, Transport};
use http::Http;

/// What is asked for in one read.
const READ_BYTES: u32 = 1 << 20;

/// A way to the server and back, one message after the other.
pub struct Wire {
    way: Way,
    /// What has arrived and is not read.
    buffer: Vec<u8>,
    at: usize,
}

enum Way {
    Bare(Connection),
    /// Each message is a frame: bytes that are left of the one under way.
    Framed {
        connection: Connection,
        raw: Vec<u8>,
        frame_left: usize,
    },
    /// The same, each frame protected by a login by Kerberos.
    Sealed {
        connection: Connection,
        raw: Vec<u8>,
        seal: gssapi::Seal,
    },
    Http(Box<Http>),
}

/// Who logs in.
pub struct Login<'a> {
    pub user: &'a str,
    pub password: Option<&'a Secret>,
}

impl Wire {
    /// Connects and logs in.
    pub fn open(address: &Address, config: &Config) -> Result<Self> {
        let login = Login { user: &address.user, password: config.password.as_ref() };
        let way = match (config.transport, config.auth(address)) {
            (Transport::Http, _) => Way::Http(Box::new(Http::new(address, config)?)),
            (Transport::Binary, Auth::Nosasl) => Way::Bare(connect(address, config)?),
            (Transport::Binary, Auth::Plain) => {
                let mut connection = connect(address, config)?;
                sasl::log_in(&mut connection, &login)?;
                Way::Framed { connection, raw: Vec::new(), frame_left: 0 }
            }
            (Transport::Binary, Auth::Kerberos) => {
                let mut connection = connect(address, config)?;
                let raw = Vec::new();
                match gssapi::log_in(&mut connection, config.service(address), &address.host)? {
                    None => Way::Framed { connection, raw, frame_left: 0 },
                    Some(seal) => Way::Sealed { connection, raw, seal },
                }
            }
        };
        Ok(Self { way, buffer: Vec::new(), at: 0 })
    }

    /// Sends one message; what was left of the last answer is forgotten.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.buffer.clear();
        self.at = 0;
        match &mut self.way {
            Way::Bare(connection) => connection.write(message),
            Way::Framed { connection, raw, frame_left } => {
                raw.clear();
                *frame_left = 0;
                let mut frame = (message.len() as u32).to_be_bytes().to_vec();
                frame.extend_from_slice(message);
                connection.write(&frame)
            }
            Way::Sealed { connection, raw, seal } => {
                raw.clear();
                for frame in seal.frames(message) {
                    connection.write(&frame?)?;
                }
                Ok(())
            }
            Way::Http(http) => http.send(message),
        }
    }

    /// Has the host send a message on a connection of its own, if this one ends before it is taken
    /// back; only where that needs no login.
    pub fn set_cancel_message(&mut self, message: &[u8]) -> Result<()> {
        match &mut self.way {
            Way::Bare(connection) => connection.set_cancel_message(message),
            Way::Framed { .. } | Way::Sealed { .. } | Way::Http(_) => Ok(()),
        }
    }

    /// The next bytes of the answer.
    pub fn take(&mut self, length: usize) -> Result<&[u8]> {
        while self.buffer.len() - self.at < length {
            if self.at > 0 {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            self.fill()?;
        }
        self.at += length;
        Ok(&self.buffer[self.at - length..self.at])
    }

    fn fill(&mut self) -> Result<()> {
        match &mut self.way {
            Way::Bare(connection) => self.buffer.extend(some(connection.read(READ_BYTES)?)?),
            Way::Http(http) => self.buffer.extend(some(http.read(READ_BYTES)?)?),
            Way::Framed { connection, raw, frame_left } => {
                let mut piece = std::mem::take(raw);
                piece.extend(some(connection.read(READ_BYTES)?)?);
                unframe(&piece, frame_left, raw, &mut self.buffer)?;
            }
            Way::Sealed { connection, raw, seal } => {
                raw.extend(some(connection.read(READ_BYTES)?)?);
                seal.open(raw, &mut self.buffer)?;
            }
        }
        Ok(())
    }
}

/// Takes the frames off a piece; the beginning of a head that is cut stays in `rest`.
fn unframe(
    mut piece: &[u8],
    frame_left: &mut usize,
    rest: &mut Vec<u8>,
    into: &mut Vec<u8>,
) -> Result<()> {
    while !piece.is_empty() {
        if *frame_left == 0 {
            let Some((head, after)) = piece.split_first_chunk::<4>() else {
                rest.extend_from_slice(piece);
                return Ok(());
            };
            *frame_left = usize::try_from(i32::from_be_bytes(*head))
                .map_err(|_| crate::fault::protocol("a frame of negative length".into()))?;
            piece = after;
        }
        let (body, after) = piece.split_at(piece.len().min(*frame_left));
        into.extend_from_slice(body);
        *frame_left -= body.len();
        piece = after;
    }
    Ok(())
}

fn some(piece: Vec<u8>) -> Result<Vec<u8>> {
    if piece.is_empty() {
        Err(Error::connection("the server closed the connection")
            .with_hint("check `auth` and `transport`: servers do so when they expect another"))
    } else {
        Ok(piece)
    }
}

fn connect(address: &Address, config: &Config) -> Result<Connection> {
    let endpoint = Endpoint { host: address.host.clone(), port: address.port };
    let mut connection = Connection::connect(&endpoint)?;
    let verify = match config.tls {
        Tls::Disable => return Ok(connection),
        Tls::Require => TlsVerify::None,
        Tls::VerifyCa => TlsVerify::Authority,
        Tls::VerifyFull => TlsVerify::Full,
    };
    let authorities = config.root_cert.as_ref().map(Secret::reveal).transpose()?;
    let server_name = address.host.clone();
    connection.start_tls(&TlsOptions { server_name, verify, authorities })?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_are_taken_off_wherever_they_are_cut(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 1..9),
            cut in 1_usize..40,
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend((message.len() as u32).to_be_bytes());
                stream.extend(message);
            }
            let (mut raw, mut left, mut out) = (Vec::new(), 0, Vec::new());
            for piece in stream.chunks(cut) {
                let mut whole = std::mem::take(&mut raw);
                whole.extend_from_slice(piece);
                unframe(&whole, &mut left, &mut raw, &mut out).unwrap();
            }
            prop_assert_eq!(out, messages.concat());
        }
    }
}
