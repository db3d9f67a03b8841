//! The holder: a small process that keeps a run's snapshot open at the source while the daemon is
//! away, so that a run which is taken up again still reads the same instant.
//!
//! It listens at a socket in the state folder, which only its user can reach. Whoever connects is
//! told what is held, in one line of JSON; `keep` says that the run's plan is written down, and `release` ends it.
//! Alone for too long, it ends by itself; at once, if nobody will look for it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use longshore_engine::plan::Planner;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, ErrorReport, Result};
use longshore_plugins::Catalog;
use longshore_sandbox::{Hold, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep_until};

use super::socket::SocketPath;

/// How often a holder that is alone looks whether it can still be found.
const LOOK_SECS: u64 = 2;

/// How long a holder that nobody keeps waits for somebody to connect.
const UNKEPT_SECS: u64 = 2;

/// What tells a holder that its run can be found again.
pub(super) const KEEP: &str = "keep";

/// What ends a holder.
pub(super) const RELEASE: &str = "release";

/// What a holder says to whoever connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Held {
    /// An instant.
    Snapshot { token: String, label: String },
    /// Nothing, and why.
    Unavailable(String),
}

impl Held {
    fn new(hold: &Hold) -> Self {
        match hold {
            Hold::Held(Snapshot { token, label }) => {
                Self::Snapshot { token: token.clone(), label: label.clone() }
            }
            Hold::Unavailable(reason) => Self::Unavailable(reason.clone()),
        }
    }

    pub(super) fn into_hold(self) -> Hold {
        match self {
            Self::Snapshot { token, label } => Hold::Held(Snapshot { token, label }),
            Self::Unavailable(reason) => Hold::Unavailable(reason),
        }
    }
}

/// One line of a holder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Said {
    /// What it holds.
    Held(Held),
    /// It could not ask the source.
    Failed(ErrorReport),
}

/// Holds a job's source until it is released, or alone for too long.
pub async fn hold(
    catalog: &Catalog,
    settings: &Settings,
    job: &Job,
    connector: &str,
    socket: &Path,
    alone: Duration,
) -> Result<()> {
    let fault = |error| Error::io(format!("socket {}", socket.display()), error);
    let path = SocketPath::of(socket).map_err(fault)?;
    // A holder that was killed leaves its socket.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(path.short()).map_err(fault)?;
    let asked = async {
        let mut planner = Planner::new(catalog, settings);
        planner.given.plugins = vec![connector.to_owned()];
        let source = planner.source(job)?;
        if source.digest() != Some(connector) {
            return Err(Error::config("the connector is another one now"));
        }
        let hold = source.hold(job.reads()).await?;
        Ok::<_, Error>((source, hold))
    };
    let (source, said) = match asked.await {
        Ok((source, hold)) => (Some(source), Said::Held(Held::new(&hold))),
        Err(error) => (None, Said::Failed(error.report())),
    };
    let own = inode(socket);
    let serving = Serving {
        line: format!("{}\n", serde_json::to_string(&said)?),
        guests: AtomicUsize::new(0),
        is_kept: AtomicBool::new(false),
        changed: Notify::new(),
        released: Notify::new(),
    };
    Arc::new(serving).serve(listener, alone, || inode(socket) != own).await;
    if inode(socket) == own {
        let _ = fs::remove_file(socket);
    }
    if let Some(source) = source {
        source.release().await;
    }
    Ok(())
}

fn inode(socket: &Path) -> Option<u64> {
    fs::symlink_metadata(socket).ok().map(|metadata| metadata.ino())
}

struct Serving {
    line: String,
    guests: AtomicUsize,
    is_kept: AtomicBool,
    changed: Notify,
    released: Notify,
}

impl Serving {
    async fn serve(
        self: Arc<Self>,
        listener: UnixListener,
        alone: Duration,
        is_replaced: impl Fn() -> bool,
    ) {
        let mut since = Instant::now();
        let mut looks = interval(Duration::from_secs(LOOK_SECS));
        loop {
            let is_alone = self.guests.load(Ordering::SeqCst) == 0;
            let patience = if self.is_kept.load(Ordering::SeqCst) {
                alone
            } else {
                alone.min(Duration::from_secs(UNKEPT_SECS))
            };
            tokio::select! {
                accepted = listener.accept() => if let Ok((guest, _)) = accepted {
                    self.guests.fetch_add(1, Ordering::SeqCst);
                    let serving = self.clone();
                    tokio::spawn(async move { serving.attend(guest).await });
                },
                () = self.changed.notified() => since = Instant::now(),
                () = self.released.notified() => return,
                // Another holder has its place: nobody will ever find this one.
                _ = looks.tick(), if is_alone => if is_replaced() { return },
                () = sleep_until(since + patience), if is_alone => {
                    tracing::warn!("nobody came back for {} s: letting go", patience.as_secs());
                    return;
                }
            }
        }
    }

    async fn attend(&self, guest: UnixStream) {
        let (reading, mut writing) = guest.into_split();
        let told = writing.write_all(self.line.as_bytes()).await.is_ok();
        let mut lines = BufReader::new(reading).lines();
        while told && let Ok(Some(line)) = lines.next_line().await {
            match line.as_str() {
                KEEP => self.is_kept.store(true, Ordering::SeqCst),
                RELEASE => self.released.notify_one(),
                _ => {}
            }
        }
        self.guests.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}
