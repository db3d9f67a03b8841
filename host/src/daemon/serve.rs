//! The daemon's loop: take, run, put away; on a signal, stop and put back.

use std::any::Any;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::inbox::{Inbox, Outcome, Taken, put_away, put_back};
use crate::config::{Job, Settings};
use crate::error::{Error, Result};
use crate::plugin::Catalog;
use crate::run::{Progress, Runner, Status, grouped, new_run_id};
use crate::target::LocalTarget;

/// How often the inbox is looked through, also without news.
const LOOK_MILLIS: u64 = 250;

/// Shows a run's progress until what it gives is dropped.
pub type Watch = Arc<dyn Fn(Arc<Progress>) -> Box<dyn Any + Send> + Send + Sync>;

/// A daemon that holds its state folder.
pub struct Daemon {
    catalog: Catalog,
    settings: Settings,
    compute: Handle,
    watch: Watch,
    jobs: usize,
    _lock: File,
}

impl Daemon {
    /// A daemon; refuses when another one has the state folder. Runs `jobs` jobs at a time.
    pub fn new(
        catalog: Catalog,
        settings: Settings,
        compute: Handle,
        state: &Path,
        jobs: usize,
        watch: Watch,
    ) -> Result<Self> {
        let lock = lock(state)?;
        Ok(Self { catalog, settings, compute, watch, jobs, _lock: lock })
    }

    /// Takes jobs until `stop` resolves. What is running then is stopped and put back.
    pub async fn serve(self, inbox: &Path, stop: impl Future<Output = ()>) -> Result<()> {
        let mut inbox = Inbox::open(inbox)?;
        recover(&inbox)?;
        tracing::info!("taking jobs from {}", inbox.folder().display());
        let daemon = Arc::new(self);
        let (stopping, stopped) = watch::channel(false);
        let mut runs = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            while runs.try_join_next().is_some() {}
            if runs.len() < daemon.jobs {
                for path in inbox.ready()?.into_iter().take(daemon.jobs - runs.len()) {
                    if let Some(taken) = inbox.take(&path, &new_run_id()?)? {
                        let (daemon, stopped) = (daemon.clone(), stopped.clone());
                        let folder = inbox.folder().to_owned();
                        runs.spawn(async move { daemon.run(&folder, taken, stopped).await });
                    }
                }
            }
            tokio::select! {
                () = &mut stop => break,
                Some(_) = runs.join_next(), if !runs.is_empty() => {}
                () = inbox.changed(Duration::from_millis(LOOK_MILLIS)) => {}
            }
        }
        tracing::info!("stopping");
        // Fails only if nothing runs.
        let _ = stopping.send(true);
        while runs.join_next().await.is_some() {}
        Ok(())
    }

    async fn run(&self, inbox: &Path, taken: Taken, mut stopped: watch::Receiver<bool>) {
        tracing::info!("{}: taken, run {}", taken.name, taken.run);
        let job = match Job::read_in(&taken.path, &taken.name, inbox) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!("{error}{}", next_step(&error));
                let report =
                    json!({ "run": taken.run, "status": Status::Failed, "error": error.report() });
                return tell(put_away(inbox, &taken, Outcome::Failed, &report).map(drop));
            }
        };
        let runner =
            Runner { catalog: &self.catalog, settings: &self.settings, compute: &self.compute };
        let mut showing = None;
        let cancel = async {
            // An error means that the daemon is gone, and the run with it.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let watch = |progress| showing = Some((self.watch)(progress));
        let (report, result) = runner.run(&taken.run, &job, watch, cancel).await;
        drop(showing);
        match (report.status, result) {
            (Status::Cancelled, _) => {
                tracing::info!("{}: stopped and put back", taken.name);
                tell(put_back(inbox, &taken));
            }
            (_, Err(error)) => {
                tracing::error!("{}: {error}{}", taken.name, next_step(&error));
                tell(put_away(inbox, &taken, Outcome::Failed, &report).map(drop));
            }
            (_, Ok(())) => {
                for relation in &report.relations {
                    tracing::info!(
                        "{}: published {} rows -> {}",
                        taken.name,
                        grouped(relation.rows),
                        relation.folder.display()
                    );
                }
                tell(put_away(inbox, &taken, Outcome::Done, &report).map(drop));
            }
        }
    }
}

fn next_step(error: &Error) -> String {
    error.hint().map(|hint| format!("; next: {hint}")).unwrap_or_default()
}

fn tell(result: Result<()>) {
    if let Err(error) = result {
        tracing::error!("{error}");
    }
}

/// Finds what a daemon that died had taken: what it published is done, the rest is put back.
fn recover(inbox: &Inbox) -> Result<()> {
    for taken in inbox.left_running()? {
        let target = match Job::read_in(&taken.path, &taken.name, inbox.folder()) {
            Ok(job) => LocalTarget::new(&job.target.folder),
            Err(error) => {
                let report =
                    json!({ "run": taken.run, "status": Status::Failed, "error": error.report() });
                inbox.put_away(&taken, Outcome::Failed, &report)?;
                continue;
            }
        };
        let manifest = target.manifest_path(&taken.run);
        if manifest.exists() {
            tracing::info!(
                "{}: run {} was published before the daemon ended",
                taken.name,
                taken.run
            );
            let report =
                json!({ "run": taken.run, "status": Status::Succeeded, "manifest": manifest });
            inbox.put_away(&taken, Outcome::Done, &report)?;
        } else {
            tracing::info!("{}: run {} did not end: it is put back", taken.name, taken.run);
            target.discard_leftovers(&taken.run);
            put_back(inbox.folder(), &taken)?;
        }
    }
    Ok(())
}

/// Holds the state folder for as long as the file is open.
fn lock(state: &Path) -> Result<File> {
    let path: PathBuf = state.join("lock");
    let file = fs::create_dir_all(state)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
        .map_err(|error| Error::io(format!("state folder {}", state.display()), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::config(format!("another daemon has the state folder {}", state.display()))
                .with_hint("stop it, or name another folder with --state DIR"))
        }
        Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
    }
}
