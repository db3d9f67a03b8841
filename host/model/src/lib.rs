//! What all other crates speak of: errors, jobs and settings, grants, parts, the retry policy and the
//! memory budget. It knows neither DataFusion nor wasmtime.

pub mod atomic_file;
pub mod bundled;
pub mod checksum;
pub mod config;
pub mod error;
pub mod feature;
pub mod figures;
pub mod file_lock;
pub mod format;
pub mod grant;
pub mod json_syntax;
pub mod layout;
pub mod limits;
pub mod memory;
pub mod part;
pub mod relation;
pub mod retry;
pub mod schema_change;
pub mod trace_context;
pub mod watermark;
