//! A file of YAML, TOML or JSON, by its ending, as one tree of values.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::keys::refuse_unknown;
use super::small_file::read_small_file;
use crate::error::{Error, Result, ResultExt};
use crate::plugin::hex;

/// The largest file that is read: a job is written by people.
pub const DOCUMENT_LIMIT_BYTES: u64 = 4 << 20;

/// A parsed file.
#[derive(Debug)]
pub struct Document {
    value: Value,
    /// SHA-256 of its text, in hex.
    pub digest: String,
}

impl Document {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = read_small_file("the job file", path, DOCUMENT_LIMIT_BYTES)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::config(format!("{name}: not UTF-8 text: not a job file")))?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        Self::parse(&text, ending).context(name.to_string())
    }

    /// Parses a text whose format is named by a file's ending.
    pub fn parse(text: &str, ending: &str) -> Result<Self> {
        let value = match ending.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => parse_yaml(text),
            "toml" => toml::from_str(text).map_err(|error| error.to_string()),
            "json" => serde_json::from_str(text).map_err(|error| error.to_string()),
            other => {
                return Err(Error::config(format!("`.{other}` is not a format of Longshore's"))
                    .with_hint("name the file .yaml, .toml or .json"));
            }
        };
        let value = value.map_err(|cause| {
            // Only the first line: the rest draws the place, over several lines.
            let first = cause.lines().next().unwrap_or_default().to_owned();
            let hint = format!("mend the {ending} there");
            Error::config(format!("not valid {ending}: {first}")).with_hint(hint)
        })?;
        Ok(Self { value, digest: hex(&Sha256::digest(text)) })
    }

    /// The values as a type, whose JSON Schema tells the known keys.
    pub fn into_typed<T: DeserializeOwned + schemars::JsonSchema>(self) -> Result<T> {
        if !self.value.is_object() {
            return Err(Error::config("the file holds no keys")
                .with_hint("begin with `source:`, as in the README's first job"));
        }
        typed("", self.value)
    }
}

/// The value at a path, as a type, whose JSON Schema tells the known keys.
pub(super) fn typed<T: DeserializeOwned + schemars::JsonSchema>(
    at: &str,
    value: Value,
) -> Result<T> {
    refuse_unknown(schemars::schema_for!(T).as_value(), at, &value)?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = join(at, &error.path().to_string());
        let cause = error.into_inner().to_string();
        Error::config(match path.as_str() {
            "" => cause,
            path => format!("`{path}`: {cause}"),
        })
    })
}

/// `.` stands for the whole.
fn join(at: &str, path: &str) -> String {
    match (at, path) {
        (at, ".") => at.to_owned(),
        ("", path) => path.to_owned(),
        (at, path) => format!("{at}.{path}"),
    }
}

/// YAML 1.2: a column that is called `n` or `yes` is no boolean.
fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}
