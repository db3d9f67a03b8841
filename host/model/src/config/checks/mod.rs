//! `checks:` of a job file: what rows must be like to be published.

mod raw;
mod rule;
mod share;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::job::JobRelation;
use super::keys::nearest;
use crate::error::{Error, Result, ResultExt};
use crate::format::{counted, grouped};

use raw::RawAmount;
pub(in crate::config) use raw::RawCheck;
pub use rule::{Rule, Value};
pub use share::Share;

/// The most checks of a relation.
pub const CHECK_LIMIT: usize = 200;

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
        }
    }

    /// Whether no row may fail.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    fn check(raw: RawAmount) -> Result<Self> {
        match raw {
            RawAmount::Rows(rows) => Ok(Self::Rows(rows)),
            RawAmount::Share(text) => Share::read("allow", &text).map(Self::Share),
        }
    }
}

impl Display for Allowance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{}", grouped(*rows)),
            Self::Share(share) => share.fmt(f),
        }
    }
}

/// `not_null(id) (fail, 5 rows may)`.
impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.severity.name())?;
        match self.allow {
            Allowance::Rows(0) => {}
            Allowance::Rows(rows) => write!(f, ", {} may fail", counted(rows, "row"))?,
            Allowance::Share(share) => write!(f, ", {share} of the rows may fail")?,
        }
        f.write_str(")")
    }
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
        let name = name.unwrap_or_else(|| rule.to_string());
        if name.is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(char::is_control) {
            return Err(Error::config(format!("`name`: `{name}` names no check"))
                .with_hint(format!("give a text of at most {NAME_LIMIT_BYTES} bytes")));
        }
        let allow = allow.map(Allowance::check).transpose()?.unwrap_or_default();
        Ok(Self { name, severity, allow, rule })
    }
}

/// Checks as a job gives them, before its relations are known.
#[derive(Debug, Default)]
pub(in crate::config) struct RawChecks {
    /// Those of the job.
    pub(in crate::config) of_job: Vec<RawCheck>,
    /// Those of each entry of `relations`.
    pub(in crate::config) of_entries: Vec<Vec<RawCheck>>,
}

impl RawChecks {
    /// Gives each relation its checks. Of a job with `sql`, which has one relation, entries are its inputs.
    pub(in crate::config) fn attach(self, relations: &mut [JobRelation]) -> Result<()> {
        let is_joined = relations.iter().any(|relation| relation.sql.is_some());
        for (index, raw) in self.of_entries.into_iter().enumerate() {
            let at = format!("relations[{index}].checks");
            if is_joined && !raw.is_empty() {
                return Err(Error::config(format!("`{at}`: the entry is an input of `sql`"))
                    .with_hint("give `checks` to the job: they check what its `sql` makes"));
            }
            for (position, raw) in raw.into_iter().enumerate() {
                let at = format!("`{at}[{position}]`");
                if raw.relations.is_some() {
                    return Err(Error::config(format!("{at}: `relations` is not needed here"))
                        .with_hint("remove it, or move the check to the job's own `checks`"));
                }
                add(&mut relations[index], Check::read(raw), &at)?;
            }
        }
        for (position, raw) in self.of_job.into_iter().enumerate() {
            attach_to_all(raw, &format!("`checks[{position}]`"), relations)?;
        }
        Ok(())
    }
}

/// Gives a check of the job to the relations that it names.
fn attach_to_all(raw: RawCheck, at: &str, relations: &mut [JobRelation]) -> Result<()> {
    let wanted: Option<BTreeSet<String>> =
        raw.relations.clone().map(|names| names.into_iter().collect());
    let names: Vec<String> = relations.iter().map(|relation| relation.name.clone()).collect();
    let unknown = wanted.iter().flatten().find(|name| !names.contains(name));
    if let Some(name) = unknown {
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the relations are {}", names.join(", ")),
        };
        let error = Error::config(format!("{at}: the job has no relation `{name}`"));
        return Err(error.with_hint(hint));
    }
    let is_wanted = |name: &String| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
    for relation in relations.iter_mut().filter(|relation| is_wanted(&relation.name)) {
        add(relation, Check::read(raw.clone()), at)?;
    }
    Ok(())
}

fn add(relation: &mut JobRelation, check: Result<Check>, at: &str) -> Result<()> {
    let check = check.context(at.to_owned())?;
    if relation.checks.iter().any(|other| other.name == check.name) {
        let (check, relation) = (&check.name, &relation.name);
        return Err(Error::config(format!(
            "{at}: two checks of `{relation}` are called `{check}`"
        ))
        .with_hint("give one of them another `name`"));
    }
    if relation.checks.len() == CHECK_LIMIT {
        return Err(Error::config(format!(
            "{at}: `{}` has more than {CHECK_LIMIT} checks",
            relation.name
        ))
        .with_hint("name several columns in one `not_null`"));
    }
    relation.checks.push(check);
    Ok(())
}
