//! The log: its level, and where it goes.

use std::io::{IsTerminal, stderr};

use clap::{ArgAction, Args};
use longshore_daemon::RunLogLayer;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::show;

/// What libraries warn of and Longshore tells itself: that a scheduler does not answer, each second, and that a file
/// of HDFS is not written to its end.
const TOLD_TWICE: &str = "ballista_executor::execution_loop=error,hdfs_native::file=error";

#[derive(Args, Clone, Debug)]
pub(super) struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or a filter such as longshore_engine::scan=debug
    #[arg(long, global = true, env = "LONGSHORE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Log what Longshore does in detail; twice: what its libraries do, too
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say nothing but the answer and errors, and show no progress
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl LogArgs {
    /// Starts the log. It goes to stderr: warnings and compiling for a command, what happens for the daemon.
    pub(super) fn start(&self, is_daemon: bool) {
        if self.quiet {
            show::be_quiet();
        }
        let default = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (_, 1) => "warn,longshore=debug",
            (_, 2..) => "debug",
            _ if is_daemon => "warn,longshore=info",
            _ => "warn,longshore_sandbox=info",
        };
        let default = match self.verbose {
            0 | 1 => &format!("{default},{TOLD_TWICE}"),
            _ => default,
        };
        // The flags are for this one call; a variable may be there for all.
        let filter = self.log.as_deref().filter(|_| !self.quiet && self.verbose == 0);
        start(filter, default, is_daemon);
    }
}

fn start(filter: Option<&str>, default: &str, is_daemon: bool) {
    // A level alone is ours: those of other crates say nothing to most.
    let own_level = filter
        .filter(|text| text.parse::<tracing::Level>().is_ok())
        .map(|level| format!("warn,longshore={level},{TOLD_TWICE}"));
    let filter = own_level.as_deref().or(filter).unwrap_or(default);
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        show::warning(&format!("--log: {error}: logging `{default}`"));
        EnvFilter::new(default)
    });
    // Who looks at a run by the API sees its lines, whatever is logged elsewhere.
    let of_runs = Targets::new()
        .with_target("longshore", Level::INFO)
        .with_target("longshore_run::task", Level::DEBUG);
    let run_log = is_daemon.then(|| RunLogLayer.with_filter(of_runs));
    let registry = tracing_subscriber::registry().with(run_log);
    if is_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        return registry.with(journal.with_filter(filter)).init();
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(stderr().is_terminal() && !show::wants_no_color())
        .with_target(false)
        .with_writer(show::LogWriter::new);
    registry.with(lines.with_filter(filter)).init();
}

/// Whether stderr is the journal: then it gets each message with its fields.
fn is_journal() -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
