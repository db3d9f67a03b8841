//! Texts and bytes of any length.

use super::{Cause, slice};
use crate::field::Field;

/// Texts or bytes, one after the other.
pub(super) struct Bytes {
    pub(super) offsets: Vec<i32>,
    /// Longer than what is used, so that short values can be copied in blocks.
    pub(super) data: Vec<u8>,
    pub(super) used: usize,
}

/// Short values are copied in blocks of this length: a copy of any other length is a call.
const COPY_BYTES: usize = 16;

/// Beyond it, room is made for what there is, and not for twice as much; and the next batch gets no more than
/// this beforehand.
const ROOM_LIMIT_BYTES: usize = 4 << 20;

/// Longer values are worth the call.
const SHORT_BYTES: usize = 8 * COPY_BYTES;

impl Bytes {
    pub(super) fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values.max(1));
        offsets.push(0);
        Self { offsets, data: vec![0; bytes], used: 0 }
    }

    /// An empty one with room for as much as this one holds.
    pub(super) fn another(&self) -> Self {
        Self::with_capacity(self.offsets.len(), self.used.min(ROOM_LIMIT_BYTES))
    }

    /// Forgets all but the first values.
    pub(super) fn truncate(&mut self, values: usize) {
        self.offsets.truncate(values + 1);
        self.used = self.offsets.last().map_or(0, |last| *last as usize);
    }

    /// Adds values; nothing for null. Not inlined, as [`collect`](super::collect).
    #[inline(never)]
    pub(super) fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        let length = |field: &Field| field.length.max(0) as usize;
        let end = self.used + fields.iter().map(length).sum::<usize>();
        i32::try_from(end).map_err(|_| Cause::TooLong)?;
        // The last block may reach beyond the last value.
        if end + COPY_BYTES > self.data.len() {
            let wanted = end + COPY_BYTES;
            let room = if wanted > ROOM_LIMIT_BYTES { wanted } else { wanted.next_power_of_two() };
            self.data.reserve_exact(room - self.data.len());
            self.data.resize(room, 0);
        }
        let old = self.offsets.len();
        self.offsets.resize(old + fields.len(), 0);
        for (offset, field) in self.offsets[old..].iter_mut().zip(fields) {
            let (at, length) = (field.at as usize, length(field));
            let blocks = length.next_multiple_of(COPY_BYTES);
            if length <= SHORT_BYTES && at + blocks <= bytes.len() {
                let from = bytes[at..at + blocks].chunks_exact(COPY_BYTES);
                let to = self.data[self.used..self.used + blocks].chunks_exact_mut(COPY_BYTES);
                to.zip(from).for_each(|(to, from)| to.copy_from_slice(from));
            } else {
                let value = slice(bytes, field)?.unwrap_or_default();
                self.data[self.used..self.used + length].copy_from_slice(value);
            }
            self.used += length;
            *offset = self.used as i32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_survive_whatever_their_lengths(texts in proptest::collection::vec(proptest::option::of("[a-z]{0,300}"), 0..300)) {
            let (mut bytes, mut fields) = (Vec::new(), Vec::new());
            for text in &texts {
                let length = text.as_ref().map_or(-1, |text| text.len() as i32);
                fields.push(Field { at: bytes.len() as u32, length });
                bytes.extend(text.iter().flat_map(|text| text.bytes()));
            }
            let mut column = Bytes::with_capacity(0, 0);
            fields.chunks(7).for_each(|fields| column.append(&bytes, fields).ok().unwrap());
            prop_assert_eq!(&column.data[..column.used], &bytes[..]);
            prop_assert_eq!(*column.offsets.last().unwrap() as usize, bytes.len());
            prop_assert_eq!(column.offsets.len(), texts.len() + 1);
        }
    }
}
