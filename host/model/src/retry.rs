//! The settings of retries: how often, and how long to wait. The runner decides which errors are retried.

/// How often a chunk (or a relation that is made as a whole) is tried again, unless the operator
/// says.
pub const RETRY_LIMIT: u32 = 5;

/// How often the chunks of a relation that have used up their retries are tried again, after the rest
/// of the relation, unless the operator says.
pub const RELATION_RETRY_LIMIT: u32 = 1;

/// The wait before the first retry, unless the operator says; it doubles with each, and up to half
/// of it is added at random.
pub const RETRY_BACKOFF_MILLIS: u64 = 500;

/// How often work is retried, and after which wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries of one chunk.
    pub limit: u32,
    /// Retries of one relation: of its chunks whose own are used up.
    pub relation_limit: u32,
    /// The wait before the first.
    pub backoff_millis: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            limit: RETRY_LIMIT,
            relation_limit: RELATION_RETRY_LIMIT,
            backoff_millis: RETRY_BACKOFF_MILLIS,
        }
    }
}
