//! A tape, in the world's place: whatever an instance asks for is answered from it.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use longshore_model::error::{Error, Result};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use zstd::Decoder;

use super::recorder::digest;
use super::{Line, TapeEncode, TapeEvent, Topic};

/// The most bytes of one line of a tape.
const LINE_LIMIT_BYTES: u64 = 64 << 20;

/// An instance asked for more than is on its tape: it went on where it had stopped before.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the tape ends here")]
pub struct TapeEnds;

/// A tape that was read.
pub struct Tape<L> {
    /// Its owner's label.
    pub label: L,
    /// What answers.
    pub player: Player,
    /// What the plugin was handed, in its order.
    pub inputs: Vec<Vec<Vec<u8>>>,
    /// How it ended.
    pub ending: Ending,
}

/// How the work that is on a tape ended.
#[derive(Debug)]
pub struct Ending {
    /// With this error.
    pub error: Error,
    /// How often a secret was blacked out in what crossed: then rows may not be what they were.
    pub hidden: u64,
}

/// What was seen of an instance that works on a tape.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstanceUse {
    /// What it gave, in calls.
    pub outputs: u64,
    /// The first call, from 0, that gave something else than on the tape.
    pub differs_at: Option<u64>,
    /// It asked for more than is on the tape.
    pub went_on: bool,
}

/// Answers from a tape.
pub struct Player {
    answers: HashMap<Topic, VecDeque<(TapeEvent, Vec<u8>)>>,
    last: HashMap<Topic, u64>,
    seen: Arc<Mutex<InstanceUse>>,
}

impl<L: DeserializeOwned> Tape<L> {
    /// Reads a tape.
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |error| Error::io(path.display(), error);
        let file = File::open(path).map_err(fault)?;
        let mut lines =
            BufReader::new(Decoder::new(BufReader::new(file)).map_err(|_| damaged(path))?);
        let label = line(&mut lines).map_err(|_| damaged(path))?;
        let label = serde_json::from_slice(&label).map_err(|error| {
            Error::config(format!("{}: not a tape of this version: {error}", path.display()))
                .with_hint("replay it with the version of Longshore that recorded it")
        })?;
        let (answers, ending) = events(&mut lines).map_err(|_| damaged(path))?;
        let mut player = Player { answers, last: HashMap::new(), seen: Arc::default() };
        let inputs = player.answers.remove(&Topic::Input).unwrap_or_default();
        let inputs = inputs.into_iter().map(|(what, bytes)| cut(&what, bytes)).collect();
        Ok(Self { label, player, inputs, ending })
    }
}

fn damaged(path: &Path) -> Error {
    Error::config(format!("{}: not a tape, or cut off", path.display()))
        .with_hint("name a file that a job with `record: on-failure` left; copy it again")
}

type Answers = HashMap<Topic, VecDeque<(TapeEvent, Vec<u8>)>>;

fn events(lines: &mut impl BufRead) -> io::Result<(Answers, Ending)> {
    let mut answers = Answers::new();
    loop {
        match serde_json::from_slice(&line(lines)?)? {
            Line::Event { on, what } => {
                let length = match &what {
                    TapeEvent::Pieces(lengths) => lengths.iter().map(|length| *length as u64).sum(),
                    _ => 0_u64,
                };
                let mut bytes = Vec::new();
                lines.take(length).read_to_end(&mut bytes)?;
                if bytes.len() as u64 != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                answers.entry(on).or_default().push_back((what, bytes));
            }
            Line::End { error, hidden } => {
                return Ok((answers, Ending { error: error.into(), hidden }));
            }
        }
    }
}

fn line(lines: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    lines.take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Pieces as they were.
fn cut(what: &TapeEvent, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let TapeEvent::Pieces(lengths) = what else { return Vec::new() };
    let piece = |length: &usize| {
        let rest = bytes.split_off((*length).min(bytes.len()));
        std::mem::replace(&mut bytes, rest)
    };
    lengths.iter().map(piece).collect()
}

impl Player {
    /// What will be seen of the instance.
    pub fn seen(&self) -> Arc<Mutex<InstanceUse>> {
        self.seen.clone()
    }

    /// The next answer of a topic.
    pub(in crate::capability) fn answer<T: TapeEncode>(
        &mut self,
        on: Topic,
    ) -> Result<Result<T>, TapeEnds> {
        let Some((what, bytes)) = self.answers.get_mut(&on).and_then(VecDeque::pop_front) else {
            return Err(self.ends());
        };
        Ok(match what {
            TapeEvent::Failed(failure) => Err(failure.into()),
            what => T::from_event(what, bytes).ok_or_else(|| {
                Error::internal(format!("the tape is damaged: {on:?} has another answer"))
            }),
        })
    }

    /// The next answer, or that it was done: another build may ask more often.
    pub(in crate::capability) fn done(&mut self, on: Topic) -> Result<()> {
        if self.answers.get(&on).is_some_and(|answers| !answers.is_empty()) {
            self.answer(on).unwrap_or(Ok(()))
        } else {
            Ok(())
        }
    }

    /// The next moment; the last one again, when there are no more.
    pub(in crate::capability) fn moment(&mut self, on: Topic) -> Result<u64, TapeEnds> {
        if let Some((TapeEvent::Number(moment), _)) =
            self.answers.get_mut(&on).and_then(VecDeque::pop_front)
        {
            self.last.insert(on, moment);
        }
        self.last.get(&on).copied().ok_or_else(|| self.ends())
    }

    /// The next piece of a stream, at most so long; what is cut off comes next.
    pub(in crate::capability) fn piece(
        &mut self,
        on: Topic,
        max: u32,
    ) -> Result<Result<Vec<u8>>, TapeEnds> {
        let mut piece: Vec<u8> = match self.answer(on)? {
            Ok(piece) => piece,
            Err(error) => return Ok(Err(error)),
        };
        let answers = self.answers.entry(on).or_default();
        if piece.is_empty() {
            // A stream that is over stays over.
            answers.push_front((TapeEvent::Pieces(vec![0]), Vec::new()));
        } else if piece.len() > max.max(1) as usize {
            let rest = piece.split_off(max.max(1) as usize);
            answers.push_front((TapeEvent::Pieces(vec![rest.len()]), rest));
        }
        Ok(Ok(piece))
    }

    /// Looks whether the plugin gave what it gave before.
    pub(in crate::capability) fn output(&mut self, pieces: &[Vec<u8>]) {
        let before = self.answers.get_mut(&Topic::Output).and_then(VecDeque::pop_front);
        let mut seen = self.seen.lock();
        let is_same = before.is_none_or(|(what, _)| what == TapeEvent::Digest(digest(pieces)));
        if !is_same && seen.differs_at.is_none() {
            seen.differs_at = Some(seen.outputs);
        }
        seen.outputs += 1;
    }

    fn ends(&self) -> TapeEnds {
        self.seen.lock().went_on = true;
        TapeEnds
    }
}
