//! What a test changes in the finished component, byte for byte: `describe` gets no config.

use std::hint::black_box;

use crate::{endless, hoard};

static MARK: &str = "longshore-test-mark version=1.0.1000 describe=honest.... end";

/// The version that it says it has.
pub fn version() -> &'static str {
    part("version=")
}

/// How `describe` behaves.
#[derive(Clone, Copy)]
pub struct Mode(pub &'static str);

/// How it behaves here.
pub fn mode() -> Mode {
    Mode(part("describe=").trim_end_matches('.'))
}

impl Mode {
    /// Does the harm that any component can do.
    pub fn strike(self) {
        match self.0 {
            "loop" => endless(),
            "memory" => hoard(),
            "trap" => core::arch::wasm32::unreachable(),
            _ => {}
        }
    }

    /// What harms where it is wanted, or else what is honest.
    pub fn or(self, wanted: &str, harm: &str, honest: &str) -> String {
        if self.0 == wanted { harm } else { honest }.to_owned()
    }
}

fn part(key: &str) -> &'static str {
    let found = black_box(MARK).split(' ').find_map(|part| part.strip_prefix(key));
    found.unwrap_or_default()
}
