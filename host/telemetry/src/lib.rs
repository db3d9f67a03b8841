//! What others are told: notifications and traces are delivered from the outbox of the ledger, and metrics are
//! rendered.

mod courier;
mod metrics;
mod request;
mod signature;

pub use courier::{COMMAND_PATIENCE, Courier};
pub use metrics::{JOB_LIMIT, Queue, metrics_text};
pub use signature::SIGNATURE_HEADER;
