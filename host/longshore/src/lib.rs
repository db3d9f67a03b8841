//! Longshore moves tables and query results out of databases into a data lake: the library behind the program.
//!
//! It is a façade: each module is the public part of one crate. The crates stand upon each other, and know
//! nothing of those above:
//!
//! ```text
//! model     errors, jobs and settings, grants, parts, budgets
//! sandbox   components of WebAssembly, and what they can reach
//! plugins   which components there are, and what a job lets them do
//! engine    reading, transforming, writing; one physical plan a relation
//! run       the ledger, retries, resume, the commit
//! ```

pub use longshore_engine as engine;
pub use longshore_model as model;
pub use longshore_plugins as plugins;
pub use longshore_run as run;
pub use longshore_sandbox as sandbox;
