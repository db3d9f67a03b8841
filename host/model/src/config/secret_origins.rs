//! Where secrets were read that come with their values to another machine: its policy holds for the places that the job
//! names.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Secrets with their values, and what the job has in their places.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct SecretOrigins(Vec<(String, Value)>);

/// It holds secrets.
impl fmt::Debug for SecretOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretOrigins")
    }
}

impl SecretOrigins {
    /// Adds a secret that was read.
    pub(super) fn add(&mut self, value: &str, written: Value) {
        self.0.push((value.to_owned(), written));
    }

    /// What the job has in the place of a value: all that have it. What was not read elsewhere is its own origin.
    pub(super) fn of<'a>(&'a self, value: &'a Value) -> Vec<&'a Value> {
        let read = self.0.iter().filter(|(read, _)| value.as_str() == Some(read));
        let origins: Vec<&Value> = read.map(|(_, written)| written).collect();
        if origins.is_empty() { vec![value] } else { origins }
    }
}
