//! Writing a tape while an instance works. What goes wrong with the tape never harms the work: the
//! tape is given up.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_model::error::{Error, Result};
use longshore_model::grant::Grant;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use zstd::Encoder;

use super::redact::{HeldTail, Redactor};
use super::{Failure, Line, TapeEncode, TapeEvent, Topic};
use crate::capability::scram::Scram;

/// Tapes are written once and seldom read.
const COMPRESSION_LEVEL: i32 = 1;

/// What an instance writes its tape with.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Recording>>);

/// A tape being written.
struct Recording {
    reel: Option<Reel>,
    /// The instance's own work failed.
    failed: bool,
}

struct Reel {
    file: Encoder<'static, BufWriter<NamedTempFile>>,
    redactor: Redactor,
    held: HashMap<Topic, HeldTail>,
    bytes_left: u64,
}

impl Recorder {
    /// Begins a tape of at most so many bytes in a folder, out of sight until it is kept. The label is
    /// written as it is.
    pub fn begin(
        folder: &Path,
        label: &impl Serialize,
        grant: &Grant,
        limit_bytes: u64,
    ) -> Result<Self> {
        let fault = |error| Error::io(format!("a tape in {}", folder.display()), error);
        let file = NamedTempFile::new_in(folder).map_err(fault)?;
        let mut file = Encoder::new(BufWriter::new(file), COMPRESSION_LEVEL).map_err(fault)?;
        writeln!(file, "{}", serde_json::to_string(label)?).map_err(fault)?;
        let redactor = Redactor::new(grant);
        let reel = Reel { file, redactor, held: HashMap::new(), bytes_left: limit_bytes };
        Ok(Self(Arc::new(Mutex::new(Recording { reel: Some(reel), failed: false }))))
    }

    /// What the host answered.
    pub(in crate::capability) fn answer<T: TapeEncode>(&self, on: Topic, answer: &Result<T>) {
        let (what, bytes) = match answer {
            Ok(answer) => answer.event(),
            Err(error) => (TapeEvent::Failed(error.into()), [].as_slice()),
        };
        self.with(|reel| {
            if on.is_stream() { reel.stream(on, what, bytes) } else { reel.event(on, what, bytes) }
        });
    }

    /// A login that is about to be proved by the server.
    pub(in crate::capability) fn hide(&self, scram: &Scram) {
        self.with(|reel| {
            reel.redactor.hide_signature(&scram.server_signature);
            Ok(())
        });
    }

    /// Rows that the plugin is handed.
    pub fn input(&self, pieces: &[Vec<u8>]) {
        let lengths = pieces.iter().map(Vec::len).collect();
        self.with(|reel| reel.event(Topic::Input, TapeEvent::Pieces(lengths), &pieces.concat()));
    }

    /// What the plugin gave.
    pub fn output(&self, pieces: &[Vec<u8>]) {
        self.with(|reel| reel.event(Topic::Output, TapeEvent::Digest(digest(pieces)), &[]));
    }

    /// The instance's work failed.
    pub fn fail(&self) {
        self.0.lock().failed = true;
    }

    /// Whether the instance's own work failed.
    pub fn has_failed(&self) -> bool {
        self.0.lock().failed
    }

    /// Ends the tape and keeps it under a name; nothing if it was given up.
    pub fn keep(&self, path: PathBuf, error: &Error) -> Result<Option<PathBuf>> {
        let reel = self.0.lock().reel.take();
        let Some(reel) = reel else { return Ok(None) };
        let fault = |error| Error::io(path.display(), error);
        let file = reel.end(error).map_err(fault)?;
        file.persist(&path).map_err(|error| fault(error.error))?;
        Ok(Some(path))
    }

    fn with(&self, write: impl FnOnce(&mut Reel) -> io::Result<()>) {
        let mut recording = self.0.lock();
        let Some(reel) = &mut recording.reel else { return };
        if let Err(error) = write(reel) {
            tracing::warn!("a tape is given up: {error}");
            recording.reel = None;
        }
    }
}

impl Reel {
    fn stream(&mut self, on: Topic, what: TapeEvent, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            self.flush(on)?;
            return self.event(on, what, bytes);
        }
        let ready = self.held.entry(on).or_default().push(bytes, &mut self.redactor);
        ready
            .iter()
            .try_for_each(|piece| self.write(on, TapeEvent::Pieces(vec![piece.len()]), piece))
    }

    fn flush(&mut self, on: Topic) -> io::Result<()> {
        let Some(mut held) = self.held.remove(&on) else { return Ok(()) };
        while let Some(piece) = held.pop() {
            self.write(on, TapeEvent::Pieces(vec![piece.len()]), &piece)?;
        }
        Ok(())
    }

    fn event(&mut self, on: Topic, what: TapeEvent, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        self.redactor.clean(&mut bytes);
        self.write(on, what, &bytes)
    }

    fn write(&mut self, on: Topic, mut what: TapeEvent, bytes: &[u8]) -> io::Result<()> {
        self.redactor.clean_what(&mut what);
        let line = serde_json::to_string(&Line::Event { on, what })?;
        let size = (line.len() + bytes.len()) as u64;
        self.bytes_left = self.bytes_left.checked_sub(size).ok_or_else(|| {
            io::Error::other("it is longer than `tape_mib` under `[limits]` allows")
        })?;
        writeln!(self.file, "{line}")?;
        self.file.write_all(bytes)
    }

    fn end(mut self, error: &Error) -> io::Result<NamedTempFile> {
        let streams: Vec<Topic> = self.held.keys().copied().collect();
        streams.into_iter().try_for_each(|on| self.flush(on))?;
        let mut error = Failure::from(error);
        self.redactor.clean_failure(&mut error);
        let end = Line::End { error, hidden: self.redactor.hidden };
        writeln!(self.file, "{}", serde_json::to_string(&end)?)?;
        let mut file = self.file.finish()?;
        file.flush()?;
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// What tells one output from another.
pub(super) fn digest(pieces: &[Vec<u8>]) -> String {
    let mut digest = Sha256::new();
    pieces.iter().for_each(|piece| digest.update(piece));
    hex::encode(&digest.finalize()[..16])
}
