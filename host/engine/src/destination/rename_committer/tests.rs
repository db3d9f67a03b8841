//! Publishing that is interrupted before or after any of its changes is completed, or taken back, without a loss.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::destination::files::Files;
use crate::destination::local::LocalFolder;

/// A folder whose changes fail from a certain one on.
#[derive(Debug)]
struct Interrupted {
    folder: LocalFolder,
    /// The changes until then.
    left: AtomicUsize,
    /// The change that fails is made, and its answer lost.
    loses_answers: bool,
    can_exchange: bool,
}

impl Interrupted {
    async fn change<T>(&self, change: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = || Error::new(Class::Connection, "interrupted");
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        {
            Ok(1..) => change.await,
            Ok(0) if self.loses_answers => change.await.and(Err(lost())),
            _ => Err(lost()),
        }
    }
}

#[async_trait]
impl Files for Interrupted {
    fn url(&self, path: &str) -> String {
        self.folder.url(path)
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.change(self.folder.put(path, bytes)).await
    }

    async fn put_new(&self, path: &str, bytes: &[u8], aside: &str) -> Result<bool> {
        self.change(self.folder.put_new(path, bytes, aside)).await
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        self.folder.read(path).await
    }

    async fn read_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.folder.read_range(path, range).await
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        self.folder.list(folder).await
    }

    async fn is_taken(&self, path: &str) -> Result<bool> {
        self.folder.is_taken(path).await
    }

    async fn remove(&self, path: &str) -> Result<()> {
        self.change(self.folder.remove(path)).await
    }
}

#[async_trait]
impl Folders for Interrupted {
    async fn create(&self, path: &str) -> Result<Box<dyn PartFile>> {
        self.folder.create(path).await
    }

    async fn make_folder(&self, path: &str) -> Result<()> {
        self.change(self.folder.make_folder(path)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<bool> {
        self.change(self.folder.rename(from, to)).await
    }

    async fn rename_over(&self, from: &str, to: &str) -> Result<()> {
        self.change(self.folder.rename_over(from, to)).await
    }

    async fn remove_empty(&self, path: &str) {
        self.folder.remove_empty(path).await;
    }

    async fn exchange(&self, a: &str, b: &str) -> Result<bool> {
        if !self.can_exchange {
            return Ok(false);
        }
        self.change(self.folder.exchange(a, b)).await
    }

    async fn sync_folder(&self, path: &str) -> Result<()> {
        self.change(self.folder.sync_folder(path)).await
    }
}

/// A target that has a version of `orders`, with a run whose parts are staged.
struct Staged {
    committer: RenameCommitter<Interrupted>,
    publication: Publication,
    _root: tempfile::TempDir,
}

impl Staged {
    async fn new(mode: Mode, can_exchange: bool, loses_answers: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = LocalFolder::new(root.path());
        let left = AtomicUsize::new(usize::MAX);
        let folders = Interrupted { folder, left, loses_answers, can_exchange };
        let committer = RenameCommitter::new(folders, None);
        let first = stage(&committer, "run-1", Mode::Replace).await;
        committer.publish(&[first]).await.unwrap();
        committer.discard("run-1").await.unwrap();
        let publication = stage(&committer, "run-2", mode).await;
        Self { committer, publication, _root: root }
    }

    fn allow(&self, changes: usize) {
        self.committer.folders.left.store(changes, Ordering::SeqCst);
    }

    async fn publish(&self) -> Result<()> {
        match self.committer.publish(std::slice::from_ref(&self.publication)).await? {
            PublishResult::As(_) => Ok(()),
            PublishResult::Taken(_) => panic!("nobody else is there"),
        }
    }

    /// The files that readers of the relation see.
    async fn seen(&self) -> BTreeSet<String> {
        let name = &self.publication.target.name;
        files_beneath(&self.committer.folders, name).await.unwrap().into_iter().collect()
    }
}

async fn stage(committer: &RenameCommitter<Interrupted>, run: &str, mode: Mode) -> Publication {
    let target = committer.reserve(run, "orders", mode).await.unwrap();
    let part = |file: String| Part {
        chunk: 0,
        file,
        rows: 1,
        bytes: 1,
        checksum: None,
        token: String::new(),
    };
    let parts = vec![part(format!("part-0-{run}")), part(format!("day=1/part-1-{run}"))];
    let staged = RenameCommitter::<Interrupted>::staged(&target);
    for Part { file, .. } in &parts {
        committer.folders.put(&format!("{staged}/{file}"), b"x").await.unwrap();
    }
    Publication { target, parts, replaced: Vec::new() }
}

fn files(runs: &[&str]) -> BTreeSet<String> {
    runs.iter().flat_map(|run| [format!("part-0-{run}"), format!("day=1/part-1-{run}")]).collect()
}

/// Every mode, on stores that can exchange folders and on others, with changes that are made and not answered.
fn cases() -> impl Iterator<Item = (Mode, bool, bool)> {
    let modes = [Mode::Replace, Mode::Version, Mode::Append];
    modes.into_iter().flat_map(|mode| {
        let stores = [(true, false), (true, true), (false, false), (false, true)];
        stores.map(move |(can_exchange, loses_answers)| (mode, can_exchange, loses_answers))
    })
}

fn after(mode: Mode) -> BTreeSet<String> {
    if mode == Mode::Append { files(&["run-1", "run-2"]) } else { files(&["run-2"]) }
}

fn before(mode: Mode) -> BTreeSet<String> {
    if mode == Mode::Version { files(&[]) } else { files(&["run-1"]) }
}

#[tokio::test]
async fn what_is_interrupted_anywhere_is_completed() {
    for (mode, can_exchange, loses_answers) in cases() {
        for changes in 0.. {
            let staged = Staged::new(mode, can_exchange, loses_answers).await;
            staged.allow(changes);
            let done = staged.publish().await;
            staged.allow(usize::MAX);
            if done.is_ok() {
                assert!(changes > 3, "{mode:?}");
                break;
            }
            staged.publish().await.unwrap();
            let place = (mode, can_exchange, loses_answers, changes);
            assert_eq!(staged.seen().await, after(mode), "{place:?}");
        }
    }
}

#[tokio::test]
async fn what_is_interrupted_anywhere_is_taken_back() {
    for (mode, can_exchange, loses_answers) in cases() {
        for changes in 0.. {
            let mut is_done = false;
            // Once at its first interruption, and once when a retry got no further.
            for retry in [None, Some(0), Some(changes / 2)] {
                let staged = Staged::new(mode, can_exchange, loses_answers).await;
                staged.allow(changes);
                is_done = staged.publish().await.is_ok();
                if let Some(changes) = retry {
                    staged.allow(changes);
                    let _ = staged.publish().await;
                }
                staged.allow(usize::MAX);
                staged.committer.retract(&staged.publication).await.unwrap();
                let place = (mode, can_exchange, loses_answers, changes, retry);
                assert_eq!(staged.seen().await, before(mode), "{place:?}");
            }
            if is_done {
                break;
            }
        }
    }
}
