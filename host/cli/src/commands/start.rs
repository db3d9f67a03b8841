//! The start of the program, and its end: the exit code.

use std::env::args_os;
use std::io::{self, Write};

use clap::Parser;
use longshore::program::on_large_stack;
use longshore_model::config::settings::cores;
use longshore_model::error::Error;
use longshore_model::memory::keep_little_memory;
use serde_json::json;

use crate::cluster::ClusterProgram;

use super::{Cli, Command, CommandError, dispatch, show};

/// Runs the program, and ends the process.
pub fn main() -> ! {
    main_with(None)
}

/// The same of a program with clusters.
pub fn main_with(program: Option<&dyn ClusterProgram>) -> ! {
    let cli = Cli::try_parse().unwrap_or_else(|error| end_misunderstood(&error));
    let json = cli.json;
    cli.log.start(matches!(cli.command, Command::Serve(_) | Command::Cluster(_)));
    longshore_engine::ipc::silence_caught_panics();
    ignore_size_limit_signal();
    keep_little_memory(cores());
    match on_large_stack(|| dispatch(cli, program)) {
        Ok(()) => end_answered(),
        Err(CommandError { error, reported }) => {
            if json && !reported {
                show::json(&json!({ "error": error.report() }));
            }
            show::failure(&error);
            end(error.exit_code())
        }
    }
}

/// Ends the program with success, if its answer could be written.
fn end_answered() -> ! {
    let Some(error) = show::unwritten() else { end(0) };
    show::failure(&error);
    end(error.exit_code())
}

/// Ends the process at once. Threads may still be in C libraries, and these must not be taken down around them: libkrb5
/// aborts the process then.
fn end(code: u8) -> ! {
    let _ = io::stdout().flush();
    // SAFETY: nothing runs after it.
    unsafe { libc::_exit(code.into()) }
}

/// Ends the program where its arguments are no command, or ask for help. Whoever asks for JSON gets the error so, too.
fn end_misunderstood(error: &clap::Error) -> ! {
    if error.use_stderr() && args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let cause = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let error = Error::config(cause).with_hint("`longshore --help` lists commands and options");
        show::json(&json!({ "error": error.report() }));
    }
    if error.use_stderr() {
        error.exit();
    }
    show::note_unwritten(error.print());
    end_answered()
}

/// A file that grows beyond what the user may write is an error of that write, and not the program's end.
fn ignore_size_limit_signal() {
    // SAFETY: no handler of ours runs.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}
