//! The components that a program gives, and how their faults are told.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// One component that a program gives.
#[derive(Clone)]
pub enum ComponentSource {
    /// In a file.
    File(PathBuf),
    /// In memory, under a name.
    Bytes(String, Arc<[u8]>),
}

impl fmt::Debug for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Bytes(name, bytes) => write!(f, "Bytes({name}, {} bytes)", bytes.len()),
        }
    }
}

/// How faults of components are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traps {
    /// By checks in the components' own code.
    #[default]
    Checks,
    /// By handlers of signals, which are those of the whole process.
    Signals,
}
