//! A part of a table, which the generator makes alone.

use std::sync::LazyLock;

use tpchgen::distribution::Distributions;
use tpchgen::text::TextPool;

/// A text that takes no memory. [`crate::comments`] puts the real comments in the place of those from it.
static OTHER_TEXT: LazyLock<TextPool> =
    LazyLock::new(|| TextPool::new(4096, Distributions::static_default()));

/// A part of a table.
pub(crate) struct Part {
    pub(crate) scale: f64,
    /// Counted from 1.
    pub(crate) number: i32,
    /// How many there are.
    pub(crate) of: i32,
    /// How long the text is that comments are cut out of.
    pub(crate) text_bytes: i32,
    /// What the official generator cuts comments out of instead.
    pub(crate) text: &'static TextPool,
}

impl Part {
    pub(crate) fn new(scale: f64, number: i32, of: i32, text_bytes: i32) -> Self {
        Self { scale, number, of, text_bytes, text: &OTHER_TEXT }
    }
}
