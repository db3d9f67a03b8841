//! What a plugin says of itself is shown and looked up: it must be what it should be.

use longshore_model::error::{Error, Result};
use longshore_sandbox::PluginInfo;

/// The longest word that a plugin says of itself: its name, a scheme.
const WORD_LIMIT_BYTES: usize = 64;

/// The most schemes of one plugin.
const SCHEME_LIMIT: usize = 32;

/// The most config fields that hold endpoints and secrets.
const FIELD_LIMIT: usize = 64;

/// The longest summary.
const SUMMARY_LIMIT_BYTES: usize = 1_024;

/// The largest schema of a config.
const SCHEMA_LIMIT_BYTES: usize = 1 << 20;

/// Checks what a plugin says of itself.
pub(super) fn check(info: &PluginInfo) -> Result<()> {
    check_word("name", info.name())?;
    if info.schemes().len() > SCHEME_LIMIT {
        return Err(Error::config(format!("it answers to more than {SCHEME_LIMIT} schemes")));
    }
    info.schemes().iter().try_for_each(|scheme| check_word("scheme", scheme))?;
    let mut fields = info.endpoints().iter().map(|endpoint| &endpoint.field).chain(info.secrets());
    if fields.clone().count() > FIELD_LIMIT {
        return Err(Error::config(format!("it names more than {FIELD_LIMIT} config fields")));
    }
    fields.try_for_each(|field| check_field(field))?;
    let (summary, schema) = (info.summary(), info.config_schema());
    if summary.len() > SUMMARY_LIMIT_BYTES || summary.contains(char::is_control) {
        return Err(Error::config(format!(
            "its summary is not one line of {SUMMARY_LIMIT_BYTES} bytes at most"
        )));
    }
    if schema.len() > SCHEMA_LIMIT_BYTES {
        return Err(Error::config(format!("its config schema is over {SCHEMA_LIMIT_BYTES} bytes")));
    }
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(schema)
        .map(drop)
        .map_err(|error| Error::config(format!("its config schema: {error}")))
}

/// Checks that a component says the same of itself as its stamp: jobs were checked against that.
pub(super) fn check_same(stamped: &PluginInfo, described: &PluginInfo) -> Result<()> {
    if stamped == described {
        return Ok(());
    }
    Err(Error::config(format!(
        "its section `longshore:plugin-info` says that it is {} {}, the component says something else",
        stamped.name(),
        stamped.version()
    ))
    .with_hint("remove the file, or build it again with `longshore plugin build`"))
}

fn check_field(field: &str) -> Result<()> {
    if field.len() <= WORD_LIMIT_BYTES && !field.contains(char::is_control) {
        return Ok(());
    }
    Err(Error::config(format!(
        "the name of a config field is not one line of {WORD_LIMIT_BYTES} bytes at most"
    )))
}

fn check_word(what: &str, word: &str) -> Result<()> {
    let fits = !word.is_empty()
        && word.len() <= WORD_LIMIT_BYTES
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
    if fits {
        return Ok(());
    }
    Err(Error::config(format!("its {what} is not of lower case letters, digits and `-`")))
}
