//! Tapes: everything that crossed into one instance while it worked, so that the same can be run
//! again where there is neither a server nor a secret.
//!
//! A tape is lines of JSON in a zstd stream: first a label, which is its owner's, then [`Event`]s, each
//! followed by its bytes, at last how it ended. Events of one topic are in their order; those of
//! different topics need not be. Secrets are blacked out before anything is written.

mod player;
mod recorder;
mod redact;

pub use player::{Ending, InstanceUse, Player, Tape, TapeEnds};
pub use recorder::Recorder;
pub use redact::hide_in;

use longshore_model::error::{Class, Error};
use serde::{Deserialize, Serialize};

use super::kerberos::Step;
use super::scram::Scram;

/// What stands on a tape in a secret's place.
const HIDDEN: &str = "***";

/// What an event is about; each has its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// `clock.now`.
    Now,
    /// `clock.monotonic`.
    Monotonic,
    /// `random.bytes`.
    Random,
    /// `secrets.get`.
    Secret,
    /// `secrets.scram-sha256`.
    Scram,
    /// `connection.connect`.
    Connect,
    /// `start-tls` of the connection of this number.
    Tls(u32),
    /// `read`.
    Read(u32),
    /// `write`.
    Write(u32),
    /// `cancel_message`.
    CancelMessage(u32),
    /// `response.send`.
    Request,
    /// `read` of the response of this number.
    Body(u32),
    /// `odbc`: whatever is asked, in its order.
    Odbc,
    /// `kerberos`: whatever is asked, in its order.
    Kerberos,
    /// Rows that the plugin was handed.
    Input,
    /// What the plugin gave: its digest.
    Output,
}

impl Topic {
    /// Whether its bytes are one stream, cut anywhere.
    fn is_stream(self) -> bool {
        matches!(self, Self::Read(_) | Self::Body(_))
    }
}

/// What happened; its bytes stand behind it on the tape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TapeEvent {
    /// It was done.
    Done,
    /// A secret was given, which is not on the tape.
    Hidden,
    /// A number.
    Number(u64),
    /// A digest.
    Digest(String),
    /// Pieces of bytes, by their lengths.
    Pieces(Vec<usize>),
    /// An answer's status and headers.
    Head {
        /// Its status.
        status: u16,
        /// Names and values.
        headers: Vec<(String, String)>,
    },
    /// It failed.
    Failed(Failure),
}

/// An error, as it is on a tape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    class: Class,
    message: String,
    hint: Option<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { class: error.class(), message: error.to_string(), hint }
    }
}

impl From<Failure> for Error {
    fn from(Failure { class, message, hint }: Failure) -> Self {
        let error = Self::new(class, message);
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// One event, as a line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Event {
        on: Topic,
        what: TapeEvent,
    },
    /// The last line: how the instance's work ended, and how often a secret was blacked out in what
    /// crossed.
    End {
        error: Failure,
        hidden: u64,
    },
}

/// What the host answers, as it is on a tape.
pub(super) trait TapeEncode: Sized {
    /// The event, and its bytes.
    fn event(&self) -> (TapeEvent, &[u8]);

    /// What it was; nothing if it is something else.
    fn from_event(what: TapeEvent, bytes: Vec<u8>) -> Option<Self>;
}

impl TapeEncode for () {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Done, &[])
    }

    fn from_event(what: TapeEvent, _: Vec<u8>) -> Option<Self> {
        (what == TapeEvent::Done).then_some(())
    }
}

impl TapeEncode for u64 {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Number(*self), &[])
    }

    fn from_event(what: TapeEvent, _: Vec<u8>) -> Option<Self> {
        let TapeEvent::Number(number) = what else { return None };
        Some(number)
    }
}

impl TapeEncode for Vec<u8> {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Pieces(vec![self.len()]), self)
    }

    fn from_event(what: TapeEvent, bytes: Vec<u8>) -> Option<Self> {
        matches!(what, TapeEvent::Pieces(_)).then_some(bytes)
    }
}

/// A secret.
impl TapeEncode for String {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Hidden, &[])
    }

    fn from_event(what: TapeEvent, _: Vec<u8>) -> Option<Self> {
        (what == TapeEvent::Hidden).then(|| HIDDEN.to_owned())
    }
}

/// Made of a secret: a guess at the secret could be tried on it.
impl TapeEncode for Scram {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Hidden, &[])
    }

    fn from_event(what: TapeEvent, _: Vec<u8>) -> Option<Self> {
        let nothing = || vec![0; redact::SIGNATURE_BYTES];
        (what == TapeEvent::Hidden)
            .then(|| Self { client_proof: nothing(), server_signature: nothing() })
    }
}

/// Whether a login is done; a ticket could be made use of.
impl TapeEncode for Step {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Number(self.done.into()), &[])
    }

    fn from_event(what: TapeEvent, _: Vec<u8>) -> Option<Self> {
        let TapeEvent::Number(done) = what else { return None };
        Some(Self { token: Vec::new(), done: done == 1 })
    }
}

/// An answer's status and headers.
impl TapeEncode for (u16, Vec<(String, String)>) {
    fn event(&self) -> (TapeEvent, &[u8]) {
        (TapeEvent::Head { status: self.0, headers: self.1.clone() }, &[])
    }

    fn from_event(what: TapeEvent, _: Vec<u8>) -> Option<Self> {
        let TapeEvent::Head { status, headers } = what else { return None };
        Some((status, headers))
    }
}
