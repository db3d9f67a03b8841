//! What a transform asks the host to digest.

use longshore_sdk::bindings::capabilities::longshore::plugin::types::Error;
use longshore_sdk::host::{self, Encoding};

/// Asks for what should not be asked for.
pub fn strike(abuse: &str) -> Result<(), Error> {
    let digest = |values: &[u8], offsets: &[i32]| {
        host::sha256(values, offsets, Some(b"key"), Encoding::Hex).map(drop)
    };
    Ok(match abuse {
        "digest-none" => digest(b"", &[])?,
        "digest-far" => digest(b"text", &[0, 1 << 30])?,
        "digest-back" => digest(b"text", &[4, 0])?,
        "digest-negative" => digest(b"text", &[i32::MIN, i32::MAX])?,
        "digest-many" => digest(b"", &vec![0; (1 << 20) + 2])?,
        "digest-huge" => digest(&vec![0; 140 << 20], &[0, 140 << 20])?,
        "digest-endless" => loop {
            digest(&vec![0; 16 << 20], &[0, 16 << 20])?;
        },
        _ => {}
    })
}
