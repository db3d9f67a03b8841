//! Connections: who connects, how many at a time, and how long they may take.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_model::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::caller::{Origin, Peer};
use super::limits::{
    CONNECTION_LIMIT, HEADER_LIMIT, HEADER_LIMIT_BYTES, HEADER_READ_SECS, SOCKET_CONNECTION_LIMIT,
};

/// The Unix socket in the state folder.
const SOCKET: &str = "api.sock";

/// Only the daemon's own user connects.
const SOCKET_MODE: u32 = 0o600;

/// The wait after a connection that could not be accepted: the process may have no file left.
const ACCEPT_WAIT_MILLIS: u64 = 100;

/// What a client is told where there is no room for its connection.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
    Content-Type: application/json\r\nContent-Length: 87\r\n\r\n\
    {\"error\":{\"class\":\"throttled\",\"message\":\"too many connections\",\"owner\":\"the platform\"}}";

/// Listens for clients.
pub(super) enum Listener {
    Tcp(TcpListener, Option<TlsAcceptor>),
    Unix(UnixListener, PathBuf),
}

/// A client's connection.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

impl Listener {
    /// Listens on an address.
    pub(super) async fn tcp(address: SocketAddr, tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::io(format!("listening on {address}"), error)
                .with_hint("free the port, or give another one with --listen")
        })?;
        Ok(Self::Tcp(listener, tls))
    }

    /// Listens on the socket of a state folder, whose lock this process has.
    pub(super) fn unix(state: &Path) -> Result<Self> {
        let path = state.join(SOCKET);
        // One of a daemon that ended, or none.
        let _ = fs::remove_file(&path);
        let bind = || {
            let folder = fs::File::open(state)?;
            // The kernel takes 107 bytes, and the folder's path may have more.
            let short = short_path(&folder);
            let listener = UnixListener::bind(short)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(SOCKET_MODE))?;
            Ok(listener)
        };
        let bound = bind().map_err(|error: io::Error| Error::io(path.display(), error))?;
        Ok(Self::Unix(bound, path))
    }

    /// The address that it listens on.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener, _) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Serves whoever connects, for ever.
    pub(super) async fn serve(self, router: Router) {
        let limit = match self {
            Self::Tcp(..) => CONNECTION_LIMIT,
            Self::Unix(..) => SOCKET_CONNECTION_LIMIT,
        };
        let places = Arc::new(Semaphore::new(limit));
        loop {
            let (stream, origin) = match self.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!("the API cannot accept a connection: {error}");
                    sleep(Duration::from_millis(ACCEPT_WAIT_MILLIS)).await;
                    continue;
                }
            };
            match places.clone().try_acquire_owned() {
                Ok(place) => {
                    tokio::spawn(serve_client(stream, origin, self.tls(), router.clone(), place));
                }
                Err(_) => {
                    tokio::spawn(turn_away(stream));
                }
            }
        }
    }

    async fn accept(&self) -> io::Result<(Box<dyn Connection>, Origin)> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Origin::Address(address.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Origin::Socket))
            }
        }
    }

    fn tls(&self) -> Option<TlsAcceptor> {
        match self {
            Self::Tcp(_, tls) => tls.clone(),
            Self::Unix(..) => None,
        }
    }
}

/// The path of the socket by way of its opened folder.
fn short_path(folder: &fs::File) -> PathBuf {
    use std::os::fd::AsRawFd;
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(SOCKET)
}

/// Says that there is no room, to a client that listens at once.
async fn turn_away(mut stream: Box<dyn Connection>) {
    let telling = async {
        let _ = stream.write_all(NO_ROOM).await;
        let _ = stream.shutdown().await;
    };
    let _ = timeout(Duration::from_secs(1), telling).await;
}

async fn serve_client(
    stream: Box<dyn Connection>,
    origin: Origin,
    tls: Option<TlsAcceptor>,
    router: Router,
    _place: OwnedSemaphorePermit,
) {
    let peer = Peer { origin, is_tls: tls.is_some(), disconnect: CancellationToken::new() };
    let Some(tls) = tls else { return serve_connection(stream, peer, router).await };
    let handshake = timeout(Duration::from_secs(HEADER_READ_SECS), tls.accept(stream)).await;
    match handshake {
        Ok(Ok(stream)) => serve_connection(Box::new(stream), peer, router).await,
        Ok(Err(error)) => tracing::debug!("the API: TLS with {origin}: {error}"),
        Err(_) => tracing::debug!("the API: {origin} did not complete its handshake in time"),
    }
}

async fn serve_connection(stream: Box<dyn Connection>, peer: Peer, router: Router) {
    let disconnect = peer.disconnect.clone();
    let service =
        hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            router.clone().oneshot(request)
        });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_READ_SECS))
        .max_headers(HEADER_LIMIT)
        .max_buf_size(HEADER_LIMIT_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!("the API: a connection ended: {error}");
        },
        () = disconnect.cancelled() => {}
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = fs::remove_file(path);
        }
    }
}
