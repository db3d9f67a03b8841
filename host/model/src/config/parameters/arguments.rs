//! The arguments of a run: what somebody gives for the parameters of its job, and the scheduled time.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::record::ParameterRecord;
use crate::config::document::Document;
use crate::error::{Error, Result, ResultExt};

/// The arguments of a run.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) origin: Origin,
    /// The time that the run is scheduled for; defaults are computed from it.
    pub(super) scheduled: DateTime<Utc>,
}

/// Who gives the values, for errors.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// Flags of a command.
    Flags,
    /// A file.
    File(String),
    /// A request or a schedule.
    Request,
    /// A program that uses the library.
    Caller,
    /// The run itself, which has begun with them.
    Run,
}

impl Arguments {
    /// No values, for a run that is scheduled now.
    pub fn none() -> Self {
        Self { values: BTreeMap::new(), origin: Origin::Flags, scheduled: Utc::now() }
    }

    /// Values as a command is given them: `day=2026-11-20`.
    pub fn of_flags(flags: &[String]) -> Result<Self> {
        let mut values = BTreeMap::new();
        for flag in flags {
            let (name, value) = flag.split_once('=').ok_or_else(|| {
                Error::config(format!("--param `{flag}` gives no value"))
                    .with_hint("write it as in --param day=2026-11-20")
            })?;
            if values.insert(name.to_owned(), Value::String(value.to_owned())).is_some() {
                return Err(Error::config(format!("--param gives `{name}` twice"))
                    .with_hint("give each parameter once"));
            }
        }
        Ok(Self { values, ..Self::none() })
    }

    /// The values of a file that is called `path`, where it is held open.
    pub fn of_file(held: &Path, path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let document = Document::read_at("the parameter file", held, path)?;
        let values = document.entries().ok_or_else(|| {
            Error::config("the file holds no keys")
                .with_hint("write a line for each parameter, such as day: 2026-11-20")
        });
        Ok(Self {
            values: values.context(name.clone())?,
            origin: Origin::File(name),
            ..Self::none()
        })
    }

    /// No values: there is no file of this name that gives any.
    pub fn without_file(path: &Path) -> Self {
        Self { origin: Origin::File(path.display().to_string()), ..Self::none() }
    }

    /// The values of a request: JSON, as a file has them, or texts.
    pub fn of_request(values: BTreeMap<String, Value>) -> Self {
        Self { values, origin: Origin::Request, ..Self::none() }
    }

    /// The values that a program gives, as JSON or texts.
    pub fn of_caller(values: BTreeMap<String, Value>) -> Self {
        Self { values, origin: Origin::Caller, ..Self::none() }
    }

    /// The values that a run has begun with. Each parameter has one, so that no default is computed again.
    pub fn of_run(record: &ParameterRecord) -> Self {
        Self { values: record.values().clone(), origin: Origin::Run, ..Self::none() }
    }

    /// The values that are given.
    pub fn into_values(self) -> BTreeMap<String, Value> {
        self.values
    }

    /// For a run that is scheduled for this time.
    pub fn scheduled_for(self, scheduled: DateTime<Utc>) -> Self {
        Self { scheduled, ..self }
    }
}

impl Origin {
    /// Where a value comes from, for an error.
    pub(super) fn of(&self, name: &str) -> String {
        match self {
            Self::Flags => format!("--param {name}"),
            Self::File(file) => format!("{file}: `{name}`"),
            Self::Request => format!("the request's value of `{name}`"),
            Self::Caller => format!("the value given for `{name}`"),
            Self::Run => format!("the run's value of `{name}`"),
        }
    }

    /// How to give a value, for a hint.
    pub(super) fn next_step(&self, name: &str) -> String {
        match self {
            Self::Flags => format!("give --param {name}=VALUE"),
            Self::File(file) => format!("give `{name}` in {file}, dropped before the job"),
            Self::Request => format!("give `{name}` among the parameters of the request"),
            Self::Caller => format!("give one by `param(\"{name}\", ..)`"),
            Self::Run => "run the job anew".into(),
        }
    }
}
