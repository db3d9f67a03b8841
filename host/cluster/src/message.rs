//! What executors and drivers say to each other: JSON in requests of HTTP/2. Whoever asks is an executor.

use longshore_cli::cluster::{ClusterStatus, ExecutorStatus};
use longshore_engine::check::ChunkChecks;
use longshore_engine::scan::{LeftOut, PlacedLeftOut, ReadAmount};
use longshore_engine::write::WriteResult;
use longshore_model::config::cluster::ClusterUrl;
use longshore_model::error::{Error, ErrorReport, Result};
use longshore_model::part::{Part, StagedPart};
use longshore_run::cluster::AttemptOrder;
use serde::{Deserialize, Serialize};

/// Which attempt an executor is asked to carry out, and for whom. It is all that the scheduler sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// The driver's URL.
    pub(crate) driver: String,
    /// The driver's name for its run, which nobody can guess.
    pub(crate) session: String,
    /// The attempt.
    pub(crate) order: AttemptOrder,
    /// The shape of the plan that was cut up, if one was.
    pub(crate) shape: Option<u64>,
}

/// The code of an error: an executor has another plan than the driver.
pub(crate) const PLANS_DIFFER: &str = "plans-differ";

/// What an executor says of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AttemptMessage {
    /// The attempt.
    pub(crate) order: AttemptOrder,
    /// What it says.
    pub(crate) news: News,
}

/// How far an attempt is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// A partition is written. Only the executor that began it is heard.
    Writing(WriterNews),
    /// So much more is read, for others to write.
    Reading(ReadAmount),
    /// A partition of a fragment is read to its end.
    Read(ReaderNews),
    /// They cannot be read.
    Broken(ErrorReport),
}

/// A partition of a fragment that is read to its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReaderNews {
    /// The fragment's number.
    pub(crate) fragment: usize,
    /// What was read since the last news.
    pub(crate) read: ReadAmount,
    /// The rows of it that were left out.
    pub(crate) left_out: PlacedLeftOut,
}

/// How far a partition is that is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriterNews {
    /// Its number.
    pub(crate) partition: usize,
    /// The executor's name for what it does: several may have been asked.
    pub(crate) claim: String,
    /// What was read since the last news.
    pub(crate) read: ReadAmount,
    /// Where it is.
    pub(crate) step: Step,
}

/// Where the writing of a partition is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// It begins, on the executor of this name.
    Begun(String),
    /// It goes on.
    Running,
    /// It is over.
    Ended(Outcome),
}

/// What came of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// What it wrote.
    Written(Vec<StagedPart>, Option<ChunkChecks>, LeftOut),
    /// Why it wrote nothing.
    Failed(ErrorReport),
}

impl From<Result<WriteResult>> for Outcome {
    fn from(done: Result<WriteResult>) -> Self {
        match done {
            Ok(WriteResult { parts, checks, left_out }) => {
                Self::Written(parts.into_iter().map(StagedPart::from).collect(), checks, left_out)
            }
            Err(error) => Self::Failed(error.report()),
        }
    }
}

impl From<Outcome> for Result<WriteResult> {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Written(parts, checks, left_out) => {
                let parts = parts.into_iter().map(Part::from).collect();
                Ok(WriteResult { parts, checks, left_out })
            }
            Outcome::Failed(report) => Err(Error::reported(report)),
        }
    }
}

/// Who a scheduler is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Its version of Longshore.
    pub(crate) longshore: String,
    /// Its executors.
    pub(crate) executors: Vec<ExecutorStatus>,
}

impl Hello {
    /// What people are told of a cluster.
    pub(crate) fn status(mut self, url: &ClusterUrl) -> ClusterStatus {
        self.executors.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
        ClusterStatus {
            scheduler: url.to_string(),
            version: self.longshore,
            executors: self.executors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_told_with_what_its_publication_needs() {
        let part = Part {
            chunk: 7,
            file: "part-7".into(),
            rows: 3,
            bytes: 100,
            checksum: None,
            token: "an upload".into(),
        };
        let outcome = Outcome::from(Ok(WriteResult::from(vec![part.clone()])));
        let told = serde_json::to_vec(&outcome).unwrap();
        let heard: Outcome = serde_json::from_slice(&told).unwrap();
        assert_eq!(Result::from(heard).unwrap().parts, [part]);
    }
}
