//! A job on standard input: `longshore run -`. Programs give jobs in this way that nobody else should read.

use std::io::{Read, stdin};
use std::path::Path;
use std::sync::OnceLock;

use longshore::program::Task;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::{Arguments, Job, Policy};
use longshore_model::error::{Error, Result};
use serde::de::IgnoredAny;

use super::kept_job::{self, STDIN_STEM};

/// What stands for standard input, where a job file could.
const STDIN: &str = "-";

/// Whether standard input is meant.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Reads the job; files that it names lie in the folder where the command is called.
pub(super) fn read(arguments: &Arguments, policy: &Policy) -> Result<Job> {
    let text = text()?;
    let here = std::env::current_dir().map_err(|error| Error::io("the folder", error))?;
    Job::of_text(text, &file_name(text), &here, arguments, policy)
}

/// The text, which can be read only once.
fn text() -> Result<&'static str> {
    static TEXT: OnceLock<Result<String>> = OnceLock::new();
    TEXT.get_or_init(read_text).as_deref().map_err(Error::copy)
}

fn read_text() -> Result<String> {
    let mut bytes = Vec::new();
    let read = stdin().take(DOCUMENT_LIMIT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("standard input", error))?;
    if bytes.len() as u64 > DOCUMENT_LIMIT_BYTES {
        let message = format!("standard input holds more than {DOCUMENT_LIMIT_BYTES} bytes");
        return Err(Error::config(message).with_hint("give a smaller job"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Error::config("standard input is not UTF-8 text").with_hint("give a job in YAML or JSON")
    })
}

/// JSON is YAML, too, but for some escapes.
fn file_name(text: &str) -> String {
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    format!("{STDIN_STEM}.{}", if is_json { "json" } else { "yaml" })
}

/// Gives the job of a task a file.
pub(super) fn give_file(task: &mut Task, state: &Path) -> Result<()> {
    let text = text()?;
    kept_job::give_file(task, state, &file_name(text), text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_json_and_all_else_as_yaml() {
        assert_eq!(file_name(r#"{"name": "\ud83d\ude00"}"#), "stdin.json");
        for yaml in ["{name: x}", "name: x\n", ""] {
            assert_eq!(file_name(yaml), "stdin.yaml");
        }
    }
}
