//! Checksums of parts: by which algorithm, and what it gave.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

const BLAKE3: &str = "blake3";

/// What older versions used, without naming it.
const SHA256: &str = "sha256";

/// The checksum of a part: an algorithm and a digest in hex, written as `blake3:4f1c..`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Checksum {
    algorithm: String,
    digest: String,
}

impl Checksum {
    /// What computes a checksum by the same algorithm; an error if this version does not know it.
    pub fn hasher(&self) -> Result<Hasher> {
        match self.algorithm.as_str() {
            BLAKE3 => Ok(Hasher::new()),
            SHA256 => Ok(Hasher::Sha256(Sha256::new())),
            other => Err(Error::config(format!(
                "its checksum is by `{other}`, which this version does not know"
            ))
            .with_hint("use the version of Longshore that wrote it, or a newer one")),
        }
    }
}

impl From<String> for Checksum {
    fn from(text: String) -> Self {
        let (algorithm, digest) = text.split_once(':').unwrap_or((SHA256, &text));
        Self { algorithm: algorithm.to_owned(), digest: digest.to_owned() }
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.digest)
    }
}

/// Computes a checksum.
pub enum Hasher {
    /// The algorithm of new parts: fast without special instructions, and nobody can make another file
    /// with the same checksum.
    Blake3(Box<blake3::Hasher>),
    /// The algorithm of parts that older versions wrote.
    Sha256(Sha256),
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher {
    /// Begins the checksum of a new part.
    pub fn new() -> Self {
        Self::Blake3(Box::default())
    }

    /// Adds bytes. Many at a time are faster.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hash) => {
                hash.update(bytes);
            }
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    /// The checksum of all bytes.
    pub fn finish(self) -> Checksum {
        let (algorithm, digest) = match self {
            Self::Blake3(hash) => (BLAKE3, hash.finalize().to_hex().to_string()),
            Self::Sha256(hash) => (SHA256, hex::encode(hash.finalize())),
        };
        Checksum { algorithm: algorithm.to_owned(), digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksum of `abc`, as other programs compute it.
    const BLAKE3_OF_ABC: &str =
        "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    const SHA256_OF_ABC: &str =
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn of(text: &str) -> Checksum {
        Checksum::from(text.to_owned())
    }

    #[test]
    fn a_checksum_names_its_algorithm() {
        for written in [BLAKE3_OF_ABC, SHA256_OF_ABC] {
            let mut hasher = of(written).hasher().unwrap();
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish().to_string(), written);
        }
        assert_eq!(of("ab"), of("sha256:ab"));
    }

    #[test]
    fn an_unknown_algorithm_is_an_error() {
        let error = of("md17:ab").hasher().err().unwrap();
        assert!(error.to_string().contains("`md17`"), "{error}");
    }
}
