//! Uploads: what encoders write goes to a store piece by piece, on the runtime that serves
//! connections. Every wait has a limit.

use std::io::{self, Write};
use std::mem;

use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::error::{Error, Result};
use longshore_model::memory::{Account, memory};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::PartFile;
use super::request::within;

/// The bytes of one piece of an upload.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// How long a store may take for one piece.
pub(super) const WRITE_TIMEOUT_SECS: u64 = 120;

/// Pieces that wait between an encoder and its upload.
const PIECES_AHEAD: usize = 2;

/// A store's side of an upload.
#[async_trait]
pub(super) trait Uploader: Send + 'static {
    /// Takes the next bytes.
    async fn put(&mut self, piece: Bytes) -> Result<()>;

    /// Makes everything durable; gives what the store needs to publish it.
    async fn finish(&mut self) -> Result<String>;

    /// Gives it up.
    async fn abort(&mut self);
}

enum Message {
    Piece(Bytes),
    Finish,
}

/// An encoder's side of an upload.
pub(super) struct Upload {
    what: String,
    pending: Vec<u8>,
    pieces: Sender<Message>,
    task: Option<JoinHandle<Result<String>>>,
    _held: Account,
}

impl Upload {
    /// Starts an upload on a runtime; `what` is for errors. The store's side holds up to
    /// `uploader_bytes` besides.
    pub(super) fn start(
        io: &Handle,
        what: String,
        uploader: impl Uploader,
        uploader_bytes: usize,
    ) -> Self {
        let mut held = memory().account();
        held.set(uploader_bytes + PIECE_BYTES * (PIECES_AHEAD + 2));
        let (pieces, received) = channel(PIECES_AHEAD);
        let task = io.spawn(carry(what.clone(), uploader, received));
        Self {
            what,
            pending: Vec::with_capacity(PIECE_BYTES),
            pieces,
            task: Some(task),
            _held: held,
        }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let piece = mem::replace(&mut self.pending, Vec::with_capacity(PIECE_BYTES));
        let sent = tokio::task::block_in_place(|| {
            self.pieces.blocking_send(Message::Piece(Bytes::from(piece)))
        });
        sent.map_err(|_| io::Error::other(self.cause()))
    }

    /// Why the other side is gone.
    fn cause(&mut self) -> Error {
        let Some(task) = self.task.take() else {
            return Error::internal(format!("{}: written after its end", self.what));
        };
        let ended = tokio::task::block_in_place(|| Handle::current().block_on(task));
        match ended {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => Error::internal(format!("{}: ended early", self.what)),
            Err(error) => Error::internal(format!("{}: {error}", self.what)),
        }
    }
}

async fn carry(
    what: String,
    mut uploader: impl Uploader,
    mut pieces: Receiver<Message>,
) -> Result<String> {
    let secs = WRITE_TIMEOUT_SECS;
    let uploaded = loop {
        let step = match pieces.recv().await {
            Some(Message::Piece(piece)) => within(secs, || what.clone(), uploader.put(piece)).await,
            Some(Message::Finish) => {
                break within(secs, || what.clone(), uploader.finish()).await;
            }
            // The encoder gave up.
            None => Err(Error::internal(format!("{what}: given up"))),
        };
        if let Err(error) = step {
            break Err(error);
        }
    };
    if uploaded.is_err() {
        let aborting = async {
            uploader.abort().await;
            Ok::<(), Error>(())
        };
        if let Err(error) = within(secs, || format!("giving up {what}"), aborting).await {
            tracing::warn!("{error}");
        }
    }
    uploaded
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.pending.len();
        let taken = bytes.len().min(room);
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == PIECE_BYTES {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl PartFile for Upload {
    async fn finish(mut self: Box<Self>) -> Result<String> {
        let last = mem::take(&mut self.pending);
        if !last.is_empty() {
            // If nobody takes it, the task tells why.
            let _ = self.pieces.send(Message::Piece(Bytes::from(last))).await;
        }
        let _ = self.pieces.send(Message::Finish).await;
        match self.task.take() {
            Some(task) => {
                task.await.map_err(|error| Error::internal(format!("{}: {error}", self.what)))?
            }
            None => Err(Error::internal(format!("{}: finished after a failure", self.what))),
        }
    }
}
