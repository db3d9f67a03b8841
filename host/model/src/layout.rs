//! The names of what Longshore keeps in its folders. The policy keeps jobs from some of it.

/// The inbox's folder of jobs under way.
pub const RUNNING: &str = "running";
/// The inbox's folder of jobs that succeeded.
pub const DONE: &str = "done";
/// The inbox's folder of jobs that failed.
pub const FAILED: &str = "failed";

/// All folders of an inbox.
pub const INBOX_FOLDERS: [&str; 3] = [RUNNING, DONE, FAILED];

/// The ledger, in the state folder. SQLite keeps two files beside it.
pub const LEDGER: &str = "ledger.sqlite";
/// The job files that wait to be run.
pub const SPOOL: &str = "spool";
/// The copies of standing jobs; and, in a folder for each run, the jobs without a file whose runs may go on.
pub const JOB_COPIES: &str = "jobs";
/// The manifests of targets that do not hold them: sinks, and single files.
pub const MANIFESTS: &str = "manifests";
/// The rows that runs need again before their commit, a folder for each run.
pub const SCRATCH: &str = "scratch";
/// The first token of the HTTP API.
pub const API_TOKEN: &str = "api-token";

/// What of the state folder no job reads: it holds secrets, or the jobs and rows of
/// others.
pub(crate) const PRIVATE: [&str; 7] =
    [API_TOKEN, JOB_COPIES, LEDGER, "ledger.sqlite-shm", "ledger.sqlite-wal", SCRATCH, SPOOL];
