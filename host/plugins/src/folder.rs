//! The plugin folders, live. What is new or changed is read, hashed, checked, compiled and asked what
//! it is, away from everything that runs; then it serves, from one moment to the next. What cannot
//! be used is told, and the last good one goes on serving.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use longshore_model::config::{PluginFolders, Signer};
use longshore_model::error::{Error, Result};
use longshore_sandbox::Sandbox;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::admission::{Admission, Lock, signature_of};
use super::catalog::{Catalog, Slot};
use super::plugin::{Compile, Plugin};
use super::serving::ServedFile;

/// How long a file that cannot be used must have been left alone before that is told: until then,
/// somebody may still be copying it.
const SETTLE_MILLIS: u64 = 1_000;

/// How often the folder is looked at, without news of it: links, network file systems.
const LOOK_MILLIS: u64 = 2_000;

/// The same, while a file is being copied.
const LOOK_AGAIN_MILLIS: u64 = 100;

/// The plugin folders.
pub struct Plugins {
    sandbox: Sandbox,
    folders: PluginFolders,
    serving: RwLock<Arc<Catalog>>,
    seen: Mutex<Vec<SeenFile>>,
    /// The state folder in which is written down what serves.
    state: Option<PathBuf>,
    /// Who must have signed what serves, if anybody must.
    signers: Vec<Signer>,
}

/// A file that was looked at.
struct SeenFile {
    slot: Slot,
    state: ComponentState,
    /// What the file holds now could not be used, and may still change.
    unsettled: bool,
}

/// What decides which components of a folder may serve.
struct Guard {
    /// The folder's lock file.
    lock: Option<FileState>,
    admission: Admission,
}

/// What tells whether anything of a component has changed: its file, its signature, the lock file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ComponentState {
    file: FileState,
    signature: Option<FileState>,
    lock: Option<FileState>,
}

impl ComponentState {
    fn of(path: &Path, lock: Option<FileState>) -> std::io::Result<Self> {
        let signature = FileState::of(&signature_of(path)).ok();
        Ok(Self { file: FileState::of(path)?, signature, lock })
    }

    /// Since anything of it has changed.
    fn age(&self) -> Duration {
        let beside = [self.signature, self.lock].into_iter().flatten();
        beside.map(|state| state.age()).fold(self.file.age(), Duration::min)
    }
}

/// What tells whether a file has changed; links are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// When anything of it changed: the kernel sets it, and a copy cannot.
    changed: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn age(&self) -> Duration {
        let (secs, nanos) = self.changed;
        let changed = Duration::new(secs.try_into().unwrap_or(0), nanos.try_into().unwrap_or(0));
        SystemTime::now().duration_since(UNIX_EPOCH + changed).unwrap_or_default()
    }
}

impl Plugins {
    /// The folders; nothing of them serves before they are looked at.
    pub fn new(sandbox: Sandbox, folders: &PluginFolders) -> Self {
        Self {
            sandbox,
            folders: folders.clone(),
            serving: RwLock::new(Arc::new(Catalog::new(folders.clone(), Vec::new()))),
            seen: Mutex::default(),
            state: None,
            signers: Vec::new(),
        }
    }

    /// Has only what one of these has signed serve.
    pub fn signed_by(self, signers: &[Signer]) -> Self {
        Self { signers: signers.to_vec(), ..self }
    }

    /// Has what serves be written down in this state folder, for as long as the folder is watched.
    pub fn written_down_in(self, state: &Path) -> Self {
        Self { state: Some(state.to_owned()), ..self }
    }

    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub(super) fn folders(&self) -> &PluginFolders {
        &self.folders
    }

    pub(super) fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// What serves now.
    pub fn serving(&self) -> Arc<Catalog> {
        self.serving.read().clone()
    }

    /// Looks at the folders, once and for good: for a command. A component is compiled when it is used.
    pub async fn load(&self) -> Result<Arc<Catalog>> {
        self.look(Duration::ZERO, Compile::OnUse).await?;
        Ok(self.serving())
    }

    /// Looks at the folders. What cannot be used is given this time to become complete. Gives
    /// whether something is still given it.
    async fn look(&self, patience: Duration, compile: Compile) -> Result<bool> {
        let mut seen = self.seen.lock().await;
        let mut files = Vec::new();
        for folder in self.folders.all() {
            files.extend(self.files(folder)?);
        }
        let looking = files.iter().map(async |(path, guard)| {
            let state = ComponentState::of(path, guard.lock).ok()?;
            let known = seen.iter().find(|known| known.slot.path == *path);
            match known.filter(|known| known.state == state && !known.unsettled) {
                Some(_) => Some(FolderLook::Same(path.clone())),
                None => {
                    let last = known.and_then(|known| known.slot.serving.clone());
                    let read = self.read(path, state, last, patience, &guard.admission, compile);
                    Some(FolderLook::Read(read.await))
                }
            }
        });
        let looked: Vec<FolderLook> = join_all(looking).await.into_iter().flatten().collect();
        let changed = looked.len() != seen.len() || looked.iter().any(FolderLook::is_news);
        let mut now = Vec::new();
        for looked in looked {
            match looked {
                FolderLook::Read(file) => now.push(file),
                FolderLook::Same(path) => {
                    let known = seen.iter().position(|known| known.slot.path == path);
                    now.extend(known.map(|known| seen.swap_remove(known)));
                }
            }
        }
        *seen = now;
        if changed {
            let slots = seen.iter().map(|seen| seen.slot.clone()).filter(Slot::is_known).collect();
            let catalog = Arc::new(Catalog::new(self.folders.clone(), slots));
            *self.serving.write() = catalog;
        }
        Ok(seen.iter().any(|seen| seen.unsettled))
    }

    /// A folder's components, and what guards them.
    fn files(&self, folder: &Path) -> Result<Vec<(PathBuf, Arc<Guard>)>> {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let listed = listed.map_err(|error| {
            Error::config(format!("plugin folder {}: {error}", folder.display())).with_hint(
                "name a folder of plugins that is there, with --plugins DIR or LONGSHORE_PLUGINS",
            )
        })?;
        let paths = listed.into_iter().map(|file| file.path());
        let is_component = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "wasm");
        let mut paths: Vec<PathBuf> = paths.filter(is_component).collect();
        paths.sort();
        let guard = Arc::new(Guard {
            lock: FileState::of(&Lock::path(folder)).ok(),
            admission: Admission::of(folder, &self.signers)?,
        });
        Ok(paths.into_iter().map(|path| (path, guard.clone())).collect())
    }

    async fn read(
        &self,
        path: &Path,
        state: ComponentState,
        last: Option<Arc<Plugin>>,
        patience: Duration,
        admission: &Admission,
        compile: Compile,
    ) -> SeenFile {
        let (serving, fault) = match Plugin::load(&self.sandbox, path, admission, compile).await {
            Ok(plugin) => (Some(Arc::new(plugin)), None),
            Err(error) => (last, Some(Arc::new(error))),
        };
        let unsettled = fault.is_some() && state.age() < patience;
        let fault = fault.filter(|_| !unsettled);
        SeenFile { slot: Slot { path: path.to_owned(), serving, fault }, state, unsettled }
    }

    /// Keeps looking, for as long as the answer is kept: for a daemon.
    pub async fn watch(self: &Arc<Self>) -> Result<FolderWatch> {
        let plugins = self.clone();
        let news = Arc::new(Notify::new());
        let watchers = watch(plugins.folders.all(), &news);
        plugins.look(Duration::ZERO, Compile::AtOnce).await?;
        plugins.tell(&Catalog::default());
        let task = tokio::spawn(async move {
            let mut wait = LOOK_MILLIS;
            let mut is_readable = true;
            loop {
                // Should nobody tell: the folders are looked at from time to time all the same.
                let _ = timeout(Duration::from_millis(wait), news.notified()).await;
                let before = plugins.serving();
                let looked =
                    plugins.look(Duration::from_millis(SETTLE_MILLIS), Compile::AtOnce).await;
                if let Some(error) = looked.as_ref().err().filter(|_| is_readable) {
                    tracing::warn!("{error}: what served goes on serving");
                }
                is_readable = looked.is_ok();
                wait = match looked {
                    Ok(true) => LOOK_AGAIN_MILLIS,
                    _ => LOOK_MILLIS,
                };
                if !Arc::ptr_eq(&before, &plugins.serving()) {
                    plugins.tell(&before);
                }
            }
        });
        Ok(FolderWatch { task, _watchers: watchers })
    }

    /// Tells the log what has changed.
    fn tell(&self, before: &Catalog) {
        let now = self.serving();
        if let Some(state) = &self.state
            && let Err(error) = ServedFile::write(state, &now)
        {
            tracing::warn!("{error}: `plugin list --serving` shows what served before");
        }
        let digest = |slot: &Slot| slot.serving.as_ref().map(|plugin| plugin.digest().to_owned());
        for slot in now.slots() {
            let old = before.slots().iter().find(|old| old.path == slot.path);
            if let Some(plugin) = &slot.serving
                && old.and_then(digest).as_deref() != Some(plugin.digest())
            {
                let replaced = old.and_then(|old| old.serving.as_ref());
                let instead = replaced.map(|old| format!(", in place of {}", old.title()));
                let (instead, path) = (instead.unwrap_or_default(), slot.path.display());
                tracing::info!("{} serves, from {path}{instead}", plugin.title());
            }
            let fault = slot.fault.as_ref().map(ToString::to_string);
            let old_fault = old.and_then(|old| old.fault.as_ref()).map(ToString::to_string);
            if let Some(fault) = fault.filter(|fault| old_fault.as_ref() != Some(fault)) {
                let last = slot.serving.as_ref().map(|last| format!(": {} stays", last.title()));
                tracing::warn!("{fault}{}", last.unwrap_or_default());
            }
        }
        for old in before.slots() {
            if let Some(plugin) = &old.serving
                && !now.slots().iter().any(|slot| slot.path == old.path)
            {
                tracing::info!("{} is gone with {}", plugin.title(), old.path.display());
            }
        }
    }
}

enum FolderLook {
    Same(PathBuf),
    Read(SeenFile),
}

impl FolderLook {
    fn is_news(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

impl Slot {
    /// A file that is still being copied for the first time is not there yet.
    fn is_known(&self) -> bool {
        self.serving.is_some() || self.fault.is_some()
    }
}

/// Somebody looks at the folders.
pub struct FolderWatch {
    task: JoinHandle<()>,
    _watchers: Vec<RecommendedWatcher>,
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells of news in folders, where the kernel can.
fn watch(folders: &[PathBuf], news: &Arc<Notify>) -> Vec<RecommendedWatcher> {
    folders.iter().filter_map(|folder| watch_one(folder, news.clone())).collect()
}

fn watch_one(folder: &Path, news: Arc<Notify>) -> Option<RecommendedWatcher> {
    let watching = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Looking at the folder makes events too: they are not news.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            news.notify_one();
        }
    });
    let watching = watching.and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    if let Err(error) = &watching {
        tracing::warn!("watching {}: {error}: looking every {LOOK_MILLIS} ms", folder.display());
    }
    watching.ok()
}
