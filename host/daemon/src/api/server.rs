//! The API's server: what it listens on, and what it tells others of that.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::Utc;
use longshore_model::atomic_file;
use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_model::layout::API_TOKEN;
use longshore_plugins::Plugins;
use longshore_run::ledger::{Ledger, NewToken, Role, TokenKind};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::audit::AuditLog;
use super::endpoints::{document, router};
use super::feed::Feed;
use super::listener::Listener;
use super::pump::pump;
use super::site::Site;
use super::state::{ApiState, Turns};
use super::tls::acceptor;
use crate::active_runs::ActiveRuns;
use crate::schedules::Schedules;
use crate::submissions::Submissions;

/// The state folder's file that says where the API is.
const PLACE: &str = "api.json";

/// What holds a secret, or leads to one.
const PRIVATE_MODE: u32 = 0o600;

/// What the API listens on, and whom it lets in.
#[derive(Clone, Debug, Default)]
pub struct ApiOptions {
    /// The address; only the Unix socket, if absent.
    pub listen: Option<SocketAddr>,
    /// Whether an address that others reach may do without TLS.
    pub is_plain_allowed: bool,
    /// The files of the certificates and of the key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names of this server, beside its address.
    pub allowed_hosts: Vec<String>,
}

/// What the API shares with the daemon.
pub struct ApiParts {
    /// The daemon's ledger, whose changes tell of news.
    pub ledger: Ledger,
    /// Where jobs are submitted.
    pub submissions: Submissions,
    /// The standing jobs, if there are any.
    pub schedules: Option<Schedules>,
    /// The runs that the daemon reads.
    pub active: ActiveRuns,
    /// The operator's settings, as they are now.
    pub settings: Arc<Mutex<Settings>>,
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// The runtime that computes.
    pub compute: Handle,
    /// The inbox.
    pub inbox: PathBuf,
    /// Jobs at the same time.
    pub jobs_at_once: usize,
}

/// Where the API of a state folder is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiPlace {
    /// Its URL, if it listens on an address.
    pub url: Option<String>,
}

impl ApiPlace {
    /// Where the daemon of a state folder has its API.
    pub fn read(state: &Path) -> Result<Self> {
        let path = state.join(PLACE);
        let text = fs::read(&path).map_err(|error| Error::io(path.display(), error))?;
        Ok(serde_json::from_slice(&text)?)
    }

    fn write(&self, state: &Path) -> Result<()> {
        write_private(&state.join(PLACE), &serde_json::to_vec_pretty(self)?)
    }
}

/// An API whose listeners are open, and that nobody is served by yet.
pub struct Api {
    parts: ApiParts,
    options: ApiOptions,
    listeners: Vec<Listener>,
    address: Option<SocketAddr>,
}

impl Api {
    /// Opens the listeners of a state folder, whose lock this process has.
    pub async fn bind(state: &Path, options: ApiOptions, parts: ApiParts) -> Result<Self> {
        let mut listeners = vec![Listener::unix(state)?];
        let mut address = None;
        if let Some(listen) = options.listen {
            let tls = options.tls.as_ref();
            let tls = tls.map(|(certificates, key)| acceptor(certificates, key)).transpose()?;
            if !listen.ip().is_loopback() && tls.is_none() && !options.is_plain_allowed {
                return Err(plain(listen));
            }
            let listener = Listener::tcp(listen, tls).await?;
            address = listener.address();
            listeners.push(listener);
            create_first_token(state, &parts.ledger)?;
        }
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let url = address.map(|address| format!("{scheme}://{address}"));
        if let Some(url) = &url {
            tracing::info!("the API listens on {url}");
        }
        ApiPlace { url }.write(state)?;
        Ok(Self { parts, options, listeners, address })
    }

    /// Serves until what it gives is dropped.
    pub fn serve(self) -> Result<JoinSet<()>> {
        let Self { parts, options, listeners, address } = self;
        let changes = parts.ledger.changes();
        let (audit, refusals) = AuditLog::new();
        let state = Arc::new(ApiState {
            ledger: parts.ledger.reopen()?,
            submissions: parts.submissions,
            schedules: parts.schedules,
            active: parts.active,
            settings: parts.settings,
            plugins: parts.plugins,
            compute: parts.compute,
            inbox: parts.inbox,
            jobs_at_once: parts.jobs_at_once,
            started: Utc::now(),
            site: Site { address: address.map(own_address), allowed_hosts: options.allowed_hosts },
            audit,
            feed: Feed::default(),
            turns: Turns::default(),
            document: document(),
        });
        let last_event = state.ledger.last_event()?;
        let router = router(&state);
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listener.serve(router.clone()));
        }
        tasks.spawn(pump(state.clone(), last_event, changes));
        let ledger = state.ledger.clone();
        tasks.spawn(async move { state.audit.write(ledger, refusals).await });
        Ok(tasks)
    }
}

fn own_address(address: SocketAddr) -> IpAddr {
    address.ip()
}

/// Makes the token of whoever operates this machine, the first time.
fn create_first_token(state: &Path, ledger: &Ledger) -> Result<()> {
    let path = state.join(API_TOKEN);
    if path.exists() {
        return Ok(());
    }
    // A token whose text was lost is nobody's.
    ledger.revoke_token(API_TOKEN)?;
    let (role, kind) = (Role::Admin, TokenKind::Token);
    let text = ledger.create_token(NewToken { name: API_TOKEN, role, kind, lifetime: None })?;
    tracing::info!("the API's first token is in {}", path.display());
    write_private(&path, text.as_bytes())
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic_file::write_with_mode(path, bytes, PRIVATE_MODE)
        .map_err(|error| Error::io(path.display(), error))
}

fn plain(listen: SocketAddr) -> Error {
    Error::config(format!("{listen} can be reached from elsewhere, and the API has no TLS"))
        .with_hint("give --tls-cert and --tls-key, or --listen-plain behind a proxy that does TLS")
}
