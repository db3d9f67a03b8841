//! In place of `gssapi`, in a build without Kerberos: no login begins.

use std::path::Path;

use longshore_model::error::Result;
use longshore_model::feature::Feature;

/// A login. There is none.
pub(super) enum Context {}

impl Context {
    /// Refuses to begin one.
    pub(super) fn begin(_: &str, _: Option<&str>, _: Option<&Path>) -> Result<Self> {
        Err(Feature::Kerberos.missing())
    }

    pub(super) fn step(&mut self, _: &[u8]) -> Result<(Vec<u8>, bool)> {
        match *self {}
    }

    pub(super) fn wrap(&self, _: &[u8], _: bool) -> Result<Vec<u8>> {
        match *self {}
    }

    pub(super) fn unwrap(&self, _: &[u8]) -> Result<Vec<u8>> {
        match *self {}
    }
}
