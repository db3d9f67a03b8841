//! Digests of whole columns.

use hmac::{Hmac, KeyInit, Mac};
use longshore_model::error::{Error, Result};
use sha2::{Digest, Sha256};

/// The most values of one call.
pub const DIGEST_LIMIT_VALUES: usize = 1 << 20;

const DIGEST_BYTES: usize = 32;

/// How digests are given.
#[derive(Clone, Copy, Debug)]
pub enum Encoding {
    /// As they are.
    Bytes,
    /// In hexadecimal digits.
    Hex,
}

impl Encoding {
    /// How long a digest is.
    pub fn size(self) -> usize {
        match self {
            Self::Bytes => DIGEST_BYTES,
            Self::Hex => 2 * DIGEST_BYTES,
        }
    }

    fn write(self, digest: &[u8; DIGEST_BYTES], to: &mut Vec<u8>) {
        match self {
            Self::Bytes => to.extend_from_slice(digest),
            Self::Hex => to.extend_from_slice(hex(digest).as_flattened()),
        }
    }
}

/// `digest.sha256`: of each value, one digest after the other. With a key, HMAC-SHA-256.
pub fn sha256(
    values: &[u8],
    offsets: &[i32],
    key: Option<&[u8]>,
    encoding: Encoding,
) -> Result<Vec<u8>> {
    check(values, offsets)?;
    let values = offsets.windows(2).map(|of| &values[at(offsets, of[0])..at(offsets, of[1])]);
    let mut digests = Vec::with_capacity(values.len() * encoding.size());
    let Some(key) = key else {
        values.for_each(|value| encoding.write(&Sha256::digest(value).into(), &mut digests));
        return Ok(digests);
    };
    let keyed = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|error| Error::internal(format!("the key of a digest: {error}")))?;
    values.for_each(|value| {
        let digest = keyed.clone().chain_update(value).finalize().into_bytes();
        encoding.write(&digest.into(), &mut digests);
    });
    Ok(digests)
}

/// Where in the values an offset is.
fn at(offsets: &[i32], offset: i32) -> usize {
    (i64::from(offset) - i64::from(offsets[0])) as usize
}

/// The offsets must cover the values, from the first to the last.
fn check(values: &[u8], offsets: &[i32]) -> Result<()> {
    if offsets.len() > DIGEST_LIMIT_VALUES + 1 {
        return Err(Error::internal(format!("a digest of more than {DIGEST_LIMIT_VALUES} values")));
    }
    let (Some(&first), Some(&last)) = (offsets.first(), offsets.last()) else {
        return Err(Error::internal("a digest without offsets"));
    };
    let is_whole = i64::from(last) - i64::from(first) == values.len() as i64;
    if !is_whole || !offsets.is_sorted() {
        return Err(Error::internal("the offsets of a digest do not fit its values"));
    }
    Ok(())
}

/// Two digits for each byte.
fn hex(digest: &[u8; DIGEST_BYTES]) -> [[u8; 2]; DIGEST_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    digest.map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf VALUE | openssl dgst -sha256`, and with `-hmac pepper`.
    const PLAIN: [&str; 2] = [
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ];

    fn hexes(values: &[u8], offsets: &[i32], key: Option<&[u8]>) -> Result<String> {
        let digests = sha256(values, offsets, key, Encoding::Hex)?;
        Ok(String::from_utf8(digests).expect("hexadecimal digits"))
    }

    #[test]
    fn each_value_has_its_digest() {
        assert_eq!(hexes(b"a", &[0, 1, 1], None).unwrap(), PLAIN.concat());
        // Of a slice of a column, whose offsets do not begin at 0.
        assert_eq!(hexes(b"a", &[7, 8], None).unwrap(), PLAIN[0]);
        let bytes = sha256(b"a", &[0, 1], None, Encoding::Bytes).unwrap();
        assert_eq!(bytes[..4], [0xca, 0x97, 0x81, 0x12]);
        assert_eq!(hexes(b"", &[0], None).unwrap(), "");
    }

    #[test]
    fn a_key_makes_it_an_hmac() {
        assert_eq!(
            hexes(b"a@x", &[0, 3], Some(b"pepper")).unwrap(),
            "f93fbf15c236b294df36c31c1f35b9667fd68228529e3e457bca1d8e87b8cf68"
        );
        assert_ne!(hexes(b"a", &[0, 1], Some(b"")).unwrap(), PLAIN[0]);
    }

    #[test]
    fn offsets_that_lie_are_refused() {
        let lies: [&[i32]; 6] =
            [&[], &[0, 2], &[1, 1], &[0, 3, 1], &[0, -1, 1], &[i32::MIN, i32::MAX]];
        for offsets in lies {
            assert!(hexes(b"a", offsets, None).is_err(), "{offsets:?}");
        }
        let many = vec![0; DIGEST_LIMIT_VALUES + 2];
        assert!(hexes(b"", &many, None).unwrap_err().to_string().contains("1048576 values"));
    }
}
