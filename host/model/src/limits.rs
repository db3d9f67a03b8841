//! What one instance of a plugin may use.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};

/// The longest compute time that one call may have.
pub const CALL_LIMIT_SECS: u64 = 86_400;

/// The limits of one instance. Each has a key of the same name under `[limits]` in `longshore.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory, over all memories of the instance.
    pub memory_mib: u32,
    /// Compute time of one call; waiting for a connection does not count.
    pub call_secs: u64,
    /// Compute time of `describe`.
    pub describe_secs: u64,
    /// What one call may hand over, either way.
    pub call_mib: u32,
    /// What one call may ask of the host, in calls.
    pub host_calls: u64,
    /// Open connections.
    pub connections: usize,
    /// What is logged; the rest is dropped.
    pub log_kib: u32,
    /// Calls of a reader, one after the other, that give no row.
    pub empty_calls: u64,
    /// Rows of one chunk.
    pub chunk_rows: u64,
    /// Bytes of one chunk, in memory.
    pub chunk_mib: u64,
    /// What is recorded of one instance, before it is compressed.
    pub tape_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 1_024,
            call_secs: 120,
            describe_secs: 5,
            call_mib: 128,
            host_calls: 10_000_000,
            connections: 64,
            log_kib: 1_024,
            empty_calls: 10_000,
            chunk_rows: 10_000_000_000,
            chunk_mib: 1_048_576,
            tape_mib: 1_024,
        }
    }
}

impl Limits {
    /// Refuses times that are none, or that cannot be reckoned with.
    pub fn check(&self) -> Result<()> {
        within("limits.call_secs", self.call_secs, 1..=CALL_LIMIT_SECS)?;
        within("limits.describe_secs", self.describe_secs, 1..=CALL_LIMIT_SECS)?;
        Ok(())
    }

    /// [`Self::memory_mib`] in bytes.
    pub fn memory_bytes(&self) -> usize {
        (self.memory_mib as usize) << 20
    }

    /// [`Self::call_mib`] in bytes.
    pub fn call_bytes(&self) -> usize {
        (self.call_mib as usize) << 20
    }

    /// [`Self::log_kib`] in bytes.
    pub fn log_bytes(&self) -> usize {
        (self.log_kib as usize) << 10
    }
}

/// A number in its range; `at` is its key.
pub(crate) fn within(at: &str, value: u64, range: RangeInclusive<u64>) -> Result<u64> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Error::config(format!("`{at}` is {value}")).with_hint(format!(
        "give {} to {}",
        range.start(),
        range.end()
    )))
}
