//! Which components of a folder may serve: those that its lock file names, if it has one, and those
//! that somebody has signed whom the policy trusts, if it asks for that.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::config::Signer;
use longshore_model::error::{Error, Result};
use minisign_verify::Signature;
use semver::Version;
use serde::{Deserialize, Serialize};

/// The lock file's name.
const LOCK: &str = "plugins.lock";

/// How a signature's file ends, after the component's whole name.
const SIGNATURE: &str = "minisig";

/// A component that may serve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AdmittedComponent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
}

/// The lock file: TOML, a table `[[plugin]]` for each component.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lock {
    #[serde(default, rename = "plugin")]
    plugins: Vec<AdmittedComponent>,
}

impl Lock {
    /// Where a folder has its lock file.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join(LOCK)
    }

    /// A folder's lock file, if it has one.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(path.display(), error)),
        };
        toml::from_str(&text).map(Some).map_err(|error| {
            Error::config(format!("{}: {}", path.display(), error.message()))
                .with_hint("`longshore plugin lock` writes it again")
        })
    }

    /// Lets a component serve, instead of others of its name and version.
    pub fn take_in(&mut self, name: &str, version: &Version, digest: &str) {
        let (name, version) = (name.to_owned(), version.to_string());
        self.plugins.retain(|locked| (&locked.name, &locked.version) != (&name, &version));
        self.plugins.push(AdmittedComponent { name, version, digest: digest.to_owned() });
        self.plugins.sort();
    }

    /// What may serve.
    pub fn plugins(&self) -> &[AdmittedComponent] {
        &self.plugins
    }

    /// Writes a folder's lock file.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = Self::path(folder);
        let text = toml::to_string(self).map_err(|error| Error::internal(error.to_string()))?;
        atomic_file::write(&path, text.as_bytes()).map_err(|error| Error::io(path.display(), error))
    }
}

/// What is asked of a component before it is compiled.
#[derive(Clone, Default)]
pub struct Admission {
    lock: Option<Lock>,
    /// One of them must have signed it, if there are any.
    signers: Vec<Signer>,
}

impl Admission {
    /// What a folder and the policy ask.
    pub(super) fn of(folder: &Path, signers: &[Signer]) -> Result<Self> {
        Ok(Self { lock: Lock::read(folder)?, signers: signers.to_vec() })
    }

    /// What only the policy asks.
    pub fn signed(signers: &[Signer]) -> Self {
        Self { lock: None, signers: signers.to_vec() }
    }

    /// Refuses a component that may not serve. Returns who has signed it, where the policy names signers.
    pub(super) fn check(&self, path: &Path, bytes: &[u8], digest: &str) -> Result<Option<&Signer>> {
        if let Some(lock) = &self.lock
            && !lock.plugins.iter().any(|locked| locked.digest == digest)
        {
            let start: String = digest.chars().take(12).collect();
            return Err(Error::config(format!("sha256:{start} is not in {LOCK}"))
                .with_hint("`longshore plugin install` takes it in, if it is meant"));
        }
        if self.signers.is_empty() {
            return Ok(None);
        }
        self.check_signature(path, bytes).map(Some)
    }

    fn check_signature(&self, path: &Path, bytes: &[u8]) -> Result<&Signer> {
        let path = signature_of(path);
        let refused = |cause: String| {
            Error::config(cause).with_hint("the policy's `signers` wants a signature by minisign")
        };
        let text = fs::read_to_string(&path)
            .map_err(|error| refused(format!("its signature {}: {error}", path.display())))?;
        let signature = Signature::decode(&text)
            .map_err(|error| refused(format!("its signature {}: {error}", path.display())))?;
        let mut signers = self.signers.iter();
        signers
            .find(|signer| signer.has_signed(bytes, &signature))
            .ok_or_else(|| refused("it is signed by nobody whom the policy trusts".into()))
    }
}

/// The file of a component's signature.
pub fn signature_of(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(format!(".{SIGNATURE}"));
    name.into()
}
