//! The UUID of a run: OpenLineage knows runs by nothing else. It is the same each time, and sorts as runs begin.

use chrono::NaiveDateTime;
use sha2::{Digest, Sha256};

/// The UUID (version 7) of a run's id: its moment, and the beginning of a digest.
pub(super) fn run_uuid(run: &str) -> String {
    let moment = run.split('-').next().unwrap_or_default();
    let moment = NaiveDateTime::parse_from_str(moment, "%Y%m%dT%H%M%SZ").ok();
    let millis = moment.map_or(0, |at| at.and_utc().timestamp_millis().max(0) as u64);
    let digest = Sha256::new().chain_update("openlineage:").chain_update(run).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let digits = hex::encode(bytes);
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_one_uuid_which_holds_its_moment() {
        let uuid = run_uuid("20261129T020000Z-0a1b2c3d");
        assert_eq!(uuid, run_uuid("20261129T020000Z-0a1b2c3d"));
        assert_ne!(uuid, run_uuid("20261129T020000Z-0a1b2c3e"));
        let millis = u64::from_str_radix(&uuid.replace('-', "")[..12], 16).unwrap();
        assert_eq!(millis, 1_795_917_600_000);
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "7"));
        assert!("89ab".contains(&uuid[19..20]));
        assert!(uuid < run_uuid("20261129T020001Z-00000000"));
        assert!(run_uuid("r1").starts_with("00000000-0000-7"));
    }
}
