//! Compiled components on disk, and what they say of themselves, by the digest of the component.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::contract::ContractVersion;
use super::plugin_info::PluginInfo;

/// Where a package keeps components that were compiled with it, from the folder of the program.
const PACKAGED: &str = "../lib/longshore/compiled";

/// For whose processor code is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cpu {
    /// This machine's.
    Own,
    /// Any of this architecture.
    Any,
}

/// A folder of compiled components, readable and writable by its owner only: what is loaded from
/// it is run as native code.
pub(super) struct CompileCache {
    folder: PathBuf,
    cpu: Cpu,
    /// Tells the cache's formats, and wasmtime's versions and settings, apart.
    compatibility: u64,
    /// What came with the program, and is trusted as it is: for any processor.
    packaged: Option<PathBuf>,
}

impl CompileCache {
    pub(super) fn open(folder: &Path, engine: &Engine, cpu: Cpu) -> Result<Self> {
        let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let metadata = created.and_then(|()| fs::metadata(folder)).map_err(|error| {
            Error::io(format!("cache folder {}", folder.display()), error)
                .with_hint("name a folder that can be made and written with --cache")
        })?;
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
        FORMAT.hash(&mut hasher);
        let compatibility = hasher.finish();
        let packaged = packaged().filter(|_| cpu == Cpu::Own);
        Ok(Self { folder: folder.to_owned(), cpu, compatibility, packaged })
    }

    pub(super) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        self.places(digest).find_map(|path| Self::load_file(engine, &path, digest))
    }

    fn load_file(engine: &Engine, path: &Path, digest: &str) -> Option<Component> {
        let code = unpacked(path, read(path, digest)?)?;
        // SAFETY: only `store` below writes such files, into folders which nobody else can write to, and
        // the checksum tells that it is what was written for this component.
        match unsafe { Component::deserialize(engine, &code) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!("compiled component {} is not usable: {error}", path.display());
                None
            }
        }
    }

    /// Keeps a compiled component.
    pub(super) fn store(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let code = component.serialize().map_err(|error| error.to_string());
        write(&path, digest, code.and_then(|code| packed(&path, code)));
    }

    /// Whether a compiled component is kept.
    pub(super) fn has(&self, digest: &str) -> bool {
        self.places(digest).any(|path| read(&path, digest).is_some())
    }

    /// What a component says that it is, if it was asked before.
    pub(super) fn info(&self, digest: &str) -> Option<PluginInfo> {
        serde_json::from_slice(&read(&self.info_path(digest), digest)?).ok()
    }

    /// Keeps what a component says that it is.
    pub(super) fn store_info(&self, digest: &str, info: &PluginInfo) {
        let text = serde_json::to_vec(info).map_err(|error| error.to_string());
        write(&self.info_path(digest), digest, text);
    }

    /// Where a compiled component may be: this machine's own first.
    fn places(&self, digest: &str) -> impl Iterator<Item = PathBuf> {
        let packaged = self.packaged.as_ref().map(|folder| folder.join(portable_name(digest)));
        [self.path(digest)].into_iter().chain(packaged)
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(match self.cpu {
            Cpu::Own => format!("{digest}-{:016x}.cwasm", self.compatibility),
            Cpu::Any => portable_name(digest),
        })
    }

    fn info_path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}.json", ContractVersion::CURRENT.name()))
    }
}

/// Which wasmtime made it is not in the name: wasmtime refuses what another version made.
fn portable_name(digest: &str) -> String {
    format!("{digest}-portable.cwasm.{PACKED}")
}

/// What packages hold is small: the end of such files' names.
const PACKED: &str = "zst";

/// How hard zstd tries, from 1 to 22.
const PACK_LEVEL: i32 = 12;

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PACKED)
}

fn packed(path: &Path, code: Vec<u8>) -> Result<Vec<u8>, String> {
    if !is_packed(path) {
        return Ok(code);
    }
    zstd::encode_all(&*code, PACK_LEVEL).map_err(|error| error.to_string())
}

fn unpacked(path: &Path, code: Vec<u8>) -> Option<Vec<u8>> {
    if !is_packed(path) {
        return Some(code);
    }
    zstd::decode_all(&*code).ok()
}

/// The package's folder, if only those can write to it who can replace the program.
fn packaged() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let folder = program.parent()?.join(PACKAGED);
    let (own, its) = (fs::metadata(&program).ok()?, fs::metadata(&folder).ok()?);
    let trusted = its.is_dir() && its.uid() == own.uid() && its.mode() & 0o022 == 0;
    trusted.then_some(folder)
}

/// The format of the files: a checksum follows the content.
const FORMAT: u32 = 2;

/// Bytes of a checksum, in hex.
const CHECKSUM_BYTES: usize = 64;

/// A file of the cache ends with a checksum of what it is of, and of its content.
fn checksum(digest: &str, content: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(digest).chain_update(content).finalize())
}

/// Reads a file that belongs to this component. One that is damaged, or another's, is as good as none.
fn read(path: &Path, digest: &str) -> Option<Vec<u8>> {
    // Others, such as a pipe, might never end.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut content = fs::read(path).ok()?;
    let end = content.split_off(content.len().saturating_sub(CHECKSUM_BYTES));
    if end != checksum(digest, &content).as_bytes() {
        tracing::warn!("{} is damaged: it is made again", path.display());
        return None;
    }
    Some(content)
}

/// Writes a file of the cache; a cache that cannot be written costs time, not the run.
fn write(path: &Path, digest: &str, content: Result<Vec<u8>, String>) {
    let written = content.and_then(|mut content| {
        let checksum = checksum(digest, &content);
        content.extend_from_slice(checksum.as_bytes());
        atomic_file::write(path, &content).map_err(|error| error.to_string())
    });
    if let Err(error) = written {
        tracing::warn!("cannot write {}: {error}: it is made again next time", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_or_of_another_component_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, "d1", Ok(b"code".to_vec()));
        assert_eq!(read(&path, "d1").unwrap(), b"code");
        assert_eq!(read(&path, "d2"), None);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path, "d1"), None);
        fs::write(&path, b"").unwrap();
        assert_eq!(read(&path, "d1"), None);
        assert_eq!(read(folder.path(), "d1"), None);
    }

    #[test]
    fn what_packages_hold_is_packed_and_what_is_damaged_there_is_none() {
        let path = Path::new("a.cwasm.zst");
        let code = vec![7; 10_000];
        let small = packed(path, code.clone()).unwrap();
        assert!(small.len() < 100);
        assert_eq!(unpacked(path, small.clone()).unwrap(), code);
        assert_eq!(unpacked(path, small[..50.min(small.len() - 1)].to_vec()), None);
        let own = Path::new("a.cwasm");
        assert_eq!(packed(own, code.clone()).unwrap(), code);
        assert_eq!(unpacked(own, code.clone()).unwrap(), code);
    }
}
