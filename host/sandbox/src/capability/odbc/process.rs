//! A process that runs one ODBC session: it is asked over its standard input, and answers over its
//! standard output.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use longshore_model::bundled::bundled;
use longshore_model::error::{Class, Error, Result};
use longshore_model::grant::shown;
use longshore_odbc_wire::{Fault, HEAD_BYTES, Head, Kind, Reading, Request};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::fault::error_of;

/// The program's name.
const PROGRAM: &str = "longshore-odbc";

/// What a session inherits: where drivers and their settings lie, and nothing that could be a secret.
const INHERITED: &[&str] = &[
    "HOME",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "LD_LIBRARY_PATH",
    "ODBCINI",
    "ODBCINSTINI",
    "ODBCSYSINI",
    "ORACLE_HOME",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TNS_ADMIN",
    "VERTICAINI",
];

/// What texts of drivers are written in.
const LOCALE: &str = "C.UTF-8";

/// How long a session that is no longer wanted may take to end: it gives itself less.
const END_TIMEOUT_SECS: u64 = 5;

/// How long the last words of a session that has ended may take.
const LAST_WORDS_SECS: u64 = 1;

/// What the system says of a program whose library it does not find, before the library's name.
const LIBRARY_NOT_FOUND: &str = "error while loading shared libraries: ";

/// The most bytes of an answer that is not rows.
const ANSWER_LIMIT_BYTES: u32 = 128 << 20;

/// A running session.
pub struct Process {
    child: Option<Child>,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The last line that a driver wrote to standard error.
    last_words: Arc<Mutex<String>>,
    /// Ends when nothing more can be written there.
    hearing: JoinHandle<()>,
    patience: Duration,
    io: Handle,
}

impl Process {
    /// Starts one, each of whose answers may take so long; it belongs to the runtime `io`.
    pub fn start(io: &Handle, patience: Duration) -> Result<Self> {
        let program = program()?;
        let inherited = INHERITED.iter().filter_map(|key| Some((key, std::env::var_os(key)?)));
        let _entered = io.enter();
        let mut child = Command::new(&program)
            .env_clear()
            .envs(inherited)
            .env("LC_ALL", LOCALE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(program.display(), error))?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::internal("a process without its pipes"));
        };
        let last_words = Arc::<Mutex<String>>::default();
        let heard = last_words.clone();
        let hearing = io.spawn(async move {
            let mut lines = BufReader::new(errors).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let line = shown(&line);
                tracing::debug!("an ODBC driver says: {line}");
                *heard.lock() = line;
            }
        });
        Ok(Self {
            input: child.stdin.take(),
            child: Some(child),
            output: BufReader::new(output),
            last_words,
            hearing,
            patience,
            io: io.clone(),
        })
    }

    /// Asks for something small.
    pub async fn ask(&mut self, request: &Request) -> Result<Vec<u8>> {
        self.send(request).await?;
        match self.frame(ANSWER_LIMIT_BYTES).await? {
            (Kind::Answer, answer) => Ok(answer),
            (kind, _) => Err(self.confused(kind)),
        }
    }

    /// Asks for a statement's rows.
    pub async fn begin(&mut self, reading: Reading) -> Result<()> {
        self.send(&Request::Read(reading)).await
    }

    /// The next piece of the rows' stream; nothing at its end.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        match self.frame(longshore_odbc_wire::FRAME_LIMIT_BYTES).await? {
            (Kind::Piece, piece) => Ok(Some(piece)),
            (Kind::End, _) => Ok(None),
            (kind, _) => Err(self.confused(kind)),
        }
    }

    async fn send(&mut self, request: &Request) -> Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        let Some(input) = &mut self.input else { return Err(Error::internal("a session is over")) };
        let written = async {
            input.write_all(&line).await?;
            input.flush().await
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.died().await),
        }
    }

    async fn frame(&mut self, limit_bytes: u32) -> Result<(Kind, Vec<u8>)> {
        let patience = self.patience;
        let Ok(read) = timeout(patience, self.read_frame(limit_bytes)).await else {
            self.kill();
            let what = format!("the ODBC driver gave no answer in {} s", patience.as_secs());
            return Err(Error::timeout(what)
                .with_hint("`timeout` in the job's source sets how long it may take"));
        };
        match read {
            Ok(Some((Kind::Fault, payload))) => Err(error_of(super::parsed::<Fault>(&payload)?)),
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(Error::internal("longshore-odbc sent something else than a frame")),
            Err(_) => Err(self.died().await),
        }
    }

    /// A frame; nothing if what came is none.
    async fn read_frame(&mut self, limit_bytes: u32) -> std::io::Result<Option<(Kind, Vec<u8>)>> {
        let mut head = [0; HEAD_BYTES];
        self.output.read_exact(&mut head).await?;
        let Some(head) = Head::read(head).filter(|head| head.bytes <= limit_bytes) else {
            return Ok(None);
        };
        let mut payload = vec![0; head.bytes as usize];
        self.output.read_exact(&mut payload).await?;
        Ok(Some((head.kind, payload)))
    }

    /// What became of it, when it no longer answers.
    async fn died(&mut self) -> Error {
        self.input = None;
        let Some(mut child) = self.child.take() else {
            return Error::internal("a session is over");
        };
        let ended = timeout(Duration::from_secs(END_TIMEOUT_SECS), child.wait()).await;
        let how = match ended {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it closed its output".to_owned(),
        };
        // What a driver has started may still hold its standard error open.
        let _ = timeout(Duration::from_secs(LAST_WORDS_SECS), &mut self.hearing).await;
        let words = self.last_words.lock().clone();
        missing_library(&words).unwrap_or_else(|| crash(&how, &words))
    }

    fn confused(&self, kind: Kind) -> Error {
        Error::internal(format!("longshore-odbc answered with {kind:?}"))
    }

    fn kill(&mut self) {
        self.input = None;
        if let Some(child) = &mut self.child {
            // It may be gone already.
            let _ = child.start_kill();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its input tells it to cancel what it does, and to go; also when this process ends.
        self.input = None;
        let Some(mut child) = self.child.take() else { return };
        self.io.spawn(async move {
            if timeout(Duration::from_secs(END_TIMEOUT_SECS), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        });
    }
}

fn crash(how: &str, words: &str) -> Error {
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    Error::new(Class::Connection, format!("the ODBC driver crashed ({how}){said}")).with_hint(
        "it ran in a process of its own, and nothing else was harmed; update the driver, or report \
         it to its maker",
    )
}

/// The error of a process that could not start, if that is what its last words say.
fn missing_library(words: &str) -> Option<Error> {
    let (_, rest) = words.split_once(LIBRARY_NOT_FOUND)?;
    let (library, cause) = rest.split_once(": ").unwrap_or((rest, "it is not there"));
    let hint = if library.starts_with("libodbc") {
        "install the driver manager unixODBC: `apt-get install libodbc2` on Debian and Ubuntu, `dnf install \
         unixODBC` on RHEL and Fedora; among the images, take one with `odbc` in its name"
            .to_owned()
    } else {
        format!("install the package that has {library}")
    };
    Some(Error::config(format!("{PROGRAM} cannot start: {library}: {cause}")).with_hint(hint))
}

fn program() -> Result<PathBuf> {
    let program = bundled(PROGRAM)?;
    if program.exists() {
        return Ok(program);
    }
    Err(Error::config(format!("ODBC is not there: no {}", program.display()))
        .with_hint("install it with Longshore; among the images, take one with `odbc` in its name"))
}

#[cfg(test)]
mod tests {
    use longshore_model::error::Class;

    use super::*;

    #[test]
    fn without_the_driver_manager_the_next_step_is_to_install_it() {
        let said = "/usr/bin/longshore-odbc: error while loading shared libraries: libodbc.so.2: cannot open \
                    shared object file: No such file or directory";
        let error = missing_library(said).unwrap();
        assert_eq!(error.class(), Class::Config);
        assert_eq!(
            format!("{error}; next: {}", error.hint().unwrap()),
            "longshore-odbc cannot start: libodbc.so.2: cannot open shared object file: No such file or directory; \
             next: install the driver manager unixODBC: `apt-get install libodbc2` on Debian and Ubuntu, `dnf \
             install unixODBC` on RHEL and Fedora; among the images, take one with `odbc` in its name"
        );
        let other = missing_library(&said.replace("libodbc.so.2", "libltdl.so.7")).unwrap();
        assert_eq!(other.hint(), Some("install the package that has libltdl.so.7"));
        assert!(missing_library("Segmentation fault in libodbc.so.2").is_none());
    }
}
