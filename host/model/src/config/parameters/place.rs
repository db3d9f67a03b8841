//! Places outside of SQL in which a parameter may stand: names, and paths of URLs. A value becomes a part of them
//! as it is, and so it must be one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::value::ParameterValue;
use crate::error::{Error, Result};
use crate::grant::shown;

/// The longest part of a path.
const PART_LIMIT_BYTES: usize = 200;

/// What a URL need not encode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a table's name.
pub(super) fn table_part(value: &ParameterValue) -> Result<String> {
    match value {
        ParameterValue::Text(text) if is_identifier(text) => Ok(text.clone()),
        ParameterValue::Integer(0..) => Ok(value.text()),
        ParameterValue::Text(_) => Err(no_identifier(value)),
        _ => Err(unnamed(value, "declare it as text or integer")),
    }
}

/// A part of a relation's name in the target.
pub(super) fn name_part(value: &ParameterValue) -> Result<String> {
    match value {
        ParameterValue::Text(text) if is_identifier(text) => Ok(text.clone()),
        ParameterValue::Integer(_) | ParameterValue::Date(_) | ParameterValue::Boolean(_) => {
            Ok(value.text())
        }
        ParameterValue::Text(_) => Err(no_identifier(value)),
        _ => Err(unnamed(value, "declare it as text, integer or date")),
    }
}

/// A part of a folder's or a file's name.
pub(super) fn path_part(value: &ParameterValue) -> Result<String> {
    let text = value.text();
    let cause = match text.as_str() {
        "" => "is empty",
        "." | ".." => "leads to another folder",
        _ if text.len() > PART_LIMIT_BYTES => "is too long",
        _ if text.contains(['/', '\\']) => "holds a slash",
        _ if text.contains(char::is_control) => "holds a control character",
        _ => return Ok(text),
    };
    Err(Error::config(format!("`{}` {cause}, and it is to be a part of a path", shown(&text)))
        .with_hint("give a value that can be a folder's name"))
}

/// The same of a path that may be a pattern.
pub(super) fn pattern_part(value: &ParameterValue) -> Result<String> {
    let text = path_part(value)?;
    if text.contains(['*', '?', '[']) {
        return Err(Error::config(format!("`{}` would make a pattern of the path", shown(&text)))
            .with_hint("give a value without `*`, `?` and `[`"));
    }
    Ok(text)
}

/// A part of a URL's path.
pub(super) fn url_part(value: &ParameterValue) -> Result<String> {
    Ok(utf8_percent_encode(&path_part(value)?, ENCODED).to_string())
}

/// Where the path of a URL stands: behind its server, and before what follows a `?` or a `#`.
pub(super) fn url_path(url: &str) -> Option<std::ops::Range<usize>> {
    let (scheme, rest) = url.split_once(':')?;
    let start = match rest.strip_prefix("//") {
        None if rest.starts_with('/') => scheme.len() + 1,
        None => return None,
        Some(rest) => {
            let server = rest.find('/')?;
            // Such a URL's first name is its server, however many slashes are before it.
            if server == 0 && scheme.to_ascii_lowercase().starts_with("http") {
                return None;
            }
            scheme.len() + 3 + server
        }
    };
    let end = url[start..].find(['?', '#']).map_or(url.len(), |end| start + end);
    Some(start..end)
}

/// Refuses a path that a value has made another one: a name in it that leads elsewhere.
pub(super) fn check_names(path: &str) -> Result<()> {
    match path.split('/').find(|name| matches!(*name, "." | "..")) {
        None => Ok(()),
        Some(name) => Err(Error::config(format!("the path has the name `{name}`"))
            .with_hint("give values that make up a folder's name")),
    }
}

fn is_identifier(text: &str) -> bool {
    text.len() <= PART_LIMIT_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn no_identifier(value: &ParameterValue) -> Error {
    Error::config(format!("`{}` is not a plain identifier", shown(&value.text())))
        .with_hint("give a value of ASCII letters, digits and `_`, a letter first")
}

fn unnamed(value: &ParameterValue, hint: &str) -> Error {
    Error::config(format!("`{}` cannot be a part of a name", value.text())).with_hint(hint)
}
