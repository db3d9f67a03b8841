//! What the tests share: a lake, and transfers of generated rows into it.

use std::fs;
use std::path::{Path, PathBuf};

use longshore::{Settings, SettingsBuilder, Transfer};
use tempfile::TempDir;

/// A scale at which `orders` takes far longer than any test: a run of it is always under way.
pub const ENDLESS_SCALE: f64 = 1_000.0;

/// A folder for one test.
pub struct Lake(TempDir);

impl Lake {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("lake")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// A folder beside the lake.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A transfer of a generated table that takes no time.
    pub fn region(&self) -> Transfer {
        Transfer::copy("tpch:", &self.url()).tables(["region"]).settings(&settings())
    }

    /// A transfer that never ends by itself.
    pub fn endless(&self) -> Transfer {
        let transfer = Transfer::copy("tpch:", &self.url()).tables(["orders"]);
        transfer.source("scale", ENDLESS_SCALE).source("text_mib", 1).settings(&settings())
    }

    /// All files in the lake, whether they are published or not.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.path(), &mut found);
        found.sort();
        found
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// The folder of the bundled plugins.
pub fn plugin_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/plugins");
    assert!(folder.join("tpch.wasm").is_file(), "there are no plugins yet: run `make plugins`");
    folder
}

/// The bytes of the bundled connector.
pub fn tpch() -> Vec<u8> {
    fs::read(plugin_folder().join("tpch.wasm")).unwrap()
}

/// Settings with the bundled plugins.
pub fn with_plugins() -> SettingsBuilder {
    Settings::builder().plugins(plugin_folder())
}

pub fn settings() -> Settings {
    with_plugins().build().unwrap()
}

/// A runtime of one thread.
pub fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}
