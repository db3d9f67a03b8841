//! Compiled components on disk, by the digest of what they were compiled from.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};
use wasmtime::Engine;
use wasmtime::component::Component;

/// A folder of compiled components, readable and writable by its owner only: what is loaded from
/// it is run as native code.
pub(super) struct CompileCache {
    folder: PathBuf,
    /// Tells wasmtime's versions and settings apart.
    compatibility: u64,
}

impl CompileCache {
    pub(super) fn open(folder: &Path, engine: &Engine) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| Error::io(format!("cache folder {}", folder.display()), error))?;
        let metadata = fs::metadata(folder)
            .map_err(|error| Error::io(format!("cache folder {}", folder.display()), error))?;
        let own = rustix::process::geteuid().as_raw();
        if metadata.uid() != own || metadata.mode() & 0o022 != 0 {
            return Err(Error::config(format!(
                "cache folder {}: others can write to it, and what lies there is run",
                folder.display()
            ))
            .with_hint("name a folder of your own with --cache, mode 0700"));
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self { folder: folder.to_owned(), compatibility: hasher.finish() })
    }

    pub(super) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        if !path.exists() {
            return None;
        }
        // SAFETY: only `store` below writes into this folder, which nobody else can write to.
        match unsafe { Component::deserialize_file(engine, &path) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!("compiled component {} is not usable: {error}", path.display());
                None
            }
        }
    }

    /// Keeps a compiled component; a cache that cannot be written costs time, not the run.
    pub(super) fn store(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let stored = component
            .serialize()
            .map_err(|error| error.to_string())
            .and_then(|bytes| atomic_file::write(&path, &bytes).map_err(|error| error.to_string()));
        if let Err(error) = stored {
            tracing::warn!("cannot cache the compiled component {}: {error}", path.display());
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{:016x}.cwasm", self.compatibility))
    }
}
