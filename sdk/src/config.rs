//! A plugin's config: from the job's JSON to a checked type.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::capabilities::longshore::plugin::types::EndpointField;
use crate::{Error, Result, host};

/// A config field whose value is a secret: the config holds its name, the host holds its value.
///
/// List the field in the plugin's info (`secrets`), so that the host grants it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    secret: String,
}

impl Secret {
    /// A secret by the name of its config field.
    pub fn named(field: impl Into<String>) -> Self {
        Self { secret: field.into() }
    }

    /// Asks the host for the value. Keep it no longer than needed; log it never.
    pub fn reveal(&self) -> Result<String> {
        host::secret(&self.secret)
    }

    /// Works out a login by SCRAM-SHA-256 with it; see [`host::scram_sha256`].
    pub fn scram_sha256(
        &self,
        salt: &[u8],
        iterations: u32,
        auth_message: &str,
    ) -> Result<host::Scram> {
        host::scram_sha256(&self.secret, salt, iterations, auth_message)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    /// What a person writes in a job: the value itself, or where the host finds it.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let source = |key: &str, about: &str| {
            json_schema!({
                "type": "object",
                "properties": { key: { "type": "string", "description": about } },
                "required": [key],
                "additionalProperties": false
            })
        };
        json_schema!({
            "description": "A secret: its value, or where to find it",
            "anyOf": [
                { "type": "string" },
                source("secret", "A name in the operator's secrets"),
                source("env", "An environment variable of the daemon"),
                source("file", "A file that the daemon can read"),
            ]
        })
    }
}

/// The JSON Schema of a config type, as `describe` hands it out.
pub fn schema_of<T: JsonSchema>() -> String {
    schemars::schema_for!(T).as_value().to_string()
}

/// Reads a config; an error names the field.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner().to_string();
        // serde_json adds a position in a text that no user ever saw.
        let cause = inner.split(" at line ").next().unwrap_or(&inner);
        match path.as_str() {
            "." => Error::config(cause),
            path => Error::config(format!("`{path}`: {cause}")),
        }
    })
}

/// Texts of a plugin's info, as the contract has them.
pub(crate) fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

/// Endpoints of a plugin's info, as the contract has them.
pub(crate) fn endpoints(of: &[(&str, u16)]) -> Vec<EndpointField> {
    let field = |&(field, default_port): &(&str, u16)| EndpointField {
        field: field.to_owned(),
        default_port,
    };
    of.iter().map(field).collect()
}
