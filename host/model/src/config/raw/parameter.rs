//! Parameters, as a job declares them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::RawScalar;

/// A parameter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "write text, integer, decimal, date, timestamp, boolean, or { type: .., default: .. }"
)]
pub(in crate::config) enum RawParameter {
    /// Its type: each run must give a value.
    Type(RawParameterType),
    /// With what else is known of it.
    Keys(RawParameterKeys),
}

/// A parameter, with all that a job says of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawParameterKeys {
    /// The type of its values.
    #[serde(rename = "type")]
    pub(in crate::config) kind: RawParameterType,
    /// Its value, where a run gives none. A date or a timestamp can be computed from the scheduled
    /// time: `"{{ scheduled - 1d }}"`.
    pub(in crate::config) default: Option<RawScalar>,
    /// The values that it may have; every one of its type if absent.
    pub(in crate::config) allowed: Option<Vec<RawScalar>>,
    /// What it is for.
    #[expect(dead_code, reason = "people read it in the job file")]
    pub(in crate::config) description: Option<String>,
}

/// The type of a parameter's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawParameterType {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal of up to 38 digits, which all count.
    Decimal,
    /// A date.
    Date,
    /// A date and a time, in UTC.
    Timestamp,
    /// True or false.
    Boolean,
}
