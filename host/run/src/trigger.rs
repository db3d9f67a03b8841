//! What asked for a run: a schedule, a request, a command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

/// The kind of a trigger.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Display,
    EnumString,
    IntoStaticStr,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TriggerKind {
    /// A scheduled time that has come.
    Schedule,
    /// A scheduled time of the past that somebody asked for.
    Backfill,
    /// Somebody asked for a run of a standing job.
    RunNow,
    /// The jobs before it in a chain have succeeded.
    Chain,
    /// A job that was submitted to the API.
    Api,
    /// Somebody asked for another attempt at a run that failed.
    Retry,
}

/// What asked for a run. Dropped files and commands in the foreground have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// Its kind.
    pub kind: TriggerKind,
    /// The key that asks for this run and no other.
    pub key: String,
    /// The time that the run is for, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<String>,
    /// When it was written down, in RFC 3339.
    pub requested: String,
    /// Who asked, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
}

impl Trigger {
    /// The trigger in a line.
    pub fn to_text(&self) -> String {
        let mut text = self.kind.to_string();
        if let Some(scheduled) = &self.scheduled {
            text += &format!(", scheduled for {scheduled}");
        }
        if let Some(requested_by) = &self.requested_by {
            text += &format!(", by {requested_by}");
        }
        text
    }
}
