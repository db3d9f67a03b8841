//! Plugins: what lies in the plugin folder, what it says that it is, and what a job grants it.

mod admission;
mod catalog;
mod component_file;
mod folder;
mod grants;
mod info;
mod installation;
mod kind;
mod plugin;
pub mod registry;
mod serving;
mod set;
mod stamp;
mod stamping;

pub use admission::{Admission, AdmittedComponent, Lock, signature_of};
pub use catalog::{Catalog, Slot};
pub use component_file::{COMPILE_LIMIT_SECS, COMPONENT_LIMIT_BYTES};
pub use folder::{FolderWatch, Plugins};
pub use grants::{Secrets, bind};
pub use installation::{Installation, install, lock};
pub use kind::PluginKind;
pub use plugin::{Compile, Plugin, PluginDigests};
pub use serving::{ServedFile, ServingPlugin};
pub use set::{Binding, Bound, PluginSet, Resolver};
pub use stamp::Stamp;
pub use stamping::stamp;
