//! The lease of a run on its snapshot: this process keeps the snapshot, or a holder that outlives it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use longshore_model::config::Job;
use longshore_model::error::{Class, Error, Result};
use longshore_sandbox::SnapshotResult;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::protocol::{HolderReply, KEEP, RELEASE};
use super::socket::SocketPath;
use crate::plan_record::PlanRecord;

/// How long a holder may take to start and to ask the source.
pub const HOLDER_START_SECS: u64 = 120;

/// How long a holder may take to release its snapshot.
const RELEASE_SECS: u64 = 10;

/// The wait between two looks for a socket.
const LOOK_MILLIS: u64 = 10;

/// Starts holders, and finds those of runs that were interrupted.
#[derive(Clone, Debug)]
pub struct HolderLauncher {
    /// The folder of the holders' sockets.
    pub folder: PathBuf,
    /// The program and its first arguments; those of the job follow. None: holders are found, and not
    /// started.
    pub command: Option<Vec<String>>,
}

impl HolderLauncher {
    fn socket(&self, run: &str) -> PathBuf {
        self.folder.join(format!("{run}.sock"))
    }

    /// Starts a holder for a job, and connects to it.
    async fn start(
        &self,
        command: &[String],
        run: &str,
        job: &Job,
        connector: &str,
    ) -> Result<HolderClient> {
        let fault = |error| Error::io("starting a holder", error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(fault)?;
        let socket = self.socket(run);
        let _ = fs::remove_file(&socket);
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .arg("hold")
            .arg(&job.file)
            .arg("--run")
            .arg(run)
            .arg("--name")
            .arg(&job.dropped_name)
            .arg("--folder")
            .arg(&job.folder)
            .arg("--connector")
            .arg(connector)
            .arg("--socket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the daemon's group must not end it.
            .process_group(0)
            .spawn()
            .map_err(fault)?;
        let connected = async {
            loop {
                if let Ok(client) = HolderClient::connect(&socket).await {
                    return Ok(client);
                }
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(Error::resource(format!("the holder ended: {status}")));
                }
                sleep(Duration::from_millis(LOOK_MILLIS)).await;
            }
        };
        let connected = timeout(Duration::from_secs(HOLDER_START_SECS), connected).await;
        // A process that ends stays a zombie until somebody waits for it.
        std::thread::spawn(move || child.wait());
        connected.map_err(|_| Error::timeout("the holder did not start in time"))?
    }
}

/// A connection to a holder. The holder does not time out while it lasts.
#[derive(Debug)]
struct HolderClient {
    stream: BufReader<UnixStream>,
}

impl HolderClient {
    async fn connect(socket: &Path) -> std::io::Result<Self> {
        let path = SocketPath::of(socket)?;
        let stream = UnixStream::connect(path.short()).await?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    async fn held(&mut self) -> Result<SnapshotResult> {
        let fault = |error| Error::io("asking a holder", error);
        let mut line = String::new();
        let reading = self.stream.read_line(&mut line);
        let read = timeout(Duration::from_secs(HOLDER_START_SECS), reading).await;
        read.map_err(|_| Error::timeout("the holder says nothing"))?.map_err(fault)?;
        match serde_json::from_str(&line) {
            Ok(HolderReply::Held(hold)) => Ok(hold),
            Ok(HolderReply::Failed(report)) => Err(Error::reported(report)),
            Err(error) => Err(Error::internal(format!("a holder said `{line}`: {error}"))),
        }
    }

    /// Tells the holder to wait for a daemon that comes back.
    async fn keep(&mut self) -> std::io::Result<()> {
        self.stream.get_mut().write_all(format!("{KEEP}\n").as_bytes()).await
    }

    /// Tells the holder to release its snapshot, and waits until it has.
    async fn release(mut self) {
        let releasing = async {
            self.stream.get_mut().write_all(format!("{RELEASE}\n").as_bytes()).await?;
            self.stream.read_to_end(&mut Vec::new()).await
        };
        match timeout(Duration::from_secs(RELEASE_SECS), releasing).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!("a holder: {error}"),
            Err(_) => tracing::warn!("a holder did not let go within {RELEASE_SECS} s"),
        }
    }
}

/// A run's lease on its snapshot.
pub(crate) struct SnapshotLease<'a> {
    launcher: Option<&'a HolderLauncher>,
    run: &'a str,
    client: Mutex<Option<HolderClient>>,
}

impl<'a> SnapshotLease<'a> {
    pub(crate) fn new(launcher: Option<&'a HolderLauncher>, run: &'a str) -> Self {
        Self { launcher, run, client: Mutex::default() }
    }

    /// Whether a holder keeps the snapshot.
    pub(crate) async fn is_kept(&self) -> bool {
        self.client.lock().await.is_some()
    }

    /// Starts a holder, which asks the source for a snapshot. None: there is no holder, and the planner
    /// must ask.
    pub(crate) async fn begin(&self, job: &Job, connector: &str) -> Option<SnapshotResult> {
        let launcher = self.launcher?;
        let command = launcher.command.as_ref()?;
        // A daemon may have started one, and died before it could record it.
        self.find_and_release().await;
        let asked = async {
            let mut client = launcher.start(command, self.run, job, connector).await?;
            let held = client.held().await?;
            Ok::<_, Error>((client, held))
        };
        match asked.await {
            Ok((client, hold @ SnapshotResult::Opened(_))) => {
                *self.client.lock().await = Some(client);
                Some(hold)
            }
            Ok((client, hold)) => {
                client.release().await;
                Some(hold)
            }
            Err(error) => {
                tracing::warn!("no holder for run {}: {error}", self.run);
                self.find_and_release().await;
                None
            }
        }
    }

    /// Tells the holder that the run's plan is recorded: a process that resumes the run looks for it.
    pub(crate) async fn keep(&self) {
        if let Some(client) = self.client.lock().await.as_mut()
            && let Err(error) = client.keep().await
        {
            tracing::debug!("a holder: {error}");
        }
    }

    /// Resumes with the snapshot of a recorded plan. Fails if it is gone, and something is left to be
    /// read of it.
    pub(crate) async fn resume(&self, plan: &PlanRecord, is_all_read: bool) -> Result<()> {
        let SnapshotResult::Opened(snapshot) = &plan.snapshot else { return Ok(()) };
        if let Some(launcher) = self.launcher.filter(|_| plan.has_holder)
            && let Ok(mut client) = HolderClient::connect(&launcher.socket(self.run)).await
        {
            let held = client.held().await;
            *self.client.lock().await = Some(client);
            if matches!(held, Ok(SnapshotResult::Opened(held)) if held.token == snapshot.token) {
                return Ok(());
            }
        }
        if is_all_read {
            return Ok(());
        }
        let gone = "the snapshot that the run had read ended with the process that held it";
        Err(Error::new(Class::Stale, gone))
    }

    /// Ends the lease: nothing more is read.
    pub(crate) async fn end(&self) {
        match self.client.lock().await.take() {
            Some(client) => client.release().await,
            None => self.find_and_release().await,
        }
    }

    /// Releases a holder that this process has no connection to.
    async fn find_and_release(&self) {
        let Some(launcher) = self.launcher else { return };
        if let Ok(client) = HolderClient::connect(&launcher.socket(self.run)).await {
            client.release().await;
        }
    }
}
