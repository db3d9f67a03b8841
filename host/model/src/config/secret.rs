//! Where a secret's value is found: in the job, in the environment, in a file, or under a name in
//! the operator's folder of secrets.

use std::env;
use std::path::Path;

use serde_json::{Value, json};

use super::small_file::read_small_file;
use crate::error::{Error, Result};
use crate::grant::SecretValue;

/// The largest secret that is read: a chain of certificates.
pub const SECRET_LIMIT_BYTES: u64 = 1 << 20;

/// How a secret is written.
const HINT: &str = "write { secret: NAME }, { env: NAME } or { file: PATH }";

/// The id under which the unit file loads the folder of secrets.
const CREDENTIAL_PREFIX: &str = "secret_";

/// Whether what a job wrote in a secret's place can be one; nothing is read.
pub fn check_form(field: &str, written: &Value) -> Result<()> {
    let only = written.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    let is_one = only.is_some_and(|(key, value)| {
        ["env", "file", "secret"].contains(&key.as_str()) && value.is_string()
    });
    if written.is_string() || is_one {
        return Ok(());
    }
    Err(Error::config(format!("`{field}` is not a secret")).with_hint(HINT))
}

/// Where a secret is found. The value itself would be in the ledger.
pub(super) fn reference(at: &str, written: Value) -> Result<Value> {
    check_form(at, &written)?;
    if written.is_string() {
        return Err(Error::config(format!("`{at}` is a secret's value")).with_hint(
            "write where it is found: { secret: NAME }, { env: NAME } or { file: PATH }",
        ));
    }
    // Whoever delivers it may have started in another folder.
    match written.get("file").and_then(Value::as_str) {
        Some(path) => {
            let path = std::path::absolute(path).map_err(|error| Error::io(path, error))?;
            Ok(json!({ "file": path }))
        }
        None => Ok(written),
    }
}

/// Resolves what a job wrote in a secret's place; `field` is for errors.
pub fn resolve(field: &str, written: &Value, secrets: Option<&Path>) -> Result<SecretValue> {
    if let Value::String(value) = written {
        return Ok(SecretValue::new(value.clone()));
    }
    let only = written
        .as_object()
        .filter(|map| map.len() == 1)
        .and_then(|map| map.iter().next())
        .and_then(|(key, value)| Some((key.as_str(), value.as_str()?)));
    match only {
        Some(("env", name)) => {
            let value = env::var(name).map_err(|_| {
                Error::config(format!("`{field}`: the environment has no `{name}`"))
                    .with_hint(format!("set `{name}` for the process that runs Longshore"))
            })?;
            cleaned(field, &format!("the environment's `{name}`"), &value)
        }
        Some(("file", path)) => read(field, Path::new(path)),
        Some(("secret", name)) => named(field, name, secrets),
        _ => Err(Error::config(format!("`{field}` is not a secret")).with_hint(HINT)),
    }
}

/// The value of a secret that the job need not give, for the host's own use.
pub fn resolve_given(
    field: &str,
    written: &Option<Value>,
    secrets: Option<&Path>,
) -> Result<Option<String>> {
    let value = written.as_ref().map(|written| resolve(field, written, secrets)).transpose()?;
    Ok(value.map(|value| value.reveal().to_owned()))
}

fn named(field: &str, name: &str, secrets: Option<&Path>) -> Result<SecretValue> {
    let Some(folder) = secrets else {
        return Err(Error::config(format!("`{field}`: no folder of secrets to find `{name}` in"))
            .with_hint("name one with --secrets DIR or LONGSHORE_SECRETS"));
    };
    if name.contains('/') || name.starts_with('.') || name.is_empty() {
        return Err(Error::config(format!("`{field}`: `{name}` is not a secret's name"))
            .with_hint("name a file in the folder of secrets, without a path"));
    }
    // Systemd's LoadCredential= of a folder puts its own id before each name.
    let credential = folder.join(format!("{CREDENTIAL_PREFIX}{name}"));
    let path = if credential.exists() { credential } else { folder.join(name) };
    if path.exists() {
        return read(field, &path);
    }
    Err(Error::config(format!("`{field}`: no secret `{name}` in {}", folder.display()))
        .with_hint("put the value into a file of that name there"))
}

fn read(field: &str, path: &Path) -> Result<SecretValue> {
    let bytes = read_small_file(&format!("`{field}`"), path, SECRET_LIMIT_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::config(format!("`{field}`: {} is not UTF-8 text", path.display()))
            .with_hint("save the secret as plain UTF-8")
    })?;
    cleaned(field, &path.display().to_string(), &text)
}

/// Without the one line end that editors and `echo` add. What cannot be a secret is named.
fn cleaned(field: &str, place: &str, text: &str) -> Result<SecretValue> {
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let wrong = if text.is_empty() {
        "is empty"
    } else if text.starts_with('\u{feff}') {
        "begins with a byte order mark"
    } else if text.contains('\0') {
        "holds a NUL character"
    } else {
        return Ok(SecretValue::new(text));
    };
    Err(Error::config(format!("`{field}`: {place} {wrong}"))
        .with_hint("save the secret as plain UTF-8, and nothing else with it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_no_part_of_a_secret_and_blanks_are() {
        let read =
            |text: &str| cleaned("password", "it", text).map(|secret| secret.reveal().to_owned());
        for (text, secret) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
            ("a\r", "a\r"),
        ] {
            assert_eq!(read(text).unwrap(), secret, "{text:?}");
        }
        for (text, wrong) in [
            ("", "is empty"),
            ("\r\n", "is empty"),
            ("\u{feff}a", "byte order mark"),
            ("a\0", "NUL"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(wrong), "{text:?}");
        }
    }
}
