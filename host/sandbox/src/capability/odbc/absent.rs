//! In place of `process`, in a build without ODBC: no session starts.

use std::time::Duration;

use longshore_model::error::Result;
use longshore_model::feature::Feature;
use longshore_odbc_wire::{Reading, Request};
use tokio::runtime::Handle;

/// A running session. There is none.
pub enum Process {}

impl Process {
    /// Refuses to start one.
    pub fn start(_: &Handle, _: Duration) -> Result<Self> {
        Err(Feature::Odbc.missing())
    }

    /// Asks for something small.
    pub async fn ask(&mut self, _: &Request) -> Result<Vec<u8>> {
        match *self {}
    }

    /// Asks for a statement's rows.
    pub async fn begin(&mut self, _: Reading) -> Result<()> {
        match *self {}
    }

    /// The next piece of the rows' stream.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        match *self {}
    }
}
