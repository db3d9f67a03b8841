//! The ids of runs.

use chrono::Utc;
use longshore_model::error::{Error, Result};

/// The length of an id.
const RUN_ID_BYTES: usize = 25;

/// A new id: when the run began, and random digits that tell it from all others.
pub fn new_run_id() -> Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Error::resource(error.to_string()))?;
    Ok(format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), hex::encode(random)))
}

/// Whether a text is an id, as in `20261128T083137Z-0a1b2c3d`. Nothing else is taken for one, as it becomes a part
/// of paths.
pub fn is_run_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == RUN_ID_BYTES
        && bytes[..8].iter().chain(&bytes[9..15]).all(u8::is_ascii_digit)
        && (bytes[8], bytes[15], bytes[16]) == (b'T', b'Z', b'-')
        && bytes[17..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_known_as_one_and_no_other_text_is() {
        let id = new_run_id().unwrap();
        assert!(is_run_id(&id), "{id}");
        for other in ["", "../../../../../etc/passwd", "20261128T083137Z-0A1B2C3D", &id[1..]] {
            assert!(!is_run_id(other), "{other}");
        }
    }
}
