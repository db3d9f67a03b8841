//! Configuration: raw text becomes checked values here, and nothing behind it re-checks.

pub mod access;
pub mod checks;
pub mod cluster;
pub mod connector;
pub mod direct;
pub mod document;
pub mod drift;
mod file_name;
pub mod files;
pub mod incremental;
pub mod job;
mod job_relations;
mod keys;
pub mod lineage;
pub mod load;
mod mode;
pub mod notify;
pub mod parameters;
pub mod place;
pub mod plain_path;
mod plugin_requirement;
pub mod policy;
mod portable;
mod positions;
pub mod query_file;
mod raw;
mod record;
pub mod register;
mod scalar;
pub mod schedule;
pub mod secret;
mod secret_origins;
pub mod settings;
mod shape;
mod signer;
mod sink_url;
pub mod small_file;
pub mod store_url;
pub mod table_name;
pub mod target;
pub mod territory;
pub mod traces;

pub use access::{Access, Reach};
pub use document::Document;
pub use drift::DriftPolicy;
pub use job::{Job, Step};
pub use keys::{nearest, nearest_or_all};
pub use lineage::{Lineage, ParentRun};
pub use notify::{NotifyEvent, Webhook};
pub use parameters::{Arguments, Dialect, ParameterRecord};
pub use plugin_requirement::{Pin, PluginRequirement};
pub use policy::{Policy, PolicyScope};
pub use portable::PortableJob;
pub use record::Record;
pub use schedule::{Recurrence, Schedule, StandingJob};
pub use settings::{PluginFolders, Settings};
pub use shape::check_shape;
pub use signer::Signer;

/// The JSON Schema of a job file.
pub fn job_schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(raw::RawJob);
    schema.insert("$id".into(), "https://longshore.dev/schema/job-0.1.json".into());
    schema.insert("title".into(), "A Longshore job".into());
    schema.to_value()
}
