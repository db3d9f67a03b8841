//! The values of a run's parameters, as the ledger, reports and manifests record them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::format::json_escaped;

/// The values of a run's parameters, by their names. Empty for a job that declares none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterRecord(BTreeMap<String, Value>);

impl ParameterRecord {
    pub(super) fn new(values: BTreeMap<String, Value>) -> Self {
        Self(values)
    }

    pub(super) fn values(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `day = 2026-11-20, region = "EU west"`: on one line, whatever is in them.
impl fmt::Display for ParameterRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let gap = if place == 0 { "" } else { ", " };
            match value {
                Value::String(text) if is_plain(text) => write!(f, "{gap}{name} = {text}")?,
                other => write!(f, "{gap}{name} = {}", json_escaped(&other.to_string()))?,
            }
        }
        Ok(())
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}
