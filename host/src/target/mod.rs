//! Where parts go: staged out of sight, then published together. One file for each kind of
//! storage, behind these traits.

mod local;

use std::fmt::Debug;
use std::io::Write;
use std::path::PathBuf;

use crate::config::job::Mode;
use crate::error::Result;

pub use local::LocalTarget;

/// A run's hidden place at the target. What is not published is discarded when it is dropped.
pub trait Staging: Debug + Send + Sync {
    /// Begins a part of a relation.
    fn create_part(&self, relation: &str, file: &str) -> Result<Box<dyn PartFile>>;

    /// Removes a part that an attempt left unfinished.
    fn remove_part(&self, relation: &str, file: &str);

    /// Makes all relations visible under their names, and then the manifest that `manifest` makes
    /// of those names; or nothing at all.
    fn publish(
        &self,
        relations: &[String],
        mode: Mode,
        manifest: &dyn Fn(&[Published]) -> Result<Vec<u8>>,
    ) -> Result<(Vec<Published>, PathBuf)>;
}

/// A part being written.
pub trait PartFile: Write + Send {
    /// Makes it durable.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A relation that readers can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The relation's name in the job.
    pub relation: String,
    /// Its name in the target: with `_v2` or so, where there was one before.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
}
