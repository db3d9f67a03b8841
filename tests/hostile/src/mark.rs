//! What a test changes in the finished component, byte for byte: `describe` gets no config.

use std::hint::black_box;

static MARK: &str = "longshore-test-mark version=1.0.1000 describe=honest.... end";

/// The version that it says it has.
pub(super) fn version() -> &'static str {
    part("version=")
}

/// How `describe` behaves.
pub(super) fn describe() -> &'static str {
    part("describe=").trim_end_matches('.')
}

fn part(key: &str) -> &'static str {
    let found = black_box(MARK).split(' ').find_map(|part| part.strip_prefix(key));
    found.unwrap_or_default()
}
