//! What a driver serves to executors: the specs of its runs, the plugins of these, an ear for their news, and a
//! place for their files.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use longshore_model::error::Result;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use tonic::service::Routes;

use super::attempts::Attempts;
use super::scratch::{scratch_path, write_piece};
use crate::limits::MESSAGE_LIMIT_BYTES;
use crate::message::AttemptMessage;
use crate::server::ClusterServer;
use crate::tls::ClusterTls;

/// The runs that a driver has open, by the names that executors are told.
pub(super) type Sessions = Arc<Mutex<HashMap<String, Arc<Session>>>>;

/// A run that is open.
pub(super) struct Session {
    /// Its spec, as JSON. It holds secrets.
    pub(super) spec: Bytes,
    /// Its plugins, by digest.
    pub(super) plugins: HashMap<String, PathBuf>,
    /// What was heard of its attempts.
    pub(super) attempts: Attempts,
    /// Where the files arrive that attempts write for later steps of the run.
    pub(super) scratch: PathBuf,
}

/// Serves executors for as long as the process runs; gives the port.
pub(super) async fn serve(
    listen: SocketAddr,
    tls: &ClusterTls,
    sessions: Sessions,
) -> Result<SocketAddr> {
    let hint = "give an address of this machine with --cluster-address";
    let server = ClusterServer::bind(listen, hint, tls).await?;
    let routes = Router::new()
        .route("/sessions/{session}", get(spec))
        .route("/sessions/{session}/alive", get(alive))
        .route("/sessions/{session}/plugins/{digest}", get(plugin))
        .route("/sessions/{session}/attempts", post(news))
        .route("/sessions/{session}/scratch/{offset}/{file}", post(scratch_piece))
        .layer(DefaultBodyLimit::max(MESSAGE_LIMIT_BYTES))
        .with_state(sessions);
    Ok(server.serve_beside(Routes::from(routes)))
}

fn find(sessions: &Sessions, name: &str) -> Result<Arc<Session>, StatusCode> {
    sessions.lock().get(name).cloned().ok_or(StatusCode::GONE)
}

async fn spec(
    State(sessions): State<Sessions>,
    Path(session): Path<String>,
) -> Result<Bytes, StatusCode> {
    Ok(find(&sessions, &session)?.spec.clone())
}

async fn alive(
    State(sessions): State<Sessions>,
    Path(session): Path<String>,
) -> Result<(), StatusCode> {
    find(&sessions, &session).map(|_| ())
}

async fn plugin(
    State(sessions): State<Sessions>,
    Path((session, digest)): Path<(String, String)>,
) -> Result<Vec<u8>, StatusCode> {
    let session = find(&sessions, &session)?;
    let path = session.plugins.get(&digest).ok_or(StatusCode::NOT_FOUND)?;
    // Whether it is still the one of this digest is for the executor to see.
    tokio::fs::read(path).await.map_err(|_| StatusCode::NOT_FOUND)
}

async fn news(
    State(sessions): State<Sessions>,
    Path(session): Path<String>,
    body: Bytes,
) -> Result<(), StatusCode> {
    let message: AttemptMessage =
        serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    find(&sessions, &session)?.attempts.hear(message).map_err(|_| StatusCode::GONE)
}

/// Takes a piece of a file; its name is in hex.
async fn scratch_piece(
    State(sessions): State<Sessions>,
    Path((session, offset, file)): Path<(String, u64, String)>,
    piece: Bytes,
) -> Result<(), StatusCode> {
    let session = find(&sessions, &session)?;
    let path = scratch_path(&session.scratch, &file).ok_or(StatusCode::BAD_REQUEST)?;
    let writing = spawn_blocking(move || write_piece(&path, offset, &piece));
    writing.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.map_err(|error| {
        tracing::warn!("{}: {error}", session.scratch.display());
        StatusCode::INSUFFICIENT_STORAGE
    })
}
