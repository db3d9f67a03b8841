//! `record: on-failure`: a tape of each instance that worked on a chunk which failed, in the state
//! folder. `longshore plugin replay` runs it again.
//!
//! An instance that is recorded works on one chunk only, so that its tape is all that it ever saw.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{SecondsFormat, Utc};
use longshore_model::error::{Class, Error, Result};
use longshore_model::grant::Grant;
use parking_lot::Mutex;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capability::tape::{Recorder, hide_in};
use crate::contract::v0_6::connector_types::Scan;
use crate::contract::v0_6::sink_types::Load;
use crate::contract::v0_6::transform_types::ColumnMapping;

/// The most tapes of one run: who looks into a failure needs one.
pub const TAPES_PER_RUN_LIMIT: usize = 16;

/// The state folder's folder of tapes.
const FOLDER: &str = "tapes";

const EXTENSION: &str = "tape";

/// What a tape is of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Label {
    /// The version of Longshore that recorded it.
    pub longshore: String,
    /// When, in RFC 3339.
    pub recorded: String,
    /// The run.
    pub run: String,
    /// The relation's name in the job.
    pub relation: String,
    /// The chunk.
    pub chunk: usize,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// Who worked.
    pub plugin: PluginLabel,
    /// What it was asked to do.
    pub script: Script,
}

/// A plugin, as a tape names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLabel {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
}

impl PluginLabel {
    /// A plugin that serves.
    pub fn new(name: &str, version: &Version, digest: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_string(), digest: digest.to_owned() }
    }
}

/// The calls that an instance was to carry out; schemas are IPC schema messages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// To read a chunk.
    Connector {
        /// Its config.
        config: Value,
        /// The scan.
        scan: Scan,
        /// The chunk's descriptor.
        descriptor: Vec<u8>,
        /// What its rows must be.
        schema: Vec<u8>,
    },
    /// To change the rows on the tape.
    Transform {
        /// Its config.
        config: Value,
        /// Of its input.
        input: Vec<u8>,
        /// Of its output.
        output: Vec<u8>,
        /// Which columns of them it was handed, and which it said it makes; none: all.
        #[serde(default)]
        mapping: Option<ColumnMapping>,
    },
    /// To write the rows on the tape.
    Sink {
        /// Its config.
        config: Value,
        /// The load.
        load: Load,
        /// The chunk.
        chunk: u64,
        /// Which attempt at it.
        attempt: u32,
    },
}

/// The tapes of one run.
#[derive(Debug)]
pub struct TapeFolder {
    run: String,
    folder: PathBuf,
    limit_bytes: u64,
    kept: AtomicUsize,
}

impl TapeFolder {
    /// A place for a run's tapes, each of at most so many MiB.
    pub fn create(state: &Path, run: &str, limit_mib: u32) -> Result<Self> {
        let folder = state.join(FOLDER).join(run);
        fs::create_dir_all(&folder).map_err(|error| Error::io(folder.display(), error))?;
        let kept = kept(state, run).len().into();
        Ok(Self { run: run.to_owned(), folder, limit_bytes: u64::from(limit_mib) << 20, kept })
    }

    /// The tapes of one attempt at a chunk.
    pub fn attempt(self: &Arc<Self>, relation: &str, chunk: usize, attempt: u32) -> Tapes {
        let (folder, relation) = (self.clone(), relation.to_owned());
        Tapes { folder, relation, chunk, attempt, recorders: Mutex::default() }
    }
}

impl Drop for TapeFolder {
    fn drop(&mut self) {
        // Only where nothing was kept.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// What is recorded of one attempt at a chunk. What is not kept leaves nothing.
pub struct Tapes {
    folder: Arc<TapeFolder>,
    relation: String,
    chunk: usize,
    attempt: u32,
    recorders: Mutex<Vec<(String, Recorder)>>,
}

impl Tapes {
    /// Begins a tape of one instance; nothing if it cannot be.
    pub fn record(&self, plugin: PluginLabel, grant: &Grant, script: Script) -> Option<Recorder> {
        match self.begin(plugin, grant, script) {
            Ok(recorder) => Some(recorder),
            Err(error) => {
                tracing::warn!("{error}: the chunk is not recorded");
                None
            }
        }
    }

    fn begin(&self, plugin: PluginLabel, grant: &Grant, script: Script) -> Result<Recorder> {
        let name = plugin.name.clone();
        let mut script = serde_json::to_value(script)?;
        hide_in(&mut script, grant);
        let label = Label {
            longshore: env!("CARGO_PKG_VERSION").to_owned(),
            recorded: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            run: self.folder.run.clone(),
            relation: self.relation.clone(),
            chunk: self.chunk,
            attempt: self.attempt,
            plugin,
            script: serde_json::from_value(script)?,
        };
        let TapeFolder { folder, limit_bytes, .. } = &*self.folder;
        let recorder = Recorder::begin(folder, &label, grant, *limit_bytes)?;
        let mut recorders = self.recorders.lock();
        recorders.push((name, recorder.clone()));
        Ok(recorder)
    }

    /// The attempt failed: keeps the tapes of those whose work it was.
    pub fn keep(&self, error: &Error) {
        let recorders = self.recorders.lock();
        let failed = |recorder: &Recorder| recorder.has_failed();
        let is_known = recorders.iter().any(|(_, recorder)| failed(recorder));
        // The host refused what one of them gave: it is not told which.
        let is_of_plugins = is_known || matches!(error.class(), Class::Internal | Class::Data);
        if !is_of_plugins {
            return;
        }
        for (number, (plugin, recorder)) in recorders.iter().enumerate() {
            if is_known && !failed(recorder) {
                continue;
            }
            if self.folder.kept.fetch_add(1, Ordering::Relaxed) >= TAPES_PER_RUN_LIMIT {
                tracing::info!(
                    "run {}: it has {TAPES_PER_RUN_LIMIT} tapes already",
                    self.folder.run
                );
                return;
            }
            let Self { relation, chunk, attempt, .. } = self;
            let file = format!("{relation}-{chunk:05}-{attempt}-{number}-{plugin}.{EXTENSION}");
            match recorder.keep(self.folder.folder.join(file), error) {
                Ok(Some(path)) => {
                    tracing::warn!("recorded: `longshore plugin replay {}`", path.display());
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("{error}: the tape is lost"),
            }
        }
    }
}

/// The tapes that were kept of a run, by name.
pub fn kept(state: &Path, run: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(state.join(FOLDER).join(run)).into_iter().flatten().flatten();
    let paths = files.map(|file| file.path());
    let mut tapes: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
        .collect();
    tapes.sort();
    tapes
}

/// Removes the tapes of a run that is not remembered any more.
pub fn forget(state: &Path, run: &str) -> Result<()> {
    let folder = state.join(FOLDER).join(run);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io(folder.display(), error))
        }
        _ => Ok(()),
    }
}
