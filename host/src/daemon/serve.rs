//! The daemon's loop: take, run, put away. On a signal it drains: what can end in time ends, and the
//! rest goes on when the daemon is back.

use std::any::Any;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::inbox::{Inbox, Outcome, Taken, put_away};
use super::manager::Manager;
use crate::config::{Job, Settings};
use crate::error::{Error, Result};
use crate::ledger::{Ledger, Owner, RunState};
use crate::memory::give_back;
use crate::numbers::grouped;
use crate::plugin::Plugins;
use crate::run::{Keeper, Progress, Runner, Status, Wish, forget_old_runs, new_run_id};

/// How often the inbox is looked through, also without news.
const LOOK_MILLIS: u64 = 250;

/// How long a daemon that is told to stop lets chunks finish, unless told. Below systemd's own
/// time-out, so that nothing is ever killed.
pub const DRAIN_SECS: u64 = 60;

/// How long until a commit that a store cut off is tried again.
const ROLL_FORWARD_SECS: u64 = 60;

/// How long runs may take to end once the daemon was told again to stop.
const END_SECS: u64 = 5;

/// How often the state folder's lock is tried for, and the wait between.
const LOCK_TRIES: u32 = 5;
const LOCK_WAIT_MILLIS: u64 = 50;

/// Shows a run's progress until what it gives is dropped.
pub type Watch = Arc<dyn Fn(Arc<Progress>) -> Box<dyn Any + Send> + Send + Sync>;

/// What a daemon works with.
pub struct Daemon {
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// The operator's settings; read again on request.
    pub settings: Mutex<Settings>,
    /// The runtime that computes.
    pub compute: Handle,
    /// Where everything is written down first.
    pub ledger: Ledger,
    /// Keeps snapshots while the daemon is away.
    pub keeper: Option<Keeper>,
    /// Shows progress.
    pub watch: Watch,
    /// Jobs at the same time.
    pub jobs: usize,
    /// How long a stop lets chunks finish.
    pub drain: Duration,
    /// Whoever started the daemon.
    pub manager: Manager,
}

/// What the daemon is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Finish what can be finished, and end.
    Stop,
    /// Read the settings again.
    Reload,
}

/// A run that is over, or not.
struct Ended {
    taken: Taken,
    status: Status,
}

impl Daemon {
    /// Takes jobs until told to stop. `reload` reads the settings again.
    pub async fn serve(
        self,
        inbox: &Path,
        mut signals: tokio::sync::mpsc::Receiver<Signal>,
        reload: impl Fn() -> Result<Settings>,
    ) -> Result<()> {
        let mut inbox = Inbox::open(inbox)?;
        let _watching = self.plugins.watch().await?;
        let daemon = Arc::new(self);
        let mut waiting = daemon.recover(&inbox)?;
        tracing::info!("taking jobs from {}", inbox.folder().display());
        daemon.manager.ready();
        let (wish, wanted) = watch::channel(Wish::Go);
        let mut runs: JoinSet<Ended> = JoinSet::new();
        loop {
            let room = daemon.jobs - runs.len();
            let now = Instant::now();
            let mut next: Vec<Taken> = Vec::new();
            waiting.retain(|(at, taken): &(Instant, Taken)| {
                let due = *at <= now && next.len() < room;
                if due {
                    next.push(taken.clone());
                }
                !due
            });
            if next.len() < room {
                for path in inbox.ready()?.into_iter().take(room - next.len()) {
                    next.extend(inbox.take(&path, &new_run_id()?)?);
                }
            }
            for taken in next {
                let (daemon, wanted) = (daemon.clone(), wanted.clone());
                let folder = inbox.folder().to_owned();
                runs.spawn(async move { daemon.run(&folder, taken, wanted).await });
            }
            daemon.beat(runs.len()).await;
            tokio::select! {
                signal = signals.recv() => match signal {
                    Some(Signal::Reload) => daemon.reload(&reload),
                    Some(Signal::Stop) | None => break,
                },
                Some(ended) = runs.join_next(), if !runs.is_empty() => {
                    give_back();
                    if let Ok(Ended { taken, status: Status::Interrupted }) = ended {
                        waiting.push((Instant::now() + Duration::from_secs(ROLL_FORWARD_SECS), taken));
                    }
                }
                () = inbox.changed(Duration::from_millis(LOOK_MILLIS)) => {}
            }
        }
        daemon.drain(wish, runs, signals).await;
        Ok(())
    }

    /// Lets what is being read finish, for as long as it may take. Told again, it waits no more.
    async fn drain(
        &self,
        wish: watch::Sender<Wish>,
        mut runs: JoinSet<Ended>,
        mut signals: tokio::sync::mpsc::Receiver<Signal>,
    ) {
        tracing::info!("stopping: {} under way", crate::numbers::counted(runs.len() as u64, "run"));
        self.manager.stopping(self.drain);
        wish.send_replace(Wish::Drain(Instant::now() + self.drain));
        let mut told_again = false;
        loop {
            tokio::select! {
                ended = runs.join_next() => if ended.is_none() { break },
                Some(Signal::Stop) = signals.recv() => {
                    wish.send_replace(Wish::Drain(Instant::now()));
                    told_again = true;
                }
                // A run may wait for a plugin that waits for ever.
                () = tokio::time::sleep(Duration::from_secs(END_SECS)), if told_again => {
                    tracing::warn!("some runs did not end in time: they go on the next time");
                    break;
                }
            }
        }
        tracing::info!("stopped");
    }

    /// Says that the daemon lives: only when what does its work answers.
    async fn beat(&self, runs: usize) {
        if !self.manager.is_due() {
            return;
        }
        let computes = self.compute.spawn(async {}).await;
        match (computes, self.ledger.unfinished(Owner::Daemon)) {
            (Ok(()), Ok(unfinished)) => self.manager.beat(&match runs {
                0 => "waiting for jobs".to_owned(),
                _ => format!("running {runs}: {}", unfinished.join(", ")),
            }),
            (Err(error), _) => tracing::error!("the threads that compute do not answer: {error}"),
            (_, Err(error)) => tracing::error!("the ledger does not answer: {error}"),
        }
    }

    fn reload(&self, reload: &impl Fn() -> Result<Settings>) {
        self.manager.reloading();
        match reload() {
            Ok(settings) => {
                crate::memory::memory().set_budget(settings.memory_bytes);
                *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
                tracing::info!("the settings were read again; they hold for the next runs");
            }
            Err(error) => {
                tracing::error!("{error}{}: the settings stay as they were", next_step(&error));
            }
        }
        self.manager.ready();
    }

    fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run(&self, inbox: &Path, taken: Taken, wanted: watch::Receiver<Wish>) -> Ended {
        tracing::info!("{}: taken, run {}", taken.name, taken.run);
        let job = match Job::read_in(&taken.path, &taken.name, inbox) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!("{error}{}", next_step(&error));
                tell(self.refuse(inbox, &taken, &error));
                return Ended { taken, status: Status::Failed };
            }
        };
        let (settings, catalog) = (self.settings(), self.plugins.serving());
        let runner = Runner {
            catalog: &catalog,
            settings: &settings,
            compute: &self.compute,
            ledger: &self.ledger,
            owner: Owner::Daemon,
            keeper: self.keeper.as_ref(),
        };
        let mut showing = None;
        let watch = |progress| showing = Some((self.watch)(progress));
        let (report, result) = runner.run(&taken.run, &job, watch, wanted).await;
        drop(showing);
        let status = report.status;
        let outcome = match (status, result) {
            (Status::Interrupted, Err(error)) => {
                tracing::warn!("{}: {error}{}", taken.name, next_step(&error));
                return Ended { taken, status };
            }
            (_, Err(error)) => {
                tracing::error!("{}: {error}{}", taken.name, next_step(&error));
                Outcome::Failed
            }
            (_, Ok(())) => {
                for relation in &report.relations {
                    tracing::info!(
                        "{}: published {} rows -> {}",
                        taken.name,
                        grouped(relation.rows),
                        relation.folder
                    );
                }
                Outcome::Done
            }
        };
        tell(
            put_away(inbox, &taken, outcome, &report)
                .and_then(|path| self.ledger.moved(&taken.run, &path)),
        );
        tell(forget_old_runs(&self.ledger, &settings));
        Ended { taken, status }
    }

    fn refuse(&self, inbox: &Path, taken: &Taken, error: &Error) -> Result<()> {
        put_away(inbox, taken, Outcome::Failed, &refusal(&taken.run, error)).map(drop)
    }

    /// Finds what a daemon that ended had taken: what was over is put away, the rest goes on.
    fn recover(&self, inbox: &Inbox) -> Result<Vec<(Instant, Taken)>> {
        let mut waiting = Vec::new();
        let mut known = Vec::new();
        for taken in inbox.left_running()? {
            known.push(taken.run.clone());
            let record = self.ledger.details(&taken.run)?;
            let over = record.filter(|details| details.run.state.is_over());
            match over.and_then(|details| details.run.report) {
                Some(report) => {
                    let done = report["status"] == json!(Status::Succeeded);
                    let outcome = if done { Outcome::Done } else { Outcome::Failed };
                    tracing::info!("{}: run {} was over", taken.name, taken.run);
                    let path = inbox.put_away(&taken, outcome, &report)?;
                    self.ledger.moved(&taken.run, &path)?;
                }
                None => {
                    tracing::info!("{}: run {} goes on", taken.name, taken.run);
                    waiting.push((Instant::now(), taken));
                }
            }
        }
        for run in self.ledger.unfinished(Owner::Daemon)? {
            if !known.contains(&run) {
                tracing::error!("run {run}: its job file is gone; it cannot go on");
                let error = Error::config("the job file was removed while the run was under way")
                    .with_hint("what it had staged is under .longshore/staging of its target");
                self.ledger.finish(&run, RunState::Failed, &refusal(&run, &error))?;
            }
        }
        Ok(waiting)
    }
}

/// The report of a run that never was.
fn refusal(run: &str, error: &Error) -> Value {
    json!({ "run": run, "status": Status::Failed, "error": error.report() })
}

fn next_step(error: &Error) -> String {
    error.hint().map(|hint| format!("; next: {hint}")).unwrap_or_default()
}

fn tell(result: Result<()>) {
    if let Err(error) = result {
        tracing::error!("{error}");
    }
}

/// Holds the state folder for as long as the file is open.
pub fn lock(state: &Path) -> Result<File> {
    let path: PathBuf = state.join("lock");
    let file = fs::create_dir_all(state)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
        .map_err(|error| Error::io(format!("state folder {}", state.display()), error))?;
    let mut locked = file.try_lock();
    for _ in 0..LOCK_TRIES {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        // Who only looks whether a daemon runs holds it for a moment too.
        std::thread::sleep(Duration::from_millis(LOCK_WAIT_MILLIS));
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::config(format!("another daemon has the state folder {}", state.display()))
                .with_hint("stop it, or name another folder with --state DIR"))
        }
        Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
    }
}

/// Whether a daemon holds the state folder.
pub fn is_running(state: &Path) -> Result<bool> {
    let path = state.join("lock");
    match File::open(&path) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path.display(), error)),
    }
}
