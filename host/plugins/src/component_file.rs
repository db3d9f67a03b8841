//! A component's file: read once, admitted, and compiled when that is asked for.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::Signer;
use longshore_model::error::{Error, Result};
use longshore_sandbox::{CompiledComponent, Component, Kind, PluginInfo, Sandbox};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use super::admission::Admission;
use super::info;
use super::stamp::Stamp;

/// The largest component that is loaded.
pub const COMPONENT_LIMIT_BYTES: u64 = 64 << 20;

/// How long a component may take to compile.
pub const COMPILE_LIMIT_SECS: u64 = 60;

/// The compiler takes every core: one component after the other takes no longer, and none uses up the
/// time of another.
static COMPILER: Semaphore = Semaphore::const_new(1);

/// A component's file.
pub(super) struct ComponentFile {
    pub(super) path: PathBuf,
    /// SHA-256, in hex.
    pub(super) digest: String,
    pub(super) stamp: Stamp,
    /// Who has signed it, where the policy names signers.
    pub(super) signer: Option<Signer>,
    /// When the file last changed: seconds and nanoseconds.
    pub(super) changed: (i64, i64),
    sandbox: Sandbox,
    compiled: OnceCell<CompiledComponent>,
    /// What the component says that it is, once this machine has asked it.
    described: OnceCell<PluginInfo>,
    /// What the file held, until it is compiled: the file may change.
    bytes: Mutex<Option<Arc<[u8]>>>,
}

impl ComponentFile {
    /// Reads a file, and checks that it may serve. Call it where blocking is allowed.
    pub(super) fn read(sandbox: &Sandbox, path: &Path, admission: &Admission) -> Result<Self> {
        let (bytes, changed) = read(path)?;
        Self::of_bytes(sandbox, path, bytes.into(), changed, admission)
    }

    /// The same of what a file holds that last changed then. A component in memory is called `path`, too.
    pub(super) fn of_bytes(
        sandbox: &Sandbox,
        path: &Path,
        bytes: Arc<[u8]>,
        changed: (i64, i64),
        admission: &Admission,
    ) -> Result<Self> {
        let stamp = Stamp::read(&bytes)?;
        let digest = hex::encode(Sha256::digest(&bytes));
        let signer = admission.check(path, &bytes, &digest)?.cloned();
        Ok(Self {
            path: path.to_owned(),
            described: OnceCell::new_with(sandbox.described(&digest)),
            digest,
            stamp,
            signer,
            changed,
            sandbox: sandbox.clone(),
            compiled: OnceCell::new(),
            bytes: Mutex::new(Some(bytes)),
        })
    }

    /// What the component says that it is, as far as that is known without running it: from its own
    /// stamp, or because this machine has asked it before. Where both are known, they must agree.
    pub(super) fn known_info(&self) -> Result<Option<PluginInfo>> {
        let (stamped, described) = (self.stamp.info.as_ref(), self.described.get());
        if let (Some(stamped), Some(described)) = (stamped, described) {
            info::check_same(stamped, described)?;
        }
        Ok(stamped.or(described).cloned())
    }

    /// Whether the component need not be compiled again on this machine.
    pub(super) fn is_kept(&self) -> bool {
        self.sandbox.has_compiled(&self.digest)
    }

    /// Compiles the component, and asks it what it is, once for this machine.
    pub(super) async fn describe(&self) -> Result<&PluginInfo> {
        self.compile().await?;
        self.described.get_or_try_init(|| self.ask_and_remember()).await
    }

    async fn ask_and_remember(&self) -> Result<PluginInfo> {
        let info = self.ask().await?;
        self.sandbox.remember(&self.digest, &info);
        Ok(info)
    }

    /// Asks the component what it is.
    pub(super) async fn ask(&self) -> Result<PluginInfo> {
        let file = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin");
        self.stamp.kind.describe(self.compile().await?, self.stamp.contract, file).await
    }

    /// The compiled component, as one of a kind.
    pub(super) async fn component<K: Kind>(&self) -> Result<Component<K>> {
        Component::new(self.compile().await?, self.stamp.contract)
    }

    async fn compile(&self) -> Result<&CompiledComponent> {
        self.compiled.get_or_try_init(|| self.compile_bytes()).await
    }

    async fn compile_bytes(&self) -> Result<CompiledComponent> {
        let _turn = COMPILER.acquire().await;
        let bytes = self.bytes.lock().clone();
        let bytes = bytes.ok_or_else(|| Error::internal("a component that was compiled before"))?;
        let (sandbox, digest) = (self.sandbox.clone(), self.digest.clone());
        let name = self.path.display().to_string();
        let compiling =
            tokio::task::spawn_blocking(move || sandbox.compile(&name, &digest, &bytes));
        let compiled = timeout(Duration::from_secs(COMPILE_LIMIT_SECS), compiling)
            .await
            .map_err(|_| {
                Error::config(format!("it did not compile within {COMPILE_LIMIT_SECS} s"))
                    .with_hint("make its functions smaller")
            })?
            .map_err(|error| Error::internal(format!("compiling: {error}")))??;
        *self.bytes.lock() = None;
        Ok(compiled)
    }
}

/// A component's bytes, and when its file last changed.
fn read(path: &Path) -> Result<(Vec<u8>, (i64, i64))> {
    let fault = |error| Error::io("reading it", error);
    let metadata = fs::metadata(path).map_err(fault)?;
    let length = metadata.len();
    if length > COMPONENT_LIMIT_BYTES {
        return Err(Error::config(format!("{length} bytes, the limit is {COMPONENT_LIMIT_BYTES}")));
    }
    Ok((fs::read(path).map_err(fault)?, (metadata.ctime(), metadata.ctime_nsec())))
}
