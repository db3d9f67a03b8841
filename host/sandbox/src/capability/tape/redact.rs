//! Blacking out secrets: in texts, and in streams that are cut anywhere.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use longshore_model::grant::{Grant, REDACT_MIN_BYTES};
use memchr::memmem;
use serde_json::Value;

use super::{Failure, TapeEvent};

/// Bytes of SHA-256, which SCRAM signs with.
pub(super) const SIGNATURE_BYTES: usize = 32;

/// Bytes that are not to be on a tape, and what stands there instead, which is as long.
#[derive(Default)]
pub(super) struct Redactor {
    secrets: Vec<(Vec<u8>, Vec<u8>)>,
    /// How often something was blacked out.
    pub(super) hidden: u64,
}

impl Redactor {
    pub(super) fn new(grant: &Grant) -> Self {
        let secrets = grant.secrets.values().map(|secret| secret.reveal().as_bytes());
        let secrets = secrets.filter(|secret| secret.len() >= REDACT_MIN_BYTES);
        let hidden = |secret: &[u8]| (secret.to_vec(), vec![b'*'; secret.len()]);
        Self { secrets: secrets.map(hidden).collect(), hidden: 0 }
    }

    /// From now on, what a server sends to prove that it knows the password is hidden too: whoever
    /// has it can try passwords on it.
    pub(super) fn hide_signature(&mut self, signature: &[u8]) {
        let nothing = [0; SIGNATURE_BYTES];
        self.secrets.push((BASE64.encode(signature).into(), BASE64.encode(nothing).into()));
    }

    pub(super) fn clean(&mut self, bytes: &mut [u8]) {
        for (secret, instead) in &self.secrets {
            let found: Vec<usize> = memmem::find_iter(bytes, secret).collect();
            for at in found {
                bytes[at..at + secret.len()].copy_from_slice(instead);
                self.hidden += 1;
            }
        }
    }

    /// The texts of an event; its own words stay.
    pub(super) fn clean_what(&mut self, what: &mut TapeEvent) {
        match what {
            TapeEvent::Failed(failure) => self.clean_failure(failure),
            TapeEvent::Head { headers, .. } => {
                headers.iter_mut().for_each(|(_, value)| self.clean_text(value));
            }
            TapeEvent::Done
            | TapeEvent::Hidden
            | TapeEvent::Number(_)
            | TapeEvent::Digest(_)
            | TapeEvent::Pieces(_) => {}
        }
    }

    pub(super) fn clean_failure(&mut self, failure: &mut Failure) {
        self.clean_text(&mut failure.message);
        failure.hint.iter_mut().for_each(|hint| self.clean_text(hint));
    }

    fn clean_text(&mut self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        self.clean(&mut bytes);
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }

    /// How much of a stream's end could be the beginning of a secret.
    fn reach(&self) -> usize {
        self.secrets.iter().map(|(secret, _)| secret.len() - 1).max().unwrap_or(0)
    }
}

/// Blacks out a grant's secrets in all texts of a value; its keys stay.
pub fn hide_in(value: &mut Value, grant: &Grant) {
    clean_value(value, &mut Redactor::new(grant));
}

fn clean_value(value: &mut Value, redactor: &mut Redactor) {
    match value {
        Value::String(text) => redactor.clean_text(text),
        Value::Array(values) => values.iter_mut().for_each(|value| clean_value(value, redactor)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| clean_value(value, redactor));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The end of a stream that is not written yet: a secret could begin in it.
#[derive(Default)]
pub(super) struct HeldTail {
    bytes: Vec<u8>,
    pieces: VecDeque<usize>,
}

impl HeldTail {
    /// Takes a piece; gives those in which nothing can begin any more.
    pub(super) fn push(&mut self, piece: &[u8], redactor: &mut Redactor) -> Vec<Vec<u8>> {
        self.bytes.extend_from_slice(piece);
        self.pieces.push_back(piece.len());
        redactor.clean(&mut self.bytes);
        let reach = redactor.reach();
        let mut ready = Vec::new();
        while let Some(&first) = self.pieces.front()
            && self.bytes.len() - first >= reach
        {
            ready.extend(self.pop());
        }
        ready
    }

    /// The first piece.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let length = self.pieces.pop_front()?;
        let rest = self.bytes.split_off(length);
        Some(std::mem::replace(&mut self.bytes, rest))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use longshore_model::grant::SecretValue;

    fn redactor() -> Redactor {
        let secrets = [("password".to_owned(), SecretValue::new("hunter2"))].into();
        Redactor::new(&Grant { secrets, ..Grant::default() })
    }

    proptest! {
        #[test]
        fn a_secret_is_hidden_wherever_a_stream_is_cut(
            around in "[a-z]{0,20}",
            cuts in proptest::collection::vec(1_usize..9, 1..60),
        ) {
            let stream = format!("{around}hunter2{around}hunter2hunter2{around}");
            let (mut redactor, mut held, mut written) = (redactor(), HeldTail::default(), Vec::new());
            let (mut rest, mut lengths) = (stream.as_bytes(), Vec::new());
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                lengths.push(piece.len());
                written.extend(held.push(piece, &mut redactor));
                rest = after;
            }
            written.extend(std::iter::from_fn(|| held.pop()));
            prop_assert_eq!(written.iter().map(Vec::len).collect::<Vec<_>>(), lengths);
            let expected = stream.replace("hunter2", "*******");
            prop_assert_eq!(String::from_utf8(written.concat()).unwrap(), expected);
            prop_assert_eq!(redactor.hidden, 3);
        }
    }
}
