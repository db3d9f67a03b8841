//! Retries: which work is tried again, after which errors, how often, and after which wait. Everything
//! that concerns the retries of runs is decided here. Callers ask, and count nothing themselves.
//!
//! | work | retried after | how often | wait |
//! |---|---|---|---|
//! | an attempt at a chunk | transient errors | `retries` | backoff |
//! | the chunks of a relation that have used up theirs | transient errors | `relation_retries` | backoff, continued |
//! | planning and preparing | transient errors | `retries`; a command never | backoff |
//! | a run whose plan is gone | stale errors; then transient ones too | 5 | backoff |
//! | a request of the commit | transient errors | `retries` | backoff |
//! | cleaning up | transient errors | `retries`; a command never | backoff |
//! | a commit that was interrupted | any error | without end | 60 s |
//! | a run at which the daemon crashed | - | 2 times without progress | none |

use std::time::Duration;

use longshore_model::error::{Class, Error, Result};
use longshore_model::retry::RetryPolicy;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::ledger::Owner;
use crate::phase::Phase;

/// How often a run restarts because what it had planned was gone.
const RESTART_LIMIT: u32 = 5;

/// The daemon's crashes at a run, without progress between them, after which it gives the run up.
const CRASH_LIMIT: u32 = 3;

/// The longest wait before a retry, without its random part.
const BACKOFF_LIMIT_MILLIS: u64 = 60_000;

/// The wait until the daemon resumes a run that a store interrupted.
pub const RESUME_WAIT: Duration = Duration::from_secs(60);

/// Work that can be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A chunk, or a relation that is made as a whole.
    Chunk,
    /// The chunks of a relation that have used up their retries.
    Relation,
    /// Everything before the first chunk is read: reserving, planning, checking the target.
    Preparation,
    /// A run whose plan is gone.
    Restart,
    /// A request to a target or a catalog.
    Request,
    /// Removing what a run left in its target.
    CleanUp,
}

/// The retries of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    policy: RetryPolicy,
    owner: Owner,
}

impl Retry {
    pub(crate) fn new(policy: RetryPolicy, owner: Owner) -> Self {
        Self { policy, owner }
    }

    /// A counter for one piece of work.
    pub(crate) fn of(&self, work: Work) -> Retries {
        Retries { work, retry: *self, count: 0 }
    }

    /// Does something until it succeeds, fails for good, or has used up its retries. `what` names it in
    /// the log.
    pub(crate) async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        work: Work,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T> {
        let mut retries = self.of(work);
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => retries.wait(what, error).await?,
            }
        }
    }

    /// The same of requests to a target by work that computes, on the runtime for that. `tasks` holds what is under
    /// way: whoever no longer waits for it can end it.
    pub(crate) async fn run_on<T: Send + 'static, F>(
        &self,
        compute: &Handle,
        tasks: &mut JoinSet<Result<T>>,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let mut retries = self.of(Work::Request);
        loop {
            match computed(attempt(), tasks, compute, what).await {
                Ok(done) => return Ok(done),
                Err(error) => retries.wait(what, error).await?,
            }
        }
    }

    fn limit(&self, work: Work) -> u32 {
        match (work, self.owner) {
            (Work::Chunk | Work::Request, _) => self.policy.limit,
            (Work::Relation, _) => self.policy.relation_limit,
            (Work::Restart, _) => RESTART_LIMIT,
            (Work::Preparation | Work::CleanUp, Owner::Daemon) => self.policy.limit,
            // Somebody waits for a command, and wants to know at once.
            (Work::Preparation | Work::CleanUp, Owner::Command) => 0,
        }
    }
}

/// What work comes to on the runtime that computes. It ends when `tasks` is dropped.
pub(crate) async fn computed<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
    tasks: &mut JoinSet<Result<T>>,
    compute: &Handle,
    what: &str,
) -> Result<T> {
    tasks.spawn_on(work, compute);
    match tasks.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(Error::internal(format!("{what}: {error}"))),
        None => Err(Error::internal(format!("{what}: it ended without an answer"))),
    }
}

/// The retries of one piece of work: counts them, and decides about the next.
#[derive(Debug)]
pub(crate) struct Retries {
    work: Work,
    retry: Retry,
    count: u32,
}

impl Retries {
    /// The wait before the next retry, which is counted. None: the error is final.
    pub(crate) fn next(&mut self, error: &Error) -> Option<Duration> {
        self.allows(error).then(|| self.start())
    }

    /// Waits before the next retry; or gives the error, which is final. `what` names the work in the log.
    async fn wait(&mut self, what: &str, error: Error) -> Result<()> {
        let Some(wait) = self.next(&error) else { return Err(error) };
        tracing::warn!("{what}: {error}: trying again in {} ms", wait.as_millis());
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Whether the work is retried after an error.
    pub(crate) fn allows(&self, error: &Error) -> bool {
        let is_transient = error.class().is_transient();
        let is_retryable = match self.work {
            // The source may not be back yet when the run restarts.
            Work::Restart => error.class() == Class::Stale || (self.count > 0 && is_transient),
            _ => is_transient,
        };
        is_retryable && self.count < self.retry.limit(self.work)
    }

    /// Counts a retry that [`Self::allows`] has allowed; gives the wait before it.
    pub(crate) fn start(&mut self) -> Duration {
        let policy = self.retry.policy;
        let before = match self.work {
            // Each of its chunks has waited that often.
            Work::Relation => policy.limit,
            _ => 0,
        };
        let wait = backoff(policy.backoff_millis, before.saturating_add(self.count));
        self.count += 1;
        wait
    }

    /// The retries so far.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// The wait after so many retries: doubled with each, and up to half of it added at random.
fn backoff(first_millis: u64, retries: u32) -> Duration {
    let doubled = first_millis.saturating_mul(1 << retries.min(20));
    let base = doubled.clamp(1, BACKOFF_LIMIT_MILLIS);
    let mut random = [0; 8];
    // Without randomness, all wait alike: slower, not wrong.
    let _ = getrandom::fill(&mut random);
    Duration::from_millis(base + u64::from_le_bytes(random) % (base / 2 + 1))
}

/// What follows when preparing, reading or committing failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Prepare again after a wait. The plan is kept, if there is one.
    Prepare(Duration),
    /// Forget the plan, and plan again after a wait.
    Restart(Duration),
    /// The run fails.
    GiveUp,
}

/// The retries of a run as a whole.
pub(crate) struct RunRetries {
    preparation: Retries,
    restart: Retries,
}

impl RunRetries {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { preparation: retry.of(Work::Preparation), restart: retry.of(Work::Restart) }
    }

    /// What follows an error before the first chunk is read.
    pub(crate) fn after_preparation(&mut self, error: &Error) -> Recovery {
        match self.preparation.next(error) {
            Some(wait) => Recovery::Prepare(wait),
            None => self.after_reading(error),
        }
    }

    /// What follows an error after the first chunk is read.
    pub(crate) fn after_reading(&mut self, error: &Error) -> Recovery {
        self.restart.next(error).map_or(Recovery::GiveUp, Recovery::Restart)
    }
}

/// What the daemon does with a run that it takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOver {
    /// Resumes it.
    Resume,
    /// Gives it up, and removes what it left.
    GiveUp,
    /// Gives it up, and touches nothing: the daemon crashed at cleaning up too.
    Abandon,
}

impl TakeOver {
    /// Decides after so many crashes without progress. A commit is completed in any case.
    pub fn after_crashes(crashes: u32, phase: Option<Phase>) -> Self {
        if crashes < CRASH_LIMIT || phase == Some(Phase::Committing) {
            return Self::Resume;
        }
        if crashes == CRASH_LIMIT { Self::GiveUp } else { Self::Abandon }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { limit: 3, relation_limit: 2, backoff_millis: 1 };
    const CLASSES: [Class; 12] = [
        Class::Config,
        Class::Auth,
        Class::NotFound,
        Class::Data,
        Class::Connection,
        Class::Timeout,
        Class::Throttled,
        Class::Stale,
        Class::Resource,
        Class::Full,
        Class::Cancelled,
        Class::Internal,
    ];

    fn retry(owner: Owner) -> Retry {
        Retry::new(POLICY, owner)
    }

    /// How often work is retried that fails in the same way each time.
    fn retries_of(work: Work, owner: Owner, error: &Error) -> u32 {
        let mut retries = retry(owner).of(work);
        while retries.next(error).is_some() {}
        retries.count()
    }

    #[test]
    fn waits_double_and_end_at_their_limit() {
        for (retries, base) in [(0, 500), (1, 1_000), (3, 4_000), (19, 60_000), (99, 60_000)] {
            let wait = backoff(500, retries).as_millis();
            assert!((base..=base + base / 2).contains(&wait), "{retries}: {wait}");
        }
    }

    #[test]
    fn only_transient_errors_are_retried_and_not_for_ever() {
        for (work, daemon, command) in [
            (Work::Chunk, 3, 3),
            (Work::Relation, 2, 2),
            (Work::Preparation, 3, 0),
            (Work::Request, 3, 3),
            (Work::CleanUp, 3, 0),
        ] {
            for class in CLASSES {
                let error = Error::new(class, "failed");
                let limits = if class.is_transient() { (daemon, command) } else { (0, 0) };
                let counts = [Owner::Daemon, Owner::Command].map(|o| retries_of(work, o, &error));
                assert_eq!(counts, [limits.0, limits.1], "{work:?} after {class:?}");
            }
        }
    }

    #[test]
    fn a_relation_waits_on_from_where_its_chunks_stopped() {
        let mut retries = Retry::new(RetryPolicy { backoff_millis: 100, ..POLICY }, Owner::Daemon);
        retries.policy.limit = 4;
        let wait = retries.of(Work::Relation).next(&Error::timeout("slow")).unwrap().as_millis();
        assert!((1_600..=2_400).contains(&wait), "{wait}");
    }

    #[test]
    fn a_stale_run_restarts_and_then_waits_for_its_source() {
        let (stale, away) = (Error::new(Class::Stale, "gone"), Error::connection("away"));
        let mut retries = retry(Owner::Command).of(Work::Restart);
        assert!(!retries.allows(&away));
        assert!(retries.next(&stale).is_some());
        assert!((1..RESTART_LIMIT).all(|_| retries.next(&away).is_some()));
        assert_eq!((retries.count(), retries.next(&stale)), (RESTART_LIMIT, None));
        assert!(!retry(Owner::Daemon).of(Work::Restart).allows(&Error::config("wrong")));
    }

    #[test]
    fn a_preparation_is_retried_before_the_run_restarts() {
        let (stale, away) = (Error::new(Class::Stale, "gone"), Error::connection("away"));
        let mut run = RunRetries::new(retry(Owner::Daemon));
        for _ in 0..3 {
            assert!(matches!(run.after_preparation(&away), Recovery::Prepare(_)));
        }
        assert_eq!(run.after_preparation(&away), Recovery::GiveUp);
        assert!(matches!(run.after_preparation(&stale), Recovery::Restart(_)));
        // It has restarted: now the source may be away for a while.
        assert!(matches!(run.after_preparation(&away), Recovery::Restart(_)));
        assert!(matches!(run.after_reading(&away), Recovery::Restart(_)));
        assert_eq!(run.after_reading(&Error::data("bad")), Recovery::GiveUp);
    }

    #[test]
    fn a_run_that_kills_the_daemon_is_given_up_unless_it_commits() {
        use TakeOver::{Abandon, GiveUp, Resume};
        let reading = |crashes| TakeOver::after_crashes(crashes, Some(Phase::Reading));
        assert_eq!(
            [0, 1, 2, 3, 4, 9].map(reading),
            [Resume, Resume, Resume, GiveUp, Abandon, Abandon]
        );
        assert_eq!(TakeOver::after_crashes(3, None), GiveUp);
        assert_eq!(TakeOver::after_crashes(9, Some(Phase::Committing)), Resume);
    }

    proptest! {
        /// The reference is the rule in words, over the errors so far.
        #[test]
        fn a_run_recovers_as_the_rule_says(
            errors in proptest::collection::vec((any::<bool>(), proptest::sample::select(&CLASSES[..])), 0..30)
        ) {
            let mut run = RunRetries::new(retry(Owner::Daemon));
            let (mut prepared, mut restarted) = (0, 0);
            for (is_preparing, class) in errors {
                let error = Error::new(class, "failed");
                let recovery = if is_preparing { run.after_preparation(&error) } else { run.after_reading(&error) };
                let may_restart = class == Class::Stale || (restarted > 0 && class.is_transient());
                if is_preparing && class.is_transient() && prepared < POLICY.limit {
                    prepared += 1;
                    prop_assert!(matches!(recovery, Recovery::Prepare(_)));
                } else if may_restart && restarted < RESTART_LIMIT {
                    restarted += 1;
                    prop_assert!(matches!(recovery, Recovery::Restart(_)));
                } else {
                    prop_assert_eq!(recovery, Recovery::GiveUp);
                }
            }
        }
    }
}
