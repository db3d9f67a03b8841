//! Somebody whose signature lets a plugin serve: a public key of minisign, as the policy names it.

use minisign_verify::{PublicKey, Signature};

use crate::error::{Error, Result};

/// A public key of minisign.
#[derive(Clone, Debug)]
pub struct Signer {
    key: PublicKey,
    text: String,
}

impl Signer {
    /// Parses the second line of minisign.pub.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let key = PublicKey::from_base64(text).map_err(|error| {
            Error::config(format!("`signers`: `{text}`: {error}"))
                .with_hint("give the second line of minisign.pub")
        })?;
        Ok(Self { key, text: text.to_owned() })
    }

    /// Whether a signature of `bytes` is theirs.
    pub fn has_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.key.verify(bytes, signature, false).is_ok()
    }

    /// The key as the policy has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
