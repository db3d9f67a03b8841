//! The snapshot holder: a small process that keeps a run's snapshot open at the source while the daemon is
//! away, so that a run which is taken up again still reads the same instant.
//!
//! It listens at a socket in the state folder, which only its user can reach. Whoever connects is
//! told what is held, in one line of JSON; `keep` says that the run's plan is written down, and `release` ends it.
//! Alone for too long, it ends by itself; at once, if nobody will look for it.

mod client;
mod protocol;
mod server;
mod socket;

pub(crate) use client::SnapshotLease;
pub use client::{HOLDER_START_SECS, HolderLauncher};
pub use server::hold;
