//! The daemon: takes jobs from a folder, runs them, and puts them away with their reports.

mod inbox;
mod lease;
mod manager;
mod parameter_file;
mod part;
mod serve;
mod taken;

pub use inbox::Inbox;
pub use manager::Manager;
pub use parameter_file::parameter_file;
pub use serve::{DRAIN_SECS, Daemon, Signal, Watch, is_running, lock};
