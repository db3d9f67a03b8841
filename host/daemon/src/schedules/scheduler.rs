//! The scheduler: a thread of the daemon that looks which standing jobs are due, and submits them.
//!
//! A trigger has a key that its scheduled time decides, and the schedule's cursor is moved after it is submitted.
//! Whatever dies in between, the next look finds the key, and no time is run twice.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::notify::{RecursiveMode, Watcher};
use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::config::schedule::{CatchUp, Overlap, Times};
use longshore_model::config::{NotifyEvent, Policy, Recurrence, Schedule, Settings, Webhook};
use longshore_model::error::{Error, Result};
use longshore_run::ledger::{ChainLink, ScheduleEntry, StandingRuns};
use longshore_run::{Notice, TriggerKind};

use super::due::{DueTime, Watch, due};
use super::standing_jobs::{ActiveJob, Snapshot, StandingFile};
use super::{Request, Schedules, fingerprint, key_time};
use crate::log_error::{log_error, next_step};
use crate::notify::notify;

/// How often schedules are looked at, also without news.
const LOOK: Duration = Duration::from_secs(1);

/// How often the folder is looked through, also without news.
const SCAN: Duration = Duration::from_secs(3);

/// How long news of the folder are collected.
const SETTLE: Duration = Duration::from_millis(100);

/// How many runs of a job may wait.
const QUEUE_LIMIT: usize = 100;

/// A cursor that lies further ahead was written by a clock that was wrong.
const AHEAD_LIMIT: TimeDelta = TimeDelta::days(1);

/// How much news of the folder waits: after one, the whole folder is looked through.
const NEWS_LIMIT: usize = 1;

/// The thread. It ends when this is dropped.
pub(crate) struct Scheduler {
    wake: SyncSender<Wake>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    Stop,
    Changed,
}

impl Scheduler {
    /// Starts to look. `settings` gives what holds now.
    pub(crate) fn start(
        schedules: Schedules,
        settings: impl Fn() -> Settings + Send + 'static,
    ) -> Result<Self> {
        let (wake, woken) = sync_channel(NEWS_LIMIT);
        let folder = schedules.jobs.lock().folder().to_owned();
        let news = wake.clone();
        let work = move || {
            let _watcher = watch(&folder, news);
            Looks::new(schedules).keep_looking(&woken, settings);
        };
        let thread = std::thread::Builder::new().name("scheduler".into()).spawn(work);
        let thread = thread.map_err(|error| Error::io("starting a thread", error))?;
        Ok(Self { wake, thread: Some(thread) })
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // A thread that has ended listens no more.
        let _ = self.wake.send(Wake::Stop);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the scheduler panicked");
        }
    }
}

/// Watches the folder of standing jobs. Without news it is looked through all the same.
fn watch(folder: &Path, news: SyncSender<Wake>) -> Option<::notify::RecommendedWatcher> {
    let watcher = ::notify::recommended_watcher(move |event: ::notify::Result<::notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = news.try_send(Wake::Changed);
        }
    });
    let watched = watcher.and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher)
    });
    watched.map_err(|error| tracing::warn!("watching {}: {error}", folder.display())).ok()
}

/// Looks at all schedules, one after the other.
struct Looks {
    schedules: Schedules,
    watch: Watch,
    /// The jobs, as the last scan found them; absent: the folder could not be read yet.
    found: Option<Snapshot>,
    /// When the folder is looked through again.
    next_scan: Instant,
    /// When the next run of a job starts.
    planned: HashMap<String, PlannedStart>,
    /// The state of the ledger that chains and failures were looked for in.
    ledger_seen: Option<(i64, u64)>,
    /// Whether the ledger has changed since.
    has_news: bool,
    /// Who is told of all schedules.
    webhooks: Vec<Webhook>,
    /// What went wrong in the last look.
    fault: Option<String>,
}

/// The start of a job's next run, as long as its cursor and its version are the same.
struct PlannedStart {
    cursor: DateTime<Utc>,
    version: Arc<ActiveJob>,
    start: DateTime<Utc>,
}

/// A standing job that is looked at.
struct Subject<'a> {
    name: &'a str,
    file: &'a StandingFile,
    folder: &'a Path,
    schedule: &'a Schedule,
    entry: &'a ScheduleEntry,
}

impl Looks {
    fn new(schedules: Schedules) -> Self {
        Self {
            schedules,
            watch: Watch::start(Utc::now()),
            found: None,
            next_scan: Instant::now(),
            planned: HashMap::new(),
            ledger_seen: None,
            has_news: true,
            webhooks: Vec::new(),
            fault: None,
        }
    }

    fn keep_looking(mut self, woken: &Receiver<Wake>, settings: impl Fn() -> Settings) {
        loop {
            let now = Utc::now();
            let before = self.watch;
            self.watch = before.look(now);
            let settings = settings();
            self.webhooks = settings.notify;
            match self.look(now, &settings.policy) {
                Ok(()) => self.fault = None,
                Err(error) => {
                    // A look that fails is none: what comes meanwhile is missed.
                    self.watch = before;
                    self.log_once(&error);
                }
            }
            if self.is_stopped(woken, now) {
                return;
            }
        }
    }

    /// Waits for the next look. Gives whether there is none.
    fn is_stopped(&mut self, woken: &Receiver<Wake>, now: DateTime<Utc>) -> bool {
        match woken.recv_timeout(self.wait(now)) {
            Err(RecvTimeoutError::Timeout) => false,
            Ok(Wake::Changed) => {
                // Whoever copies a thousand files makes thousands of events: they are one.
                std::thread::sleep(SETTLE);
                self.next_scan = Instant::now();
                woken.try_iter().any(|wake| matches!(wake, Wake::Stop))
            }
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => true,
        }
    }

    /// Until the next run starts, but not longer than until the next look.
    fn wait(&self, now: DateTime<Utc>) -> Duration {
        let starts = self.planned.values().map(|planned| planned.start);
        let next = starts.filter_map(|start| (start - now).to_std().ok()).min();
        next.map_or(LOOK, |next| next.clamp(Duration::from_millis(1), LOOK))
    }

    fn log_once(&mut self, error: &Error) {
        let text = format!("{error}{}", next_step(error));
        if self.fault.as_ref() != Some(&text) {
            tracing::error!("{text}");
            self.fault = Some(text);
        }
    }

    /// Looks at all jobs. What goes wrong with one keeps no other from its run.
    fn look(&mut self, now: DateTime<Utc>, policy: &Policy) -> Result<()> {
        let found = self.scan(policy)?;
        let entries = self.schedules.ledger.schedules()?;
        let state = self.schedules.ledger.change_count()?;
        self.has_news = self.ledger_seen != Some(state);
        let mut outcome = Ok(());
        for name in found.jobs.keys() {
            outcome = outcome.and(self.look_at(name, &found, entries.get(name), now));
        }
        if outcome.is_ok() {
            self.end_removed(&found, &entries)?;
            self.ledger_seen = Some(state);
        }
        outcome
    }

    /// Gives the jobs; looks through the folder before, if it is time. While it cannot be read, all jobs stay as
    /// they were.
    fn scan(&mut self, policy: &Policy) -> Result<Snapshot> {
        if let Some(found) = self.found.clone().filter(|_| Instant::now() < self.next_scan) {
            return Ok(found);
        }
        let mut jobs = self.schedules.jobs.lock();
        let found = match (jobs.refresh(policy), self.found.take()) {
            (Ok(()), _) => jobs.snapshot(),
            (Err(_), Some(before)) => before,
            (Err(error), None) => return Err(error),
        };
        // A file that changed is read when it is found unchanged at the next look.
        let wait = if found.is_settled() { SCAN } else { Duration::ZERO };
        self.next_scan = Instant::now() + wait;
        self.found = Some(found.clone());
        Ok(found)
    }

    fn look_at(
        &mut self,
        name: &str,
        found: &Snapshot,
        entry: Option<&ScheduleEntry>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let Some(file) = found.jobs.get(name) else { return Ok(()) };
        let Some(schedule) = file.schedule() else { return Ok(()) };
        let (ledger, after) = (&self.schedules.ledger, found.followed(schedule));
        let recurrence = fingerprint(schedule);
        let is_begun = |entry: &&ScheduleEntry| {
            let is_ahead = schedule.times().is_some() && entry.cursor > now + AHEAD_LIMIT;
            entry.recurrence.as_ref() == Some(&recurrence) && !is_ahead
        };
        let Some(entry) = entry.filter(is_begun) else {
            tracing::info!("{name}: the schedule begins: {recurrence}");
            return ledger.begin_schedule(name, &recurrence, now, &after);
        };
        let job = Subject { name, file, folder: &found.folder, schedule, entry };
        if let Some(link) = &entry.link {
            return self.finish_link(&job, link);
        }
        if schedule.is_paused || entry.pause.is_some() || self.pause_if_failing(&job)? {
            return Ok(());
        }
        match &schedule.recurrence {
            Recurrence::Times(times) => self.run_due(&job, times, now),
            Recurrence::After(names) if self.has_news && after.len() == names.len() => {
                match ledger.link_chain(name, &after)? {
                    Some(link) => self.finish_link(&job, &link),
                    None => Ok(()),
                }
            }
            Recurrence::After(_) => Ok(()),
        }
    }

    /// Pauses a schedule that has failed too often in a row.
    fn pause_if_failing(&self, job: &Subject<'_>) -> Result<bool> {
        let Some(limit) = job.schedule.pause_after_failures.filter(|_| self.has_news) else {
            return Ok(false);
        };
        let failures = self.schedules.ledger.schedule_failures(job.entry, job.runs())?;
        if failures.count < limit {
            return Ok(false);
        }
        let last = failures.last.unwrap_or_default();
        let reason = format!("{} failures in a row, the last one of run {last}", failures.count);
        tracing::error!("{}: paused: {reason}; next: `longshore schedule resume`", job.name);
        self.schedules.ledger.pause_schedule(job.name, &reason)?;
        self.tell(job, NotifyEvent::Paused, &reason);
        Ok(true)
    }

    /// Runs the times that have come.
    fn run_due(&mut self, job: &Subject<'_>, times: &Times, now: DateTime<Utc>) -> Result<()> {
        let Some(version) = &job.file.active else { return Ok(()) };
        let cursor = job.entry.cursor;
        let is_planned = |planned: &PlannedStart| {
            planned.cursor == cursor
                && Arc::ptr_eq(&planned.version, version)
                && planned.start > now
        };
        if self.planned.get(job.name).is_some_and(is_planned) {
            return Ok(());
        }
        let since = self.watch.since();
        let Some(due) = due(job.name, job.schedule, times, cursor, now, since) else {
            if let Some(next) = times.next_after(cursor) {
                let start = job.schedule.start_of(job.name, next);
                let planned = PlannedStart { cursor, version: version.clone(), start };
                self.planned.insert(job.name.to_owned(), planned);
            }
            return Ok(());
        };
        if let Some(skipped) = &due.skipped {
            self.advance(job, skipped.last, Some(&skipped.to_text(job.schedule)))?;
        }
        for time in due.run {
            let skipped = self.trigger_time(job, time)?;
            self.advance(job, time.scheduled, skipped.as_deref())?;
        }
        Ok(())
    }

    fn advance(&self, job: &Subject<'_>, to: DateTime<Utc>, skipped: Option<&str>) -> Result<()> {
        self.schedules.ledger.advance_schedule(job.name, to, skipped)?;
        self.tell_skipped(job, skipped);
        Ok(())
    }

    fn tell_skipped(&self, job: &Subject<'_>, skipped: Option<&str>) {
        if let Some(skipped) = skipped {
            tracing::warn!("{}: skipped {skipped}", job.name);
            self.tell(job, NotifyEvent::Late, &format!("skipped {skipped}"));
        }
    }

    /// Tells webhooks what happens to a schedule.
    fn tell(&self, job: &Subject<'_>, event: NotifyEvent, reason: &str) {
        let own = job.file.active.iter().flat_map(|active| &active.job.notify);
        let notice = Notice { reason: Some(reason), ..Notice::new(event, job.name) };
        log_error(notify(&self.schedules.ledger, &notice, own.chain(&self.webhooks)));
    }

    /// Triggers a run for a scheduled time. Gives why it is skipped, if it is.
    fn trigger_time(&self, job: &Subject<'_>, time: DueTime) -> Result<Option<String>> {
        let scheduled = time.scheduled;
        let key = format!("schedule/{}/{}", job.name, key_time(scheduled));
        // All that was missed is caught up one after the other.
        let overlap = match job.schedule.catch_up {
            CatchUp::All if time.is_missed => Overlap::Queue,
            _ => job.schedule.overlap,
        };
        self.trigger(job, key, TriggerKind::Schedule, scheduled, overlap)
    }

    /// Triggers what a chain has written down.
    fn finish_link(&self, job: &Subject<'_>, link: &ChainLink) -> Result<()> {
        let (key, overlap) = (link.key.clone(), job.schedule.overlap);
        let skipped = self.trigger(job, key, TriggerKind::Chain, link.scheduled, overlap)?;
        self.schedules.ledger.finish_link(job.name, skipped.as_deref())?;
        self.tell_skipped(job, skipped.as_deref());
        Ok(())
    }

    /// Submits the job, unless an earlier run is in the way.
    fn trigger(
        &self,
        job: &Subject<'_>,
        key: String,
        kind: TriggerKind,
        scheduled: DateTime<Utc>,
        overlap: Overlap,
    ) -> Result<Option<String>> {
        let ledger = &self.schedules.ledger;
        if ledger.trigger_of_key(&key)?.is_some() {
            return Ok(None);
        }
        let earlier = ledger.open_runs(job.runs())?;
        if let Some(why) = obstacle(overlap, &earlier) {
            let shown = super::overview::shown(scheduled, job.schedule.time_zone);
            return Ok(Some(format!("{shown}: {why}")));
        }
        if overlap == Overlap::CancelOther {
            for run in &earlier {
                ledger.request_cancel(run)?;
            }
        }
        let request = Request {
            key,
            kind,
            scheduled,
            arguments: &BTreeMap::new(),
            requested_by: None,
            is_exclusive: overlap != Overlap::Skip,
        };
        self.schedules.submit(job.file, job.folder, &request)?;
        Ok(None)
    }

    /// Ends the schedules of jobs that are gone.
    fn end_removed(
        &mut self,
        found: &Snapshot,
        entries: &BTreeMap<String, ScheduleEntry>,
    ) -> Result<()> {
        for (name, _) in entries.iter().filter(|(_, entry)| entry.recurrence.is_some()) {
            let is_there = found.jobs.get(name).is_some_and(|file| {
                // A job that cannot be read has a schedule until the contrary is known.
                file.active.is_none() || file.schedule().is_some()
            });
            if !is_there {
                self.schedules.ledger.end_schedule(name)?;
                self.planned.remove(name);
                tracing::info!("{name}: the schedule ends");
            }
        }
        Ok(())
    }
}

impl Subject<'_> {
    /// The job's runs.
    fn runs(&self) -> StandingRuns<'_> {
        StandingRuns { job: &self.file.file_name, folder: self.folder }
    }
}

/// Why a run cannot be triggered while these are not over.
fn obstacle(overlap: Overlap, earlier: &[String]) -> Option<String> {
    match overlap {
        Overlap::Skip => earlier.first().map(|run| format!("run {run} is not over")),
        Overlap::Queue if earlier.len() >= QUEUE_LIMIT => {
            Some(format!("{QUEUE_LIMIT} runs wait already"))
        }
        Overlap::Queue | Overlap::CancelOther => None,
    }
}
