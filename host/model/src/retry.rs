//! How failed work is tried again.

use std::time::Duration;

use crate::error::{Error, Result};

/// How often a chunk (or a relation that is made as a whole) is tried again, unless the operator
/// says.
pub const RETRY_LIMIT: u32 = 5;

/// How often the chunks of a relation whose retries are spent are begun once more, after the rest of
/// the relation, unless the operator says.
pub const RELATION_RETRY_LIMIT: u32 = 1;

/// The wait before the first retry, unless the operator says; it doubles with each, and up to half
/// of it is added at random.
pub const RETRY_BACKOFF_MILLIS: u64 = 500;

/// The longest wait before a retry.
pub const RETRY_BACKOFF_LIMIT_MILLIS: u64 = 60_000;

/// How often, and after what waits, something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries of one chunk.
    pub limit: u32,
    /// Retries of one relation: of its chunks whose own are spent.
    pub relation_limit: u32,
    /// The wait before the first.
    pub backoff_millis: u64,
}

impl RetryPolicy {
    /// The wait before the next attempt at what failed so, after so many retries; none if it is not
    /// tried again.
    pub fn wait_after(&self, error: &Error, retries: u32) -> Option<Duration> {
        (error.class().is_transient() && retries < self.limit).then(|| self.wait(retries))
    }

    /// Does something until it succeeds, fails for good, or the retries are spent.
    pub async fn persist<T, F: Future<Output = Result<T>>>(
        &self,
        what: &str,
        work: impl Fn() -> F,
    ) -> Result<T> {
        let mut retries = 0;
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(wait) = self.wait_after(&error, retries) else { return Err(error) };
            tracing::warn!("{what}: {error}: trying again in {} ms", wait.as_millis());
            tokio::time::sleep(wait).await;
            retries += 1;
        }
    }

    /// Whether the chunks of a relation that failed so are begun once more, after so many times.
    pub fn tries_again(&self, error: &Error, retries: u32) -> bool {
        error.class().is_transient() && retries < self.relation_limit
    }

    /// The wait before the next attempt, after so many retries.
    pub fn wait(&self, retries: u32) -> Duration {
        let doubled = self.backoff_millis.saturating_mul(1 << retries.min(20));
        let base = doubled.clamp(1, RETRY_BACKOFF_LIMIT_MILLIS);
        let mut random = [0; 8];
        // Without randomness, all wait alike: slower, not wrong.
        let _ = getrandom::fill(&mut random);
        Duration::from_millis(base + u64::from_le_bytes(random) % (base / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_their_limit() {
        let policy = RetryPolicy { limit: 9, relation_limit: 1, backoff_millis: 500 };
        for (retries, base) in [(0, 500), (1, 1_000), (3, 4_000), (19, 60_000), (99, 60_000)] {
            let wait = policy.wait(retries).as_millis();
            assert!((base..=base + base / 2).contains(&wait), "{retries}: {wait}");
        }
    }

    #[test]
    fn only_what_can_pass_is_tried_again_and_not_for_ever() {
        let policy = RetryPolicy { limit: 2, relation_limit: 1, backoff_millis: 1 };
        let passing = Error::timeout("slow");
        assert!(policy.wait_after(&passing, 1).is_some());
        assert!(policy.wait_after(&passing, 2).is_none());
        assert!(policy.wait_after(&Error::config("wrong"), 0).is_none());
    }
}
