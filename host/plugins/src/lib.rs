//! Plugins: what lies in the plugin folder, what it says that it is, and what a job grants it.

mod admission;
mod catalog;
mod component;
mod contract;
mod folder;
mod grants;
mod kind;
pub mod registry;
mod serving;

pub use admission::{Admission, Lock, Locked, signature_of};
pub use catalog::{Catalog, Slot};
pub use component::{
    COMPILE_LIMIT_SECS, COMPONENT_LIMIT_BYTES, ConnectorPlugin, Described, Plugin, SinkPlugin,
    TransformPlugin,
};
pub use contract::{CONTRACT_VERSION, Stamp};
pub use folder::{Plugins, Watching};
pub use grants::{Secrets, bind};
pub use kind::Kind;
pub use serving::{Serving, ServingPlugin};
