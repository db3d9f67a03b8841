//! Events of lineage: the request to a collector, a line at the end of a file, or a line on stderr.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write, stderr};
use std::path::{Path, PathBuf};

use longshore_model::config::lineage::{Transport, environment_key};
use longshore_model::config::secret;
use longshore_model::error::{Error, Result};
use longshore_model::format::json_escaped;
use longshore_model::grant::{Endpoint, SecretValue};
use longshore_run::ledger::Message;
use longshore_sandbox::capability::http::Request;
use tokio::task::spawn_blocking;
use url::Url;

use super::request::{JSON, post};

/// How an event is delivered.
pub(super) enum Delivery {
    /// By a request to this server.
    Request(Endpoint, Request),
    /// By a line at the end of a file.
    File(PathBuf),
    /// By a line on stderr.
    Console,
}

/// How a message is delivered. The collector's key gets its value here, and is kept nowhere.
pub(super) fn delivery(message: &Message, secrets: Option<&Path>) -> Result<Delivery> {
    match serde_json::from_str(&message.destination)? {
        Transport::File(path) => Ok(Delivery::File(path)),
        Transport::Console => Ok(Delivery::Console),
        Transport::Http { url, api_key } => {
            let mut headers = vec![JSON.map(str::to_owned).into()];
            if let Some(key) = key(api_key.as_ref(), secrets)? {
                headers.push(("Authorization".to_owned(), format!("Bearer {}", key.reveal())));
            }
            let parsed = Url::parse(&url).ok();
            let endpoint = parsed.as_ref().and_then(Endpoint::of_url);
            let endpoint = endpoint.ok_or_else(|| Error::internal("a URL without a server"))?;
            Ok(Delivery::Request(endpoint, post(url, headers, &message.body)))
        }
    }
}

/// The key that the settings name, or else the environment's.
fn key(written: Option<&serde_json::Value>, secrets: Option<&Path>) -> Result<Option<SecretValue>> {
    match written {
        Some(written) => secret::resolve("lineage.api_key", written, secrets).map(Some),
        None => Ok(environment_key().map(SecretValue::new)),
    }
}

/// Adds a line to a file. A line that was left half-written stays one of its own.
pub(super) async fn append(path: PathBuf, line: &str) -> Result<()> {
    let text = format!("{line}\n");
    let written = spawn_blocking(move || {
        let done = write_line(&path, text);
        done.map_err(|error| Error::io(format!("`lineage.file` {}", path.display()), error))
    });
    written.await.map_err(|error| Error::internal(error.to_string()))?
}

fn write_line(path: &Path, mut text: String) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.insert(0, '\n');
        }
    }
    // In one piece: other processes add lines, too.
    file.write_all(text.as_bytes())
}

/// Writes a line to stderr.
pub(super) fn print(line: &str) -> Result<()> {
    writeln!(stderr(), "{}", json_escaped(line)).map_err(|error| Error::io("stderr", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_a_half_one_stays_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lineage.jsonl");
        write_line(&path, "{}\n".to_owned()).unwrap();
        std::fs::write(&path, "{}\n{\"half").unwrap();
        write_line(&path, "[]\n".to_owned()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n{\"half\n[]\n");
    }
}
