//! How long processes of a cluster wait for each other, and how much they take.

/// How long a connection may take to be made.
pub(crate) const CONNECT_SECS: u64 = 5;

/// How long an answer may take.
pub(crate) const REQUEST_SECS: u64 = 20;

/// How often a quiet connection is looked at, and how long it may not answer then.
pub(crate) const KEEP_ALIVE_SECS: u64 = 10;

/// How often an executor tells the driver how far an attempt is.
pub(crate) const REPORT_MILLIS: u64 = 500;

/// An attempt of which the driver hears nothing for so long is lost, and another one is made.
pub(crate) const EXECUTOR_SILENCE_SECS: u64 = 15;

/// An executor that does not reach the driver for so long gives up what it does for it.
pub(crate) const DRIVER_SILENCE_SECS: u64 = 30;

/// The driver asks the scheduler what became of an attempt that nobody has begun for so long, and again.
pub(crate) const LOOK_SECS: u64 = 2;

/// How often the driver looks which executors the cluster of a run has.
pub(crate) const MEMBERS_LOOK_SECS: u64 = 10;

/// A scheduler that does not answer for so long is away: what was asked of it fails, and is tried again.
pub(crate) const SCHEDULER_SILENCE_SECS: u64 = 60;

/// How often somebody is told that attempts wait for an executor.
pub(crate) const WAIT_NOTICE_SECS: u64 = 30;

/// Connections to drivers that an executor keeps.
pub(crate) const DRIVER_LIMIT: usize = 64;

/// How often an executor asks whether the driver still has a run.
pub(crate) const SESSION_LOOK_SECS: u64 = 5;

/// How long an executor that ends tells drivers what it gives up.
pub(crate) const STOP_NOTICE_SECS: u64 = 2;

/// How often an executor with a free place asks for work, while there is some.
pub(crate) const BUSY_POLL_MILLIS: u64 = 10;

/// The same, while there is none.
pub(crate) const IDLE_POLL_MILLIS: u64 = 100;

/// How long an executor asks often after it had work.
pub(crate) const BUSY_SECS: u64 = 5;

/// How long an executor whose disk is full takes no more work: what it failed is tried elsewhere meanwhile.
pub(crate) const FULL_DISK_SECS: u64 = 30;

/// Seconds without a request after which the scheduler forgets an executor.
pub(crate) const EXECUTOR_TIMEOUT_SECS: u64 = 20;

/// How long the scheduler remembers a job that is over, in some 15 KB. Drivers hear of it from executors.
pub(crate) const FINISHED_JOB_SECS: u64 = 10;

/// The pieces in which an executor hands files over to the driver.
pub(crate) const SCRATCH_PIECE_BYTES: usize = 4 << 20;

/// The largest message between processes: the spec of a run with 10,000 chunks has a tenth of it.
pub(crate) const MESSAGE_LIMIT_BYTES: usize = 256 << 20;
