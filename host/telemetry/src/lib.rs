//! What others are told: notifications, traces and lineage are delivered from the outbox of the ledger, and metrics are
//! rendered.

mod background;
mod courier;
mod lineage;
mod metrics;
mod request;
mod signature;

pub use background::BackgroundDelivery;
pub use courier::{COMMAND_PATIENCE, Courier};
pub use metrics::{JOB_LIMIT, Queue, metrics_text};
pub use signature::SIGNATURE_HEADER;
