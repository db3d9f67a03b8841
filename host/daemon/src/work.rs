//! Work on a job that is claimed: it is read, its run is begun, resumed or given up, and it is said what comes next.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use longshore_model::config::{Job, ParameterRecord};
use longshore_model::error::{Class, Error, Result};
use longshore_model::figures::figures;
use longshore_model::format::grouped;
use longshore_model::trace_context::TraceParent;
use longshore_run::ledger::{JobAdvances, NewMessage, NewRun, Owner, TriggerEntry};
use longshore_run::lineage::RunLineage;
use longshore_run::phase::{Outcome, Phase};
use longshore_run::{RunControl, Runner, Status, TakeOver, TriggerKind, forget_old_runs};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::inbox_job::{InboxJob, Outcome as JobOutcome};
use super::log_error::{log_error, next_step};
use super::notify::refused_messages;
use super::read_job::{on_own_thread, read_job};
use super::run_queue::{NextStep, WorkResult};

/// A run that the daemon works on, as the ledger knows.
pub(super) struct ClaimedJob {
    pub(super) taken: InboxJob,
    /// How often the daemon crashed at it since it last made progress.
    pub(super) crashes: u32,
}

impl Daemon {
    /// Runs a job; whatever happens in it, it ends.
    pub(super) async fn work(
        &self,
        inbox: &Path,
        claimed: ClaimedJob,
        control: &RunControl,
    ) -> WorkResult {
        let working = AssertUnwindSafe(self.run(inbox, &claimed, control)).catch_unwind();
        let next = working.await;
        let taken = claimed.taken;
        let next = next.unwrap_or_else(|_| {
            let error = Error::internal("the program panicked")
                .with_hint("this is a fault of Longshore: report it, with the log");
            self.cannot_go_on(&taken, &error)
        });
        if let NextStep::ResumeLater = next {
            log_error(self.ledger.release_claim(&taken.run));
        }
        WorkResult { taken, next }
    }

    async fn run(&self, inbox: &Path, claimed: &ClaimedJob, control: &RunControl) -> NextStep {
        let ClaimedJob { taken, crashes } = claimed;
        tracing::info!("{}: taken, run {}", taken.name, taken.run);
        let recorded = self.ledger.entry(&taken.run);
        let recorded = recorded.and_then(|entry| Ok((entry, self.ledger.trigger(&taken.run)?)));
        let (entry, trigger) = match recorded {
            Ok(recorded) => recorded,
            Err(error) => {
                tracing::error!("{}: {error}{}", taken.name, next_step(&error));
                return NextStep::ResumeLater;
            }
        };
        let take_over = TakeOver::after_crashes(*crashes, entry.as_ref().map(|entry| entry.phase));
        if take_over == TakeOver::Abandon {
            return self.refused(taken, &crashed(*crashes - 1));
        }
        if let (None, Some(trigger)) = (&entry, &trigger) {
            self.observe_lateness(trigger);
        }
        if entry.is_none() && trigger.as_ref().is_some_and(|trigger| trigger.is_cancelled) {
            return self.refused(taken, &Error::cancelled("cancelled before it began"));
        }
        let trace_parent = trigger.as_ref().and_then(|trigger| trigger.trace_parent);
        let begun_with = entry.map(|entry| entry.parameters);
        let job = match self.read(inbox, taken, begun_with, trigger).await {
            Ok(job) => job,
            Err(error) => return self.cannot_go_on(taken, &error),
        };
        self.run_job(inbox, claimed, &job, take_over, trace_parent, control).await
    }

    async fn run_job(
        &self,
        inbox: &Path,
        claimed: &ClaimedJob,
        job: &Job,
        take_over: TakeOver,
        trace_parent: Option<TraceParent>,
        control: &RunControl,
    ) -> NextStep {
        let ClaimedJob { taken, crashes } = claimed;
        let (settings, catalog) = (self.settings(), self.plugins.serving());
        let own_folders = [settings.state.clone(), inbox.to_owned()];
        let runner = Runner {
            catalog: &catalog,
            settings: &settings,
            compute: &self.compute,
            ledger: &self.ledger,
            owner: Owner::Daemon,
            holders: self.holders.as_ref(),
            is_resumed: true,
            is_retried: false,
            trace_parent,
            parent_run: None,
            own_folders: &own_folders,
            clusters: self.clusters.clone(),
        };
        if take_over == TakeOver::GiveUp {
            return match runner.give_up(&taken.run, job, crashed(*crashes)).await {
                Ok(report) => self.failed(taken, &crashed(*crashes), json!(report)),
                Err(error) => {
                    self.refused(taken, &crashed(*crashes).with_context(error.to_string()))
                }
            };
        }
        let mut showing = None;
        let watch = |progress| showing = Some((self.watch)(&taken.run, &job.name, progress));
        let (report, result) = runner.run(&taken.run, job, watch, control).await;
        drop(showing);
        log_error(forget_old_runs(&self.ledger, &settings));
        match (report.status, result) {
            (Status::Interrupted, Err(error)) => {
                tracing::warn!("{}: {error}{}", taken.name, next_step(&error));
                NextStep::ResumeLater
            }
            (_, Err(error)) => self.failed(taken, &error, json!(report)),
            (_, Ok(())) => {
                for relation in &report.relations {
                    tracing::info!(
                        "{}: published {} rows -> {}",
                        taken.name,
                        grouped(relation.rows),
                        relation.folder
                    );
                }
                NextStep::PutAway(JobOutcome::Done, json!(report))
            }
        }
    }

    /// Measures how much later than it should a scheduled run begins. One of a chain has no time of its own.
    fn observe_lateness(&self, entry: &TriggerEntry) {
        let scheduled = entry.trigger.scheduled.as_deref();
        let scheduled = scheduled.filter(|_| entry.trigger.kind == TriggerKind::Schedule);
        let scheduled = scheduled.and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        let (Some(schedules), Some(scheduled)) = (&self.schedules, scheduled) else { return };
        let start = schedules.start_of(&entry.job, scheduled.to_utc());
        figures().schedule_lateness.observe((Utc::now() - start).to_std().unwrap_or_default());
    }

    async fn read(
        &self,
        inbox: &Path,
        taken: &InboxJob,
        begun_with: Option<ParameterRecord>,
        trigger: Option<TriggerEntry>,
    ) -> Result<Job> {
        let (taken, inbox, policy) = (taken.clone(), inbox.to_owned(), self.settings().policy);
        let read = move || read_job(&taken, &inbox, begun_with, trigger, &policy);
        let job = on_own_thread(read).await?;
        job.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(job)
    }

    fn failed(&self, taken: &InboxJob, error: &Error, report: Value) -> NextStep {
        tracing::error!("{}: {error}{}", taken.name, next_step(error));
        NextStep::PutAway(JobOutcome::Failed, report)
    }

    /// Ends a run whose job cannot be worked on. One that has begun waits if that may pass, or if some of it may be
    /// published: a commit is only ever completed.
    fn cannot_go_on(&self, taken: &InboxJob, error: &Error) -> NextStep {
        let phase = match self.ledger.entry(&taken.run) {
            Ok(entry) => entry.map(|entry| entry.phase).filter(|phase| !phase.is_done()),
            Err(error) => {
                tracing::error!("{}: {error}{}", taken.name, next_step(&error));
                return NextStep::ResumeLater;
            }
        };
        let waits = match phase {
            None => false,
            Some(Phase::Committing) => true,
            Some(_) => error.class().is_transient(),
        };
        if waits {
            tracing::error!("{}: {error}{}: it is tried again", taken.name, next_step(error));
            NextStep::ResumeLater
        } else {
            self.refused(taken, error)
        }
    }

    /// Ends a run that could not be opened.
    pub(super) fn refused(&self, taken: &InboxJob, error: &Error) -> NextStep {
        let (outcome, report) = refusal(&taken.run, error);
        match self.ledger.entry(&taken.run) {
            Ok(None) => {
                log_error(self.begin_refused(taken));
            }
            Ok(Some(entry)) if entry.phase.is_done() => return self.failed(taken, error, report),
            _ => {}
        }
        let webhooks = &self.settings().notify;
        let mut messages = refused_messages(&taken.run, &taken.name, error, webhooks);
        messages.extend(self.refused_lineage(&taken.run, error));
        log_error(self.ledger.finish_and_post(
            &taken.run,
            outcome,
            &report,
            &messages,
            JobAdvances::NONE,
        ));
        self.failed(taken, error, report)
    }

    /// The message to a collector of lineage that a run has ended whose job cannot be read any more.
    pub(super) fn refused_lineage(&self, run: &str, error: &Error) -> Option<NewMessage> {
        let settings = &self.settings().lineage;
        let lineage = RunLineage { settings, ledger: &self.ledger };
        lineage.refused(run, status(error), &error.report())
    }

    /// Records a run whose job cannot be read: people look for it among the runs.
    fn begin_refused(&self, taken: &InboxJob) -> Result<()> {
        self.ledger.begin(&NewRun {
            id: &taken.run,
            job: &taken.name,
            digest: "",
            file: &taken.path,
            parameters: &ParameterRecord::default(),
            owner: Owner::Daemon,
        })
    }
}

/// The error of a run that was given up because the process crashed at it.
fn crashed(crashes: u32) -> Error {
    Error::internal(format!("the process died {crashes} times while this job was under way"))
        .with_hint("look in the log for what ended it; `longshore runs retry` tries once more")
}

/// The end of a run that could not be opened, and its report.
pub(super) fn refusal(run: &str, error: &Error) -> (Outcome, Value) {
    let outcome = match error.class() {
        Class::Cancelled => Outcome::Cancelled,
        _ => Outcome::Failed,
    };
    (outcome, json!({ "run": run, "status": status(error), "error": error.report() }))
}

/// How a run ended that could not be opened.
fn status(error: &Error) -> Status {
    match error.class() {
        Class::Cancelled => Status::Cancelled,
        _ => Status::Failed,
    }
}
