//! The daemon's loop: takes jobs, runs them, and puts their files away. On a signal it drains: chunks that
//! can end in time do, and the rest resumes when the daemon is back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_model::memory::give_back;
use longshore_run::ledger::{JobAdvances, Owner, TriggerEntry};
use longshore_run::{RunControl, Status, new_run_id};
use serde_json::json;
use tokio::task::JoinSet;

use super::api::Api;
use super::daemon::Daemon;
use super::inbox::{FolderState, Inbox};
use super::inbox_job::{InboxJob, Outcome as JobOutcome};
use super::log_error::{log_error, next_step};
use super::outbox::deliver_outbox;
use super::run_queue::{NextStep, RunQueue, WorkResult};
use super::schedules::Scheduler;
use super::work::{ClaimedJob, refusal};

/// How often the inbox is looked through, also without news.
const LOOK_MILLIS: u64 = 250;

/// How long a daemon that is told to stop lets chunks finish, unless told. Below systemd's own
/// time-out, so that nothing is ever killed.
pub const DRAIN_SECS: u64 = 60;

/// How long runs may take to end once the daemon was told again to stop.
const END_SECS: u64 = 5;

/// What the daemon is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Finish what can be finished, and end.
    Stop,
    /// Read the settings again.
    Reload,
}

impl Daemon {
    /// Takes jobs until told to stop. `reload` reads the settings again.
    pub async fn serve(
        self,
        mut inbox: Inbox,
        mut signals: tokio::sync::mpsc::Receiver<Signal>,
        reload: impl Fn() -> Result<Settings>,
    ) -> Result<()> {
        let _watching = self.plugins.watch().await?;
        let daemon = Arc::new(self);
        let _delivery = deliver_outbox(&daemon.ledger, &daemon.settings);
        let mut queue = RunQueue::default();
        daemon.recover(&inbox, &mut queue);
        let _api = daemon.api.lock().take().map(Api::serve).transpose()?;
        tracing::info!("taking jobs from {}", inbox.folder().display());
        let scheduler = daemon.start_scheduler()?;
        daemon.manager.ready();
        let control = RunControl::default();
        let mut runs: JoinSet<WorkResult> = JoinSet::new();
        loop {
            if inbox.refresh() == FolderState::Reopened {
                daemon.recover(&inbox, &mut queue);
                queue.try_again_now();
            }
            queue.put_away(&daemon.ledger, inbox.folder());
            daemon.place_submissions(&inbox, &mut queue);
            let room = daemon.jobs.saturating_sub(runs.len());
            let mut next = daemon.claim_due(&mut queue, room);
            for path in inbox.ready(room - next.len()) {
                next.extend(daemon.take(&mut inbox, &path));
            }
            for claimed in next {
                queue.start(&claimed.taken);
                let (daemon, control) = (daemon.clone(), control.clone());
                let folder = inbox.folder().to_owned();
                runs.spawn(async move { daemon.work(&folder, claimed, &control).await });
            }
            daemon.manager.status(status(queue.active()));
            daemon.beat().await;
            tokio::select! {
                signal = signals.recv() => match signal {
                    Some(Signal::Reload) => daemon.reload(&reload),
                    Some(Signal::Stop) | None => break,
                },
                Some(ended) = runs.join_next(), if !runs.is_empty() => {
                    give_back();
                    match ended {
                        Ok(ended) => queue.record(ended),
                        Err(error) => tracing::error!("a run ended without a word: {error}"),
                    }
                }
                () = daemon.submissions.submitted() => {}
                () = inbox.changed(Duration::from_millis(LOOK_MILLIS)) => {}
            }
        }
        drop(scheduler);
        daemon.drain(&control, &mut queue, runs, signals).await;
        queue.put_away(&daemon.ledger, inbox.folder());
        Ok(())
    }

    /// Starts to look which standing jobs are due.
    fn start_scheduler(self: &Arc<Self>) -> Result<Option<Scheduler>> {
        let daemon = self.clone();
        let start = |schedules| Scheduler::start(schedules, move || daemon.settings());
        self.schedules.clone().map(start).transpose()
    }

    /// Takes a job, once it is written down that one is taken.
    fn take(&self, inbox: &mut Inbox, path: &Path) -> Option<ClaimedJob> {
        let run = log_error(new_run_id())?;
        // Where nothing can be written down no job is begun: it waits where it lies.
        let crashes = match self.ledger.claim(&run) {
            Ok(crashes) => crashes,
            Err(error) => {
                self.log_fault_once(&error);
                return None;
            }
        };
        let taken = inbox.take(path, &run, &self.settings().policy);
        if taken.is_none() {
            log_error(self.ledger.forget_claim(&run));
        }
        Some(ClaimedJob { taken: taken?, crashes })
    }

    /// Puts jobs that were submitted among the runs that wait.
    fn place_submissions(&self, inbox: &Inbox, queue: &mut RunQueue) {
        match self.submissions.place_due(inbox.folder(), &queue.known) {
            Ok(placed) => placed.into_iter().for_each(|taken| queue.add(taken)),
            Err(error) => self.log_fault_once(&error),
        }
    }

    /// Claims up to `room` runs that resume now. One that cannot be claimed resumes later.
    fn claim_due(&self, queue: &mut RunQueue, room: usize) -> Vec<ClaimedJob> {
        let mut next = Vec::new();
        for taken in queue.due(room) {
            match self.ledger.claim(&taken.run) {
                Ok(crashes) => next.push(ClaimedJob { taken, crashes }),
                Err(error) => {
                    tracing::error!("{}: {error}{}", taken.name, next_step(&error));
                    queue.record(WorkResult { taken, next: NextStep::ResumeLater });
                }
            }
        }
        next
    }

    /// Logs an error that keeps jobs from being taken, unless it was the last one that was logged.
    fn log_fault_once(&self, error: &Error) {
        let text = error.to_string();
        let mut last = self.last_fault.lock();
        if last.as_ref() != Some(&text) {
            tracing::error!("{text}{}: no jobs are taken until that works", next_step(error));
            *last = Some(text);
        }
    }

    /// Drains the runs until the deadline. A second signal interrupts them at once.
    async fn drain(
        &self,
        control: &RunControl,
        queue: &mut RunQueue,
        mut runs: JoinSet<WorkResult>,
        mut signals: tokio::sync::mpsc::Receiver<Signal>,
    ) {
        tracing::info!("stopping: {} under way", counted(runs.len() as u64, "run"));
        self.manager.stopping(self.drain);
        control.drain();
        let deadline = tokio::time::sleep(self.drain);
        tokio::pin!(deadline);
        let mut told_again = false;
        loop {
            tokio::select! {
                ended = runs.join_next() => match ended {
                    Some(Ok(ended)) => queue.record(ended),
                    Some(Err(error)) => tracing::error!("a run ended without a word: {error}"),
                    None => break,
                },
                () = &mut deadline, if !deadline.is_elapsed() => control.interrupt(),
                Some(Signal::Stop) = signals.recv() => {
                    control.interrupt();
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
    async fn beat(&self) {
        if !self.manager.is_due() {
            return;
        }
        let computes = self.compute.spawn(async {}).await;
        match (computes, self.ledger.unfinished(Owner::Daemon)) {
            (Ok(()), Ok(_)) => self.manager.beat(),
            (Err(error), _) => tracing::error!("the threads that compute do not answer: {error}"),
            (_, Err(error)) => tracing::error!("the ledger does not answer: {error}"),
        }
    }

    fn reload(&self, reload: &impl Fn() -> Result<Settings>) {
        self.manager.reloading();
        match reload() {
            Ok(settings) => {
                longshore_model::memory::memory().set_budget(settings.memory_bytes);
                *self.settings.lock() = settings;
                tracing::info!("the settings were read again; they hold for the next runs");
            }
            Err(error) => {
                tracing::error!("{error}{}: the settings stay as they were", next_step(&error));
            }
        }
        self.manager.ready();
    }

    /// Finds the runs of a daemon that ended: puts away what has ended, and resumes the rest.
    fn recover(&self, inbox: &Inbox, queue: &mut RunQueue) {
        inbox.give_back_parameters(|run| !matches!(self.ledger.entry(run), Ok(None)));
        let taken = log_error(inbox.left_running()).unwrap_or_default();
        let known: Vec<String> = taken.iter().map(|taken| taken.run.clone()).collect();
        for taken in taken {
            // It has been under way all the time: only its folder was gone.
            if queue.known.contains(&taken.run) {
                continue;
            }
            match self.adopt(&taken) {
                Ok(next) => queue.record(WorkResult { taken, next }),
                Err(error) => tracing::error!("{}: {error}{}", taken.name, next_step(&error)),
            }
        }
        let unfinished = log_error(self.ledger.unfinished(Owner::Daemon)).unwrap_or_default();
        for run in unfinished {
            if !known.contains(&run) && !queue.known.contains(&run) {
                tracing::error!("run {run}: its job file is gone; it cannot go on");
                let error = Error::config("the job file was removed while the run was under way")
                    .with_hint("what it had staged is under .longshore/staging of its target");
                let (outcome, report) = refusal(&run, &error);
                let told: Vec<_> = self.refused_lineage(&run, &error).into_iter().collect();
                log_error(self.ledger.finish_and_post(
                    &run,
                    outcome,
                    &report,
                    &told,
                    JobAdvances::NONE,
                ));
            }
        }
        let is_there = |run: &str| queue.known.contains(run) || known.iter().any(|k| k == run);
        for entry in log_error(self.submissions.tidy(is_there)).unwrap_or_default() {
            self.end_lost(inbox, &entry);
        }
    }

    /// Ends a run that was asked for, and whose job file was taken away before it began: somebody may wait for it.
    fn end_lost(&self, inbox: &Inbox, entry: &TriggerEntry) {
        if !matches!(self.ledger.entry(&entry.run), Ok(None)) {
            return;
        }
        let error = Error::config("the job file was taken away before its run began")
            .with_hint("submit it again");
        self.refused(&InboxJob::new(inbox.folder(), entry.job.as_ref(), &entry.run), &error);
    }

    fn adopt(&self, taken: &InboxJob) -> Result<NextStep> {
        let record = self.ledger.details(&taken.run)?;
        let over = record.filter(|details| details.run.phase.is_done());
        Ok(match over.and_then(|details| details.run.report) {
            Some(report) => {
                let is_done = report["status"] == json!(Status::Succeeded);
                tracing::info!("{}: run {} was over", taken.name, taken.run);
                NextStep::PutAway(
                    if is_done { JobOutcome::Done } else { JobOutcome::Failed },
                    report,
                )
            }
            None => {
                tracing::info!("{}: run {} goes on", taken.name, taken.run);
                NextStep::Resume
            }
        })
    }
}

/// The state of the daemon in one line.
fn status<'a>(jobs: impl Iterator<Item = &'a str>) -> String {
    let jobs: Vec<&str> = jobs.collect();
    if jobs.is_empty() {
        return "waiting for jobs".to_owned();
    }
    format!("running {}: {}", jobs.len(), jobs.join(", "))
}
