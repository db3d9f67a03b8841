//! The signature of a notification, by which its receiver knows who sent it, and when.

use hmac::{Hmac, KeyInit, Mac};
use longshore_model::error::{Error, Result};
use longshore_model::grant::SecretValue;
use sha2::Sha256;

/// The header that holds it: `t=1764547200,v1=HEX`.
pub const SIGNATURE_HEADER: &str = "Longshore-Signature";

/// Signs a body that is sent at a moment, in seconds since 1970: HMAC-SHA256 over `SECONDS.BODY`.
pub(super) fn sign(key: &SecretValue, at: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.reveal().as_bytes())
        .map_err(|error| Error::internal(format!("a signature: {error}")))?;
    mac.update(format!("{at}.{body}").as_bytes());
    Ok(format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_programs_compute() {
        // printf '1764547200.{}' | openssl dgst -sha256 -hmac key
        let signature = sign(&SecretValue::new("key"), 1_764_547_200, "{}").unwrap();
        assert_eq!(
            signature,
            "t=1764547200,v1=9062efa40b2f82a3ebcb891e1ff9a7efb8c69d05a00164278556f68596609584"
        );
    }
}
