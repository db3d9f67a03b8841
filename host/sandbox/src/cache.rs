//! Compiled components on disk, and what they say of themselves, by the digest of the component.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::contract::ContractVersion;
use super::plugin_info::PluginInfo;

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

    /// Keeps a compiled component.
    pub(super) fn store(&self, digest: &str, component: &Component) {
        let bytes = component.serialize().map_err(|error| error.to_string());
        self.write(&self.path(digest), bytes);
    }

    /// What a component says that it is, if it was asked before.
    pub(super) fn info(&self, digest: &str) -> Option<PluginInfo> {
        let text = fs::read(self.info_path(digest)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Keeps what a component says that it is.
    pub(super) fn store_info(&self, digest: &str, info: &PluginInfo) {
        let bytes = serde_json::to_vec(info).map_err(|error| error.to_string());
        self.write(&self.info_path(digest), bytes);
    }

    /// Writes a file of the cache; a cache that cannot be written costs time, not the run.
    fn write(&self, path: &Path, bytes: Result<Vec<u8>, String>) {
        let stored = bytes
            .and_then(|bytes| atomic_file::write(path, &bytes).map_err(|error| error.to_string()));
        if let Err(error) = stored {
            tracing::warn!("cannot write {}: {error}: it is made again next time", path.display());
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{:016x}.cwasm", self.compatibility))
    }

    fn info_path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}.json", ContractVersion::CURRENT.name()))
    }
}
