//! What a check came to, as reports and manifests say it.

use std::fmt::{self, Display, Formatter};

use longshore_engine::check::Sample;
use longshore_model::config::checks::{CheckOutcome, Severity};
use serde::{Deserialize, Serialize};

/// What a check came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckResult {
    /// The check's name.
    pub name: String,
    /// Its key in the job file, such as `not_null`.
    pub kind: String,
    /// What it does when it fails.
    pub severity: Severity,
    /// Whether it passed.
    pub outcome: CheckOutcome,
    /// The rows that it looked at.
    pub rows: u64,
    /// The rows that fail; absent where the relation passes or fails as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<u64>,
    /// What was found, in words.
    pub found: String,
    /// Some of the rows that fail: their columns that matter, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// What a check came to, with its relation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// The relation's name in the job.
    pub relation: String,
    /// The result.
    #[serde(flatten)]
    pub result: CheckResult,
}

impl CheckReport {
    pub(crate) fn new(relation: &str, result: &CheckResult) -> Self {
        Self { relation: relation.to_owned(), result: result.clone() }
    }

    /// The result as one line, with some of the rows that fail. Errors, logs and events have none of them: more people
    /// read those.
    pub fn with_samples(&self) -> String {
        let mut text = self.to_string();
        for (position, sample) in self.result.samples.iter().enumerate() {
            text += if position == 0 { ", such as " } else { " | " };
            text += &sample_text(sample);
        }
        text
    }
}

/// The result as one line, without rows.
impl Display for CheckReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let CheckResult { name, severity, found, .. } = &self.result;
        write!(f, "{}: check `{name}` ({}): {found}", self.relation, severity.name())
    }
}

fn sample_text(sample: &Sample) -> String {
    let columns = sample.iter().map(|(column, value)| match value {
        Some(value) => format!("{column}={value:?}"),
        None => format!("{column}=NULL"),
    });
    columns.collect::<Vec<_>>().join(", ")
}
