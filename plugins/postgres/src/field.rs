//! A field of a row, as its bytes lie in what was read.

/// Where a field lies in its stretch; the length is below zero for null.
#[derive(Clone, Copy, Default)]
pub(crate) struct Field {
    pub(crate) at: u32,
    pub(crate) length: i32,
}

impl Field {
    pub(crate) const NULL: Self = Self { at: 0, length: -1 };
}
