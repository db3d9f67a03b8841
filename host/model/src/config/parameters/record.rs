//! The values of a run's parameters, as the ledger, reports and manifests record them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::format::json_escaped;

/// The values of a run's parameters, by their names. Empty for a job that declares none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterRecord(BTreeMap<String, Value>);

impl ParameterRecord {
    pub(super) fn new(values: BTreeMap<String, Value>) -> Self {
        Self(values)
    }

    /// The values, by the names of the parameters.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The text of a parameter file of this name, whose ending says how it is written.
    pub fn to_file_text(&self, path: &Path) -> Result<String> {
        let is_toml = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
        if is_toml {
            return toml::to_string(&self.0).map_err(|error| Error::internal(error.to_string()));
        }
        // JSON is YAML, too.
        Ok(json_escaped(&serde_json::to_string_pretty(&self.0)?))
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
