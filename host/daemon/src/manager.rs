//! The service manager: systemd, if it started us. It is told when we are ready, what we do, and
//! that we live.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sd_notify::NotifyState;

/// How often the daemon checks that it lives where no watchdog asks for more.
const BEAT_SECS: u64 = 5;

/// Systemd, or nobody.
#[derive(Debug)]
pub struct Manager {
    every: Duration,
    last_beat: Mutex<Option<Instant>>,
    status: Mutex<String>,
}

impl Manager {
    /// The one that started this process.
    pub fn of_process() -> Self {
        // Three signs of life within the time that the watchdog allows.
        let every = sd_notify::watchdog_enabled().map(|allowed| allowed / 3);
        let most = Duration::from_secs(BEAT_SECS);
        Self {
            every: every.map_or(most, |every| every.min(most)),
            last_beat: Mutex::default(),
            status: Mutex::default(),
        }
    }

    /// Jobs are taken.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The settings are read again.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("the clock: {error}"),
        }
    }

    /// No more jobs are taken; what is under way may take so long.
    pub(super) fn stopping(&self, drain: Duration) {
        let micros = u32::try_from(drain.as_micros()).unwrap_or(u32::MAX);
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("finishing the chunks under way"),
            NotifyState::ExtendTimeoutUsec(micros),
        ]);
    }

    /// Whether a sign of life is due.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.last_beat.lock();
        let due = last.is_none_or(|last| last.elapsed() >= self.every);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    /// We live.
    pub(super) fn beat(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// We do this: told whenever it changes.
    pub(super) fn status(&self, status: String) {
        let mut last = self.status.lock();
        if *last != status {
            tell(&[NotifyState::Status(&status)]);
            *last = status;
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Without systemd this is nothing; with it, there is nothing to be done about a failure.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("telling the service manager: {error}");
    }
}
