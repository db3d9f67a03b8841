//! `checks:` of a job file: what rows must be like to be published.

mod attach;
pub(in crate::config) mod raw;
mod rule;
mod share;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::error::{Error, Result};
use crate::format::{counted, grouped};

pub(in crate::config) use attach::{RawChecks, Relations};
use raw::{RawAmount, RawCheck};
pub use rule::{Rule, Value};
pub use share::Share;

/// The longest name of a check.
const NAME_LIMIT_BYTES: usize = 200;

/// A check of a relation's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What reports call it; no two of a relation are called the same.
    pub name: String,
    /// What it does when it fails.
    pub severity: Severity,
    /// How many rows may fail.
    pub allow: Allowance,
    /// What is checked.
    pub rule: Rule,
}

/// What a failed check does.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// The run fails, and publishes nothing.
    #[default]
    Fail,
    /// The run is published, and its report says so.
    Warn,
    /// Rows that fail are published beside the table, and not in it.
    Quarantine,
}

impl Severity {
    /// Its name, as jobs, reports and metrics write it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What a check came to.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum CheckOutcome {
    /// The rows are as they should be.
    Passed,
    /// Rows that fail are kept out of the table.
    Quarantined,
    /// More rows fail than may, or the relation as a whole fails.
    Failed,
}

impl CheckOutcome {
    /// Its name, as reports and metrics write it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How many rows may fail a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many.
    Rows(u64),
    /// So many of all.
    Share(Share),
    /// Any number.
    Any,
}

impl Default for Allowance {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl Allowance {
    /// Whether so many rows of all may fail.
    pub fn covers(self, failing: u64, rows: u64) -> bool {
        match self {
            Self::Rows(limit) => failing <= limit,
            Self::Share(share) => share.covers(failing, rows),
            Self::Any => true,
        }
    }

    /// Whether no row may fail.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    fn check(raw: RawAmount) -> Result<Self> {
        match raw {
            RawAmount::Rows(rows) => Ok(Self::Rows(rows)),
            RawAmount::Share(text) => Share::of_all("allow", &text).map(Self::Share),
        }
    }
}

impl Display for Allowance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{}", grouped(*rows)),
            Self::Share(share) => share.fmt(f),
            Self::Any => f.write_str("any"),
        }
    }
}

/// `not_null(id) (fail, 5 rows may)`.
impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.severity.name())?;
        match self.allow {
            Allowance::Rows(0) | Allowance::Any => {}
            Allowance::Rows(rows) => write!(f, ", {} may fail", counted(rows, "row"))?,
            Allowance::Share(share) => write!(f, ", {share} of the rows may fail")?,
        }
        f.write_str(")")
    }
}

/// What a check is called that has no name: as it is written, as far as that goes.
fn short_name(rule: &Rule) -> String {
    let whole = rule.to_string().replace(char::is_control, " ");
    if whole.len() <= NAME_LIMIT_BYTES {
        return whole;
    }
    let end = (0..=NAME_LIMIT_BYTES - 2).rev().find(|end| whole.is_char_boundary(*end));
    format!("{}..", &whole[..end.unwrap_or(0)])
}

impl Check {
    fn read(raw: RawCheck) -> Result<Self> {
        let RawCheck { name, severity, allow, relations: _, .. } = &raw;
        let (name, allow) = (name.clone(), allow.clone());
        let severity = severity.unwrap_or_default();
        let rule = Rule::check(raw)?;
        if allow.is_some() && !rule.has_failing_rows() {
            return Err(Error::config(format!("`allow`: no rows fail `{}`", rule.kind()))
                .with_hint("widen the limits of the check itself"));
        }
        if severity == Severity::Quarantine && !rule.is_row_wise() {
            return Err(Error::config(format!(
                "`severity`: `{}` is not of single rows",
                rule.kind()
            ))
            .with_hint(
                "choose `fail` or `warn`: only checks of each row by itself can quarantine",
            ));
        }
        let name = name.unwrap_or_else(|| short_name(&rule));
        if name.is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(char::is_control) {
            return Err(Error::config(format!("`name`: `{name}` names no check"))
                .with_hint(format!("give a text of at most {NAME_LIMIT_BYTES} bytes")));
        }
        let allow = match (allow, severity) {
            (Some(allow), _) => Allowance::check(allow)?,
            (None, Severity::Quarantine) => Allowance::Any,
            (None, _) => Allowance::default(),
        };
        Ok(Self { name, severity, allow, rule })
    }
}
