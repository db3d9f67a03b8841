//! Single values as a job file writes them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// A text, a number, or true or false.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a text, a number, or true or false")]
pub(super) enum RawScalar {
    /// A text.
    Text(String),
    /// A number.
    Number(serde_json::Number),
    /// True or false.
    Boolean(bool),
}

impl From<RawScalar> for Value {
    fn from(scalar: RawScalar) -> Self {
        match scalar {
            RawScalar::Text(text) => text.into(),
            RawScalar::Number(number) => number.into(),
            RawScalar::Boolean(value) => value.into(),
        }
    }
}
