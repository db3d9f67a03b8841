//! `connection`: byte streams to granted endpoints. The host resolves, connects, speaks TLS, and
//! reads ahead on its own task while the plugin works.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use longshore_model::error::{Error, Result};
use longshore_model::grant::{Endpoint, Grant};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::address::reachable;
use super::tls::{self, TlsOptions};

/// How long to wait for an address to answer.
pub const CONNECT_TIMEOUT_SECS: u64 = 10;

/// How long to wait for the other side's next byte: a query may think long before its first row.
pub const READ_TIMEOUT_SECS: u64 = 3_600;

/// How long to wait for the other side to take what is written.
pub const WRITE_TIMEOUT_SECS: u64 = 120;

/// The most that is read ahead into one piece. Two pieces are held at the most: one on its way in,
/// one waiting for the plugin.
pub const READ_AHEAD_PIECE_BYTES: usize = 1 << 20;

/// From so many bytes on, a connection carries rows rather than questions and answers.
const BULK_BYTES: usize = 256 << 10;

/// Rows are waited for until there are so many bytes of them: wake-ups of both sides, and calls of
/// the plugin, cost more than copying.
const BULK_PIECE_BYTES: usize = 512 << 10;

/// But no longer than this.
const BULK_WAIT_MILLIS: u64 = 5;

/// How long a connection is silent before the other side is asked whether it is still there, and
/// how often it is asked before it is given up.
const KEEPALIVE_IDLE_SECS: u64 = 60;
const KEEPALIVE_INTERVAL_SECS: u64 = 15;
const KEEPALIVE_RETRIES: u32 = 4;

/// The most that is sent when a connection ends too early, how long it may take, and how often is
/// looked whether all is sent.
const CANCEL_MESSAGE_LIMIT_BYTES: usize = 1_024;
const CANCEL_MESSAGE_TIMEOUT_SECS: u64 = 3;
const CANCEL_MESSAGE_POLL_MILLIS: u64 = 5;

/// The most that one call gives.
pub const READ_LIMIT_BYTES: u32 = 4 << 20;

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}
type Socket = Box<dyn Transport>;

/// An open connection.
pub struct Connection {
    io: Handle,
    endpoint: Endpoint,
    /// The address that was checked and dialled.
    peer: SocketAddr,
    /// Absent only after a failed upgrade.
    halves: Option<(Receiver, WriteHalf<Socket>)>,
    cancel_message: Vec<u8>,
}

impl Connection {
    /// Resolves and connects, within the grant. The stream belongs to the runtime `io`, so that
    /// plugins that compute on another one do not hold it up.
    pub async fn connect(io: &Handle, grant: &Grant, endpoint: Endpoint) -> Result<Self> {
        grant.check(&endpoint)?;
        let dialling = {
            let endpoint = endpoint.clone();
            async move {
                let task = AbortOnDropHandle::new(io.spawn(dial(endpoint)));
                task.await.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
            }
        };
        let stream = match timeout(Duration::from_secs(CONNECT_TIMEOUT_SECS), dialling).await {
            Ok(connected) => connected?,
            Err(_) => {
                return Err(Error::timeout(format!(
                    "{endpoint} did not answer in {CONNECT_TIMEOUT_SECS} s"
                ))
                .with_hint("check the host and the port, and that a firewall lets you through"));
            }
        };
        // Small requests and large answers: never wait to fill a segment.
        stream.set_nodelay(true).map_err(|error| broken(&endpoint, error))?;
        keep_alive(&stream).map_err(|error| broken(&endpoint, error))?;
        let alarm = Alarm::new(&stream).map_err(|error| broken(&endpoint, error))?;
        let peer = stream.peer_addr().map_err(|error| broken(&endpoint, error))?;
        let halves = Some(split(io, Box::new(stream), alarm));
        Ok(Self { io: io.clone(), endpoint, peer, halves, cancel_message: Vec::new() })
    }

    /// Turns the stream into a TLS stream.
    pub async fn start_tls(&mut self, options: &TlsOptions) -> Result<()> {
        let config = tls::client_config(options)?;
        let name = ServerName::try_from(options.server_name.clone()).map_err(|_| {
            Error::config(format!("`{}` is not a server's name", options.server_name))
        })?;
        let Some((receiver, writer)) = self.halves.take() else { return Err(self.closed()) };
        let (ReceiveHalf { reader, alarm }, unread) = receiver.stop().await;
        if !unread.is_empty() {
            // Whoever is in the middle could have put it there, to be taken for the server's.
            return Err(Error::connection(format!(
                "{}: unencrypted bytes before TLS began",
                self.endpoint
            )));
        }
        let handshake = TlsConnector::from(config).connect(name, reader.unsplit(writer));
        let stream = timeout(Duration::from_secs(CONNECT_TIMEOUT_SECS), handshake)
            .await
            .map_err(|_| {
                Error::timeout(format!(
                    "{}: no TLS handshake in {CONNECT_TIMEOUT_SECS} s",
                    self.endpoint
                ))
            })?
            .map_err(|error| handshake_error(&self.endpoint, error))?;
        self.halves = Some(split(&self.io, Box::new(stream), alarm));
        Ok(())
    }

    /// What has arrived, at most `max` bytes; waits if nothing has; empty at the end.
    pub async fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        let Some((receiver, _)) = &mut self.halves else { return Err(self.closed()) };
        let max = max.clamp(1, READ_LIMIT_BYTES) as usize;
        match timeout(Duration::from_secs(READ_TIMEOUT_SECS), receiver.next(max)).await {
            Ok(piece) => piece.map_err(|error| broken(&self.endpoint, error)),
            Err(_) => {
                Err(Error::timeout(format!("{}: silent for {READ_TIMEOUT_SECS} s", self.endpoint)))
            }
        }
    }

    /// Sends all bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some((receiver, writer)) = &mut self.halves else { return Err(self.closed()) };
        receiver.asked.store(true, Ordering::Relaxed);
        let sending = async {
            writer.write_all(bytes).await?;
            writer.flush().await
        };
        match timeout(Duration::from_secs(WRITE_TIMEOUT_SECS), sending).await {
            Ok(sent) => sent.map_err(|error| broken(&self.endpoint, error)),
            Err(_) => Err(Error::timeout(format!(
                "{} took nothing for {WRITE_TIMEOUT_SECS} s",
                self.endpoint
            ))),
        }
    }

    /// What to send to the endpoint, on another connection, when this one ends.
    pub fn set_cancel_message(&mut self, bytes: Vec<u8>) -> Result<()> {
        if bytes.len() > CANCEL_MESSAGE_LIMIT_BYTES {
            return Err(Error::internal(format!(
                "a cancel_message over {CANCEL_MESSAGE_LIMIT_BYTES} bytes"
            )));
        }
        self.cancel_message = bytes;
        Ok(())
    }

    fn closed(&self) -> Error {
        Error::connection(format!("{}: the connection is closed", self.endpoint))
    }
}

/// The grant was checked when the connection was made.
impl Drop for Connection {
    fn drop(&mut self) {
        if self.cancel_message.is_empty() {
            return;
        }
        let (peer, cancel_message) = (self.peer, std::mem::take(&mut self.cancel_message));
        let sending = async move {
            let mut stream = TcpStream::connect(peer).await?;
            stream.write_all(&cancel_message).await?;
            stream.shutdown().await
        };
        // Best effort: a server that is not told finds out when it next sends something.
        let pending = Pending::new();
        self.io.spawn(async move {
            let _ = timeout(Duration::from_secs(CANCEL_MESSAGE_TIMEOUT_SECS), sending).await;
            drop(pending);
        });
    }
}

/// Cancel messages on their way.
static PENDING: AtomicUsize = AtomicUsize::new(0);

struct Pending;

impl Pending {
    fn new() -> Self {
        PENDING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        PENDING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Resolves when all cancel messages are sent, so that the process does not end before.
pub async fn cancel_messages_sent() {
    while PENDING.load(Ordering::SeqCst) > 0 {
        sleep(Duration::from_millis(CANCEL_MESSAGE_POLL_MILLIS)).await;
    }
}

/// Connects to an address that the endpoint may stand for: looked up once, so that the one that was
/// checked is the one that is dialled.
async fn dial(endpoint: Endpoint) -> Result<TcpStream> {
    let fault = |error| unreachable_error(&endpoint, error);
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(fault)?;
    let addresses = reachable(&endpoint, found.collect())?;
    TcpStream::connect(addresses.as_slice()).await.map_err(fault)
}

/// A peer that went without a word is noticed, and firewalls see that the connection is in use.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(KEEPALIVE_IDLE_SECS))
        .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_SECS))
        .with_retries(KEEPALIVE_RETRIES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn split(io: &Handle, socket: Socket, alarm: Alarm) -> (Receiver, WriteHalf<Socket>) {
    let (reader, writer) = tokio::io::split(socket);
    (Receiver::start(io, ReceiveHalf { reader, alarm }), writer)
}

/// What a socket wakes its reader for. A server sends rows in small pieces, and waking up for each
/// costs more, on both sides, than copying it.
struct Alarm {
    socket: OwnedFd,
    set_to: usize,
}

impl Alarm {
    fn new(socket: &impl AsFd) -> io::Result<Self> {
        Ok(Self { socket: socket.as_fd().try_clone_to_owned()?, set_to: 1 })
    }

    /// Wakes the reader from so many bytes on; at once if they are there already. Best effort: a
    /// socket that cannot do it wakes its reader for every byte.
    fn set(&mut self, bytes: usize) {
        if bytes == self.set_to {
            return;
        }
        self.set_to = bytes;
        let bytes = bytes as libc::c_int;
        // SAFETY: the descriptor is open, and the option's value is an int of the length given.
        unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVLOWAT,
                (&raw const bytes).cast(),
                size_of_val(&bytes) as libc::socklen_t,
            );
        }
    }
}

/// A socket's receiving half.
struct ReceiveHalf {
    reader: ReadHalf<Socket>,
    alarm: Alarm,
}

/// The receiving side: a task that reads ahead, and what it has read.
struct Receiver {
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// The part of the last piece that did not fit into the caller's `max`.
    rest: Vec<u8>,
    /// Something was sent: what comes next may be a short answer.
    asked: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<(ReceiveHalf, Vec<u8>)>,
}

impl Receiver {
    fn start(io: &Handle, incoming: ReceiveHalf) -> Self {
        let (send, pieces) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let asked = Arc::<AtomicBool>::default();
        let task = io.spawn(read_ahead(incoming, send, asked.clone(), stopped));
        Self { pieces, rest: Vec::new(), asked, stop, task }
    }

    async fn next(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let mut piece = if self.rest.is_empty() {
            self.pieces.recv().await.unwrap_or_else(|| Ok(Vec::new()))?
        } else {
            std::mem::take(&mut self.rest)
        };
        if piece.len() > max {
            self.rest = piece.split_off(max);
        }
        Ok(piece)
    }

    /// Ends the task; gives back its half and what was read but not asked for.
    async fn stop(mut self) -> (ReceiveHalf, Vec<u8>) {
        // The task may have ended already; then there is nobody to tell.
        let _ = self.stop.send(());
        let mut unread = self.rest;
        while let Some(Ok(piece)) = self.pieces.recv().await {
            unread.extend(piece);
        }
        match self.task.await {
            Ok((incoming, pending)) => {
                unread.extend(pending);
                (incoming, unread)
            }
            // The task holds no lock and cannot panic but by a bug in the runtime.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Reads until the end, an error, or the stop. Sends a piece as soon as somebody takes it, and
/// goes on filling it while nobody does.
async fn read_ahead(
    mut incoming: ReceiveHalf,
    send: mpsc::Sender<io::Result<Vec<u8>>>,
    asked: Arc<AtomicBool>,
    mut stopped: oneshot::Receiver<()>,
) -> (ReceiveHalf, Vec<u8>) {
    let mut piece = Vec::new();
    // Since something was sent.
    let mut total = 0;
    // Whether the wait for a large piece is over.
    let mut waited = false;
    let end = loop {
        if piece.capacity() == 0 {
            piece.reserve_exact(READ_AHEAD_PIECE_BYTES);
        }
        if asked.swap(false, Ordering::Relaxed) {
            total = 0;
        }
        let room = piece.capacity() - piece.len();
        let waits = total > BULK_BYTES && !waited;
        incoming.alarm.set(if waits { room.min(BULK_PIECE_BYTES) } else { 1 });
        let sendable = !piece.is_empty() && (!waits || piece.len() >= BULK_PIECE_BYTES);
        tokio::select! {
            biased;
            // Also when the connection is dropped, and the sender with it.
            _ = &mut stopped => return (incoming, piece),
            permit = send.reserve(), if sendable => match permit {
                Ok(permit) => permit.send(Ok(std::mem::take(&mut piece))),
                Err(_) => return (incoming, piece),
            },
            read = incoming.reader.read_buf(&mut piece), if room > 0 => match read {
                Ok(0) => break None,
                Ok(read) => (total, waited) = (total + read, false),
                Err(error) => break Some(error),
            },
            () = sleep(Duration::from_millis(BULK_WAIT_MILLIS)), if waits && room > 0 => {
                waited = true;
            }
        }
    };
    if !piece.is_empty() {
        let _ = send.send(Ok(std::mem::take(&mut piece))).await;
    }
    if let Some(error) = end {
        let _ = send.send(Err(error)).await;
    }
    (incoming, piece)
}

fn unreachable_error(endpoint: &Endpoint, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "check that the server is up and listens on this port",
        _ => "check the host's name and the network",
    };
    Error::connection(format!("cannot connect to {endpoint}: {error}"))
        .with_hint(hint)
        .with_source(error)
}

fn broken(endpoint: &Endpoint, error: io::Error) -> Error {
    Error::connection(format!("the connection to {endpoint} broke: {error}")).with_source(error)
}

fn handshake_error(endpoint: &Endpoint, error: io::Error) -> Error {
    let refused = error.get_ref().is_some_and(|inner| {
        matches!(inner.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
    });
    let message = format!("TLS with {endpoint} failed: {error}");
    if refused {
        Error::auth(message).with_hint(
            "check the server's name and certificate, or give its authority's certificate",
        )
    } else {
        Error::connection(message)
    }
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// More than is waited for, so that the reader's alarm is set when the question comes.
    const ROWS_BYTES: usize = BULK_BYTES + 3 * BULK_PIECE_BYTES;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_short_answer_after_many_rows_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut server, _) = listener.accept().await.unwrap();
            let mut question = [0];
            while server.read_exact(&mut question).await.is_ok() {
                let length = if question == *b"r" { ROWS_BYTES } else { 1 };
                server.write_all(&vec![0; length]).await.unwrap();
            }
        });
        let endpoint = Endpoint { host: "127.0.0.1".into(), port };
        let grant = Grant { endpoints: vec![endpoint.clone()], ..Grant::default() };
        let mut connection =
            Connection::connect(&Handle::current(), &grant, endpoint).await.unwrap();
        let talk = async {
            for _ in 0..200 {
                for (question, mut missing) in [(b"r", ROWS_BYTES), (b"q", 1)] {
                    connection.write(question).await.unwrap();
                    while missing > 0 {
                        missing -= connection.read(READ_LIMIT_BYTES).await.unwrap().len();
                    }
                }
            }
        };
        timeout(Duration::from_secs(60), talk).await.expect("an answer that nobody woke for");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_cancel_message_is_sent_when_the_connection_ends_unless_it_was_taken_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint = Endpoint { host: "127.0.0.1".into(), port };
        let grant = Grant { endpoints: vec![endpoint.clone()], ..Grant::default() };
        for cancel_message in ["stop", ""] {
            let mut connection =
                Connection::connect(&Handle::current(), &grant, endpoint.clone()).await.unwrap();
            let _ours = listener.accept().await.unwrap();
            connection.set_cancel_message(b"stop".to_vec()).unwrap();
            connection.set_cancel_message(cancel_message.into()).unwrap();
            drop(connection);
            let heard = async {
                let (mut other, _) = listener.accept().await.unwrap();
                let mut text = String::new();
                other.read_to_string(&mut text).await.unwrap();
                text
            };
            match timeout(Duration::from_millis(300), heard).await {
                Ok(text) => assert_eq!(text, cancel_message),
                Err(_) => assert!(cancel_message.is_empty()),
            }
        }
    }
}
