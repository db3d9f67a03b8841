//! What others are told: notifications and traces are delivered from the outbox of the ledger.

mod courier;
mod request;
mod signature;

pub use courier::{COMMAND_PATIENCE, Courier};
pub use signature::SIGNATURE_HEADER;
