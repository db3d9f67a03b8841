//! The daemon: takes jobs from a folder, runs them, and puts them away with their reports.

mod inbox;
mod lease;
mod serve;

pub use inbox::Inbox;
pub use serve::{Daemon, Watch};
