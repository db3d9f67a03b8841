//! Longshore moves tables and query results out of databases into a data lake. A run publishes everything or nothing.
//!
//! A transfer in five lines:
//!
//! ```
//! # // The folder of the project, in which the tests run.
//! # std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).expect("a folder");
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let lake = format!("file://{}/lake", folder.path().display());
//! use longshore::{Settings, Transfer};
//!
//! let settings = Settings::builder().plugins("target/release/plugins").build()?;
//! let transfer = Transfer::copy("tpch:", &lake).tables(["region"]).settings(&settings);
//! let report = transfer.run_blocking()?;
//! println!("{} rows in {}", report.rows, report.relations[0].folder);
//! # assert_eq!(report.rows, 5);
//! # assert!(folder.path().join("lake/region").is_dir());
//! # Ok::<(), longshore::Error>(())
//! ```
//!
//! - [`Transfer`] is a job: built with the job file's terms, or read from a file or a text.
//! - [`Settings`] are what the operator decides: the state folder, plugins, secrets, the policy, limits.
//! - [`Run`] is a run that is under way: its [events](Run::events), and what [cancels](Run::cancel_handle) it.
//! - [`Report`] is what a run has done, and [`Error`] why it has not.
//!
//! All futures can be awaited on any runtime, of Tokio or not: the work is done on Longshore's own threads. It starts
//! with the first transfer, and needs nothing of the process: no logger, no handler of signals, no panic hook, nothing
//! on stdout or stderr. Logs are [`tracing`](https://docs.rs/tracing) events, for whoever subscribes to them. The guide
//! `docs/how-to/use-as-a-library.md` has the rest.

mod component;
mod events;
mod host;
mod look;
mod plan;
mod run;
mod settings;
mod threads;
mod transfer;
mod work;

pub use arrow;
pub use longshore_model::error::{Class, Error, ErrorReport, Result};
pub use longshore_model::limits::Limits;
pub use longshore_run::inspection::{ConnectionTest, RelationPreview as Preview};
pub use longshore_run::{RelationReport, RunReport as Report, Status};

pub use events::{Event, Events, FailedAttempt, Progress, RelationProgress};
pub use plan::{Plan, PlannedChunk, PlannedRelation, PlannedScan, PublishedColumn, SourceColumn};
pub use run::{CancelHandle, Run};
pub use settings::{Settings, SettingsBuilder};
pub use threads::wait_until_idle;
pub use transfer::Transfer;

/// What reports are made of.
pub mod report {
    pub use longshore_engine::check::Sample;
    pub use longshore_engine::load_mode::RowChanges;
    pub use longshore_engine::scan::LeftOut;
    pub use longshore_model::config::ParameterRecord;
    pub use longshore_model::config::checks::{CheckOutcome, Severity};
    pub use longshore_model::config::target::Mode;
    pub use longshore_model::relation::Consistency;
    pub use longshore_model::schema_change::{ChangeAction, ChangeKind, SchemaChange};
    pub use longshore_model::watermark::{Transactions, ValueOrder, Watermark, WindowRange};
    pub use longshore_run::{
        CheckReport, CheckResult, LoadRecord, Trigger, TriggerKind, WindowRecord,
    };
}

/// What the program uses besides. It is no part of the interface, and changes at any time.
#[doc(hidden)]
pub mod program {
    pub use crate::host::Host;
    pub use crate::threads::{Threads, on_large_stack, threads};
    pub use crate::work::{RunResult, Task, Work, check_run_key, holders_folder};
}

/// Sets what all transfers of this process together may hold in memory, from now on, in bytes. Without it, that is a
/// quarter of the machine's memory or of the limit of its control group, from 64 MiB to 4 GiB.
pub fn set_memory_budget(bytes: u64) {
    longshore_model::memory::memory().set_budget(bytes);
}

/// The programs of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/how-to/use-as-a-library.md")]
struct Guide;
