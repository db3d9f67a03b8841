//! The report of a run: for people, for `--json`, and for the file beside a job file.

use std::fmt::Write;
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use longshore_engine::scan::LeftOut;
use longshore_model::config::ParameterRecord;
use longshore_model::config::checks::CheckOutcome;
use longshore_model::error::ErrorReport;
use longshore_model::format::{counted, grouped, human_bytes};
use longshore_model::relation::Consistency;
use longshore_model::schema_change::SchemaChange;
use longshore_model::watermark::Advance;
use serde::{Deserialize, Serialize};

use crate::check_result::CheckReport;
use crate::incremental::WindowRecord;
use crate::load_record::LoadRecord;
use crate::phase::Outcome;
use crate::trigger::Trigger;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Everything is published.
    Succeeded,
    /// Nothing is published.
    Failed,
    /// Nothing is published: somebody cancelled it.
    Cancelled,
    /// The run was interrupted, and resumes when the daemon is back.
    Interrupted,
}

impl Status {
    /// The end of the run; none if it resumes.
    pub(super) fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Succeeded => Some(Outcome::Succeeded),
            Self::Failed => Some(Outcome::Failed),
            Self::Cancelled => Some(Outcome::Cancelled),
            Self::Interrupted => None,
        }
    }
}

/// A run, when it is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The run's id.
    pub run: String,
    /// What asked for it. Absent: a dropped file, or a command in the foreground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The job's name.
    pub job: String,
    /// The values of the job's parameters.
    #[serde(default, skip_serializing_if = "ParameterRecord::is_empty")]
    pub parameters: ParameterRecord,
    /// How it ended.
    pub status: Status,
    /// When it began, in RFC 3339.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// Rows published.
    pub rows: u64,
    /// Bytes published.
    pub bytes: u64,
    /// What the run saw of the source.
    pub consistency: Option<Consistency>,
    /// The relations that were published.
    pub relations: Vec<RelationReport>,
    /// What the checks came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckReport>,
    /// When the run restarted, or resumed after an interruption, and why; and the checks that did not pass.
    pub interruptions: Vec<String>,
    /// The run's manifest.
    pub manifest: Option<String>,
    /// The watermarks that it moved; the ledger stores them apart.
    #[serde(skip)]
    pub(crate) advances: Vec<Advance>,
    /// What was recorded of chunks that failed, on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tapes: Vec<PathBuf>,
    /// Why it failed.
    pub error: Option<ErrorReport>,
}

/// One relation that was published.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RelationReport {
    /// Its name in the job.
    pub relation: String,
    /// Its name in the target.
    pub published_as: String,
    /// Where it lies.
    pub folder: String,
    /// The table of a catalog that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_as: Option<String>,
    /// Rows published.
    pub rows: u64,
    /// Bytes published.
    pub bytes: u64,
    /// What its load mode did with what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadRecord>,
    /// Files.
    pub parts: usize,
    /// Chunks read.
    pub chunks: usize,
    /// How often its tasks were retried.
    pub retries: u32,
    /// What was loaded of its incremental tables and queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incremental: Vec<WindowRecord>,
    /// How its columns differed from those that were there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<SchemaChange>,
    /// The rows that could not be read and were left out.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
}

impl RunReport {
    /// The report in a few lines.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.parameters.is_empty() {
            let _ = writeln!(text, "parameters: {}", self.parameters);
        }
        // A check is told below, with its rows.
        let is_check = |line: &String| self.checks.iter().any(|check| check.to_string() == *line);
        for interruption in self.interruptions.iter().filter(|line| !is_check(line)) {
            let _ = writeln!(text, "{interruption}");
        }
        for relation in &self.relations {
            let _ = write!(
                text,
                "{}: {} rows, {}, {} from {} -> {}",
                relation.published_as,
                grouped(relation.rows),
                human_bytes(relation.bytes),
                counted(relation.parts as u64, "part"),
                counted(relation.chunks as u64, "chunk"),
                relation.folder
            );
            if let Some(load) = &relation.load {
                let _ = write!(text, " ({load})");
            }
            let _ = match &relation.registered_as {
                Some(table) => writeln!(text, ", table {table}"),
                None => writeln!(text),
            };
            for load in &relation.incremental {
                let _ = writeln!(text, "  {}: {}", load.relation, load.range);
            }
            for change in &relation.drift {
                let _ = writeln!(text, "  schema change: {change}");
            }
            if !relation.left_out.is_empty() {
                let _ = writeln!(text, "  {}", relation.left_out);
            }
        }
        for check in self.checks.iter().filter(|check| check.result.outcome != CheckOutcome::Passed)
        {
            let _ = writeln!(text, "{}", check.with_samples());
        }
        for tape in &self.tapes {
            let _ = writeln!(text, "recorded: longshore plugin replay {}", tape.display());
        }
        if self.status == Status::Succeeded {
            let _ = write!(
                text,
                "published {} rows in {:.1} s ({} rows/s), consistency {}; run {}",
                grouped(self.rows),
                self.seconds,
                grouped((self.rows as f64 / self.seconds.max(1e-9)) as u64),
                self.consistency.unwrap_or(Consistency::Unknown).name(),
                self.run,
            );
            let _ = match &self.manifest {
                Some(manifest) => writeln!(text, ", manifest {manifest}"),
                None => writeln!(text),
            };
        }
        text
    }
}

/// A moment, as reports and manifests write it.
pub(super) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The seconds since a moment.
pub(super) fn seconds_since(at: DateTime<Utc>) -> f64 {
    (Utc::now() - at).as_seconds_f64().max(0.0)
}
