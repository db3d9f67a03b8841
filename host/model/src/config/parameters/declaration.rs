//! The parameters that a job declares, checked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schedule::{Expression, SCHEDULED};
use super::value::ParameterValue;
use crate::config::raw::{RawParameter, RawParameterKeys, RawParameterType as ParameterType};
use crate::config::scalar::RawScalar;
use crate::error::{Error, Result, ResultExt};

/// The most parameters of a job.
const PARAMETERS_LIMIT: usize = 100;

/// The longest name of a parameter.
const NAME_LIMIT_BYTES: usize = 64;

/// The parameters of a job, by their names.
#[derive(Debug)]
pub(in crate::config) struct Declarations(pub(super) BTreeMap<String, Declaration>);

/// A parameter.
#[derive(Debug)]
pub(super) struct Declaration {
    pub(super) kind: ParameterType,
    pub(super) default: Option<DefaultValue>,
    /// The values that it may have; none: every one of its type.
    pub(super) allowed: Option<Vec<ParameterValue>>,
}

/// The value of a parameter that nobody gives.
#[derive(Debug)]
pub(super) enum DefaultValue {
    Value(ParameterValue),
    Computed(Expression),
}

impl Declarations {
    pub(in crate::config) fn check(raw: BTreeMap<String, RawParameter>) -> Result<Self> {
        if raw.len() > PARAMETERS_LIMIT {
            return Err(Error::config(format!("`parameters` are {}", raw.len()))
                .with_hint(format!("declare at most {PARAMETERS_LIMIT}")));
        }
        let (mut declared, mut faults) = (BTreeMap::new(), Vec::new());
        for (name, raw) in raw {
            let checked = check_name(&name).and_then(|()| Declaration::check(&name, raw));
            match checked {
                Ok(declaration) => {
                    declared.insert(name, declaration);
                }
                Err(error) => faults.push(error),
            }
        }
        Error::all(faults)?;
        Ok(Self(declared))
    }

    /// The names of those that a run must give values for.
    pub(in crate::config) fn without_default(&self) -> Vec<String> {
        let needed = self.0.iter().filter(|(_, declaration)| declaration.default.is_none());
        needed.map(|(name, _)| name.clone()).collect()
    }

    /// The names, for an error.
    pub(super) fn names(&self) -> String {
        self.0.keys().cloned().collect::<Vec<_>>().join(", ")
    }
}

impl Declaration {
    fn check(name: &str, raw: RawParameter) -> Result<Self> {
        let (kind, default, allowed) = match raw {
            RawParameter::Type(kind) => (kind, None, None),
            RawParameter::Keys(RawParameterKeys { kind, default, allowed, .. }) => {
                (kind, default, allowed)
            }
        };
        let at = format!("parameters.{name}");
        let allowed = allowed.map(|written| check_allowed(&at, kind, written)).transpose()?;
        let default = default
            .map(|written| {
                DefaultValue::check(kind, &written.into()).context(format!("`{at}.default`"))
            })
            .transpose()?;
        let declaration = Self { kind, default, allowed };
        if let Some(DefaultValue::Value(value)) = &declaration.default {
            declaration.check_allowed(value).context(format!("`{at}.default`"))?;
        }
        Ok(declaration)
    }

    /// Refuses a value that is not one of those that are allowed.
    pub(super) fn check_allowed(&self, value: &ParameterValue) -> Result<()> {
        let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.contains(value)) else {
            return Ok(());
        };
        let words: Vec<String> = allowed.iter().map(ParameterValue::text).collect();
        Err(Error::config(format!("`{}` is not allowed", crate::grant::shown(&value.text())))
            .with_hint(format!("give one of {}", words.join(", "))))
    }
}

impl DefaultValue {
    fn check(kind: ParameterType, written: &Value) -> Result<Self> {
        let is_computed = matches!(kind, ParameterType::Date | ParameterType::Timestamp);
        let text = written.as_str().filter(|_| is_computed).and_then(Expression::read);
        match text {
            Some(expression) => expression.map(Self::Computed),
            None => ParameterValue::read(kind, written).map(Self::Value),
        }
    }
}

fn check_allowed(
    at: &str,
    kind: ParameterType,
    written: Vec<RawScalar>,
) -> Result<Vec<ParameterValue>> {
    if written.is_empty() {
        return Err(Error::config(format!("`{at}.allowed` is empty, and no value would do"))
            .with_hint("name the values that are allowed, or remove it"));
    }
    let values = written.into_iter().map(|written| ParameterValue::read(kind, &written.into()));
    values.collect::<Result<_>>().context(format!("`{at}.allowed`"))
}

fn check_name(name: &str) -> Result<()> {
    let refused = |cause: String, hint: &str| {
        Err(Error::config(format!("`parameters.{name}`: {cause}")).with_hint(hint))
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || name.len() > NAME_LIMIT_BYTES {
        return refused(
            "that is no name of a parameter".into(),
            "use letters, digits and `_`, a letter first, at most 64 of them",
        );
    }
    if name == SCHEDULED {
        return refused(
            format!("`{SCHEDULED}` stands for the scheduled time"),
            "give the parameter another name; its default can be computed from the scheduled time",
        );
    }
    Ok(())
}
