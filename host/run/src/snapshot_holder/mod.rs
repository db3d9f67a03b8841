//! The snapshot holder: a small process that keeps a run's snapshot open at the source while the daemon is
//! away, so that a run that resumes still reads the same instant.
//!
//! It listens at a socket in the state folder, which only its user can reach. It tells each client the
//! source's answer, in one line of JSON. `keep` tells it that the run's plan is recorded, and `release`
//! ends it. It also ends when it was alone for too long, and soon if nobody will look for it.

mod client;
mod protocol;
mod server;
mod socket;

pub(crate) use client::SnapshotLease;
pub use client::{HOLDER_START_SECS, HolderLauncher};
pub use server::hold;
