//! The server of a holder: keeps a job's snapshot, and tells each client what it keeps.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use longshore_engine::plan::Planner;
use longshore_engine::scan::Source;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result};
use longshore_plugins::{Catalog, Resolver};
use longshore_sandbox::Relation;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep, sleep_until};

use super::protocol::{HolderReply, KEEP, RELEASE};
use super::socket::SocketPath;

/// The wait between two looks of a lone holder whether it can still be found.
const LOOK_SECS: u64 = 2;

/// How long a holder waits for a client before the run's plan is recorded.
const UNKEPT_SECS: u64 = 2;

/// The wait after a client that could not be accepted: the process may have no file left.
const ACCEPT_WAIT_MILLIS: u64 = 100;

/// Keeps a job's snapshot until a client releases it, or the holder is `alone` for too long.
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
        let source = open_source(catalog, settings, job, connector).await?;
        let relations: Vec<Relation> = job.reads().into_iter().map(Into::into).collect();
        let snapshot = source.open_snapshot(&relations).await?;
        Ok::<_, Error>((source, snapshot))
    };
    let (source, said) = match asked.await {
        Ok((source, snapshot)) => (Some(source), HolderReply::Held(snapshot)),
        Err(error) => (None, HolderReply::Failed(error.report())),
    };
    let own = inode(socket);
    let serving = HolderService {
        line: format!("{}\n", serde_json::to_string(&said)?),
        clients: AtomicUsize::new(0),
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

/// The job's source, read by the connector of this digest.
async fn open_source(
    catalog: &Catalog,
    settings: &Settings,
    job: &Job,
    digest: &str,
) -> Result<Arc<dyn Source>> {
    let resolver = Resolver::new(catalog, settings).pinned_source(digest);
    let plugins = resolver.resolve_source(job).await?;
    if plugins.source.as_ref().is_none_or(|connector| connector.plugin.digest() != digest) {
        return Err(Error::config("the run's connector is no longer among the plugins"));
    }
    Planner::new(Arc::new(plugins), settings).source(job)
}

fn inode(socket: &Path) -> Option<u64> {
    fs::symlink_metadata(socket).ok().map(|metadata| metadata.ino())
}

struct HolderService {
    line: String,
    clients: AtomicUsize,
    is_kept: AtomicBool,
    changed: Notify,
    released: Notify,
}

impl HolderService {
    async fn serve(
        self: Arc<Self>,
        listener: UnixListener,
        alone: Duration,
        is_replaced: impl Fn() -> bool,
    ) {
        let mut since = Instant::now();
        let mut looks = interval(Duration::from_secs(LOOK_SECS));
        loop {
            let is_alone = self.clients.load(Ordering::SeqCst) == 0;
            let patience = if self.is_kept.load(Ordering::SeqCst) {
                alone
            } else {
                alone.min(Duration::from_secs(UNKEPT_SECS))
            };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) => {
                        self.clients.fetch_add(1, Ordering::SeqCst);
                        let serving = self.clone();
                        tokio::spawn(async move { serving.attend(client).await });
                    }
                    Err(error) => {
                        tracing::debug!("the holder cannot accept a client: {error}");
                        sleep(Duration::from_millis(ACCEPT_WAIT_MILLIS)).await;
                    }
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

    async fn attend(&self, client: UnixStream) {
        let (reading, mut writing) = client.into_split();
        let told = writing.write_all(self.line.as_bytes()).await.is_ok();
        let mut lines = BufReader::new(reading).lines();
        while told && let Ok(Some(line)) = lines.next_line().await {
            match line.as_str() {
                KEEP => self.is_kept.store(true, Ordering::SeqCst),
                RELEASE => self.released.notify_one(),
                _ => {}
            }
        }
        self.clients.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}
