//! Plugins: what lies in the plugin folder, what it says that it is, and what a job grants it.

mod catalog;
mod contract;
mod grants;

pub(crate) use catalog::hex;
pub use catalog::{Catalog, ConnectorPlugin, Described, Entry, Kind, Plugin, TransformPlugin};
pub use contract::{CONTRACT_VERSION, Stamp};
pub use grants::bind;
