//! From what a job declares and what a run is given to the values: nothing else decides them.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::declaration::{Declaration, Declarations, DefaultValue};
use super::value::ParameterValue;
use crate::config::keys::nearest;
use crate::config::raw::RawParameterType as ParameterType;
use crate::error::{Error, Result, ResultExt};

/// The value of each parameter.
#[derive(Debug, Default)]
pub(super) struct ParameterValues(pub(super) BTreeMap<String, ParameterValue>);

/// Resolves the parameters of a job: checks what is given, and fills in what is not.
pub(super) fn resolve(declared: &Declarations, arguments: &Arguments) -> Result<ParameterValues> {
    let mut faults: Vec<Error> = Vec::new();
    for name in arguments.values.keys().filter(|name| !declared.0.contains_key(*name)) {
        faults.push(unknown(declared, name).with_context(arguments.origin.of(name)));
    }
    let mut values = BTreeMap::new();
    for (name, declaration) in &declared.0 {
        match value(name, declaration, arguments) {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err(error) => faults.push(error),
        }
    }
    Error::all(faults)?;
    Ok(ParameterValues(values))
}

fn value(name: &str, declaration: &Declaration, arguments: &Arguments) -> Result<ParameterValue> {
    if let Some(written) = arguments.values.get(name) {
        let place = arguments.origin.of(name);
        let value = ParameterValue::read(declaration.kind, written).context(place.clone())?;
        declaration.check_allowed(&value).context(place)?;
        return Ok(value);
    }
    match &declaration.default {
        None => Err(Error::config(format!("`parameters.{name}` has no value"))
            .with_hint(arguments.origin.next_step(name))),
        Some(DefaultValue::Value(value)) => Ok(value.clone()),
        Some(DefaultValue::Computed(expression)) => {
            let place = || format!("`parameters.{name}.default`");
            let moment = expression.at(arguments.scheduled.naive_utc()).ok_or_else(|| {
                Error::config("the time is beyond the years 1 to 9999").with_hint("correct it")
            });
            let moment = moment.context(place())?;
            let value = match declaration.kind {
                ParameterType::Date => ParameterValue::Date(moment.date()),
                _ => ParameterValue::Timestamp(moment),
            };
            declaration.check_allowed(&value).context(place())?;
            Ok(value)
        }
    }
}

fn unknown(declared: &Declarations, name: &str) -> Error {
    let error = Error::config(format!("the job has no parameter `{name}`"));
    if declared.0.is_empty() {
        return error.with_hint("remove it, or declare it under `parameters`");
    }
    let names = declared.names();
    error.with_hint(match nearest(name, declared.0.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? The parameters are {names}"),
        None => format!("the parameters are {names}"),
    })
}
