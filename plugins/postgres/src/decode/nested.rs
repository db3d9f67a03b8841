//! Arrays and composites: their parts are fields of the same stretch, and are decoded as columns.

use std::sync::Arc;

use longshore_sdk::array::{ArrayRef, ListArray, StructArray};
use longshore_sdk::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use longshore_sdk::schema::{DataType, Field as ArrowField};

use super::{Builder, Cause};
use crate::field::Field;
use crate::kind::Kind;

/// The most lists of one batch of one column.
const OFFSET_LIMIT: usize = i32::MAX as usize;

/// Arrays of a fixed number of dimensions.
pub(super) struct Lists {
    /// For each dimension, where its lists begin and end.
    offsets: Vec<Vec<i32>>,
    elements: Box<Builder>,
}

impl Lists {
    pub(super) fn new(elements: Builder, dimensions: usize) -> Self {
        Self { offsets: vec![vec![0]; dimensions], elements: Box::new(elements) }
    }

    pub(super) fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        let mut elements = Vec::new();
        for field in fields {
            if field.length < 0 {
                self.push(0, 0)?;
                continue;
            }
            self.array(&mut Cursor::new(bytes, field)?, &mut elements)?;
        }
        self.elements.append(bytes, &elements)
    }

    /// One array: its head, then its elements, the last dimension's first.
    fn array(&mut self, at: &mut Cursor<'_>, elements: &mut Vec<Field>) -> Result<(), Cause> {
        let dimensions = at.int()?;
        let (_has_nulls, _element_oid) = (at.int()?, at.int()?);
        if dimensions == 0 {
            return self.push(0, 0);
        }
        if usize::try_from(dimensions) != Ok(self.offsets.len()) {
            return Err(Cause::Dimensions(dimensions));
        }
        let mut lists = 1_usize;
        for dimension in 0..self.offsets.len() {
            let (length, lower) = (at.int()?, at.int()?);
            if lower != 1 {
                return Err(Cause::LowerBound(lower));
            }
            let length = usize::try_from(length).map_err(|_| Cause::Length)?;
            // Every element takes at least its own length's bytes: what claims more is broken.
            if length == 0 || length.saturating_mul(lists) > at.left() {
                return Err(Cause::Length);
            }
            (0..lists).try_for_each(|_| self.push(dimension, length))?;
            lists *= length;
        }
        for _ in 0..lists {
            elements.push(at.field()?);
        }
        Ok(())
    }

    fn push(&mut self, dimension: usize, length: usize) -> Result<(), Cause> {
        let offsets = &mut self.offsets[dimension];
        let end = offsets.last().map_or(0, |last| *last as usize) + length;
        if end > OFFSET_LIMIT {
            return Err(Cause::TooLong);
        }
        offsets.push(end as i32);
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        data_type: &DataType,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, Cause> {
        let mut array = self.elements.finish()?;
        for dimension in (0..self.offsets.len()).rev() {
            let offsets = std::mem::replace(&mut self.offsets[dimension], vec![0]);
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            let field = nested_field(data_type, dimension).ok_or(Cause::Length)?;
            // Only a whole array can be null.
            let nulls = if dimension == 0 { nulls.clone() } else { None };
            array = Arc::new(ListArray::try_new(field, offsets, array, nulls)?);
        }
        Ok(array)
    }

    pub(super) fn truncate(&mut self, arrays: usize) {
        let mut kept = arrays;
        for offsets in &mut self.offsets {
            offsets.truncate(kept + 1);
            kept = offsets.last().map_or(0, |last| *last as usize);
        }
        self.elements.truncate(kept);
    }
}

/// The field of the lists of a dimension.
fn nested_field(data_type: &DataType, dimension: usize) -> Option<Arc<ArrowField>> {
    match data_type {
        DataType::List(field) if dimension == 0 => Some(field.clone()),
        DataType::List(field) => nested_field(field.data_type(), dimension - 1),
        _ => None,
    }
}

/// Composites of a fixed number of fields.
pub(super) struct Structs {
    parts: Vec<Builder>,
}

impl Structs {
    pub(super) fn new(parts: Vec<Builder>) -> Self {
        Self { parts }
    }

    pub(super) fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        let mut parts = vec![Vec::with_capacity(fields.len()); self.parts.len()];
        for field in fields {
            if field.length < 0 {
                parts.iter_mut().for_each(|part| part.push(Field::NULL));
                continue;
            }
            let mut at = Cursor::new(bytes, field)?;
            if usize::try_from(at.int()?) != Ok(parts.len()) {
                return Err(Cause::Length);
            }
            for part in &mut parts {
                let _oid = at.int()?;
                part.push(at.field()?);
            }
        }
        self.parts
            .iter_mut()
            .zip(&parts)
            .try_for_each(|(builder, fields)| builder.append(bytes, fields))
    }

    pub(super) fn finish(
        &mut self,
        kind: &Kind,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, Cause> {
        let parts = self.parts.iter_mut().map(Builder::finish).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new(kind.fields(), parts, nulls)?))
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.parts.iter_mut().for_each(|part| part.truncate(rows));
    }
}

/// Walks through one field's bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], field: &Field) -> Result<Self, Cause> {
        let at = field.at as usize;
        let end = at + field.length.max(0) as usize;
        if end > bytes.len() { Err(Cause::Length) } else { Ok(Self { bytes, at, end }) }
    }

    fn left(&self) -> usize {
        self.end - self.at
    }

    fn int(&mut self) -> Result<i32, Cause> {
        if self.left() < 4 {
            return Err(Cause::Length);
        }
        let bytes = &self.bytes[self.at..self.at + 4];
        self.at += 4;
        bytes.try_into().map(i32::from_be_bytes).map_err(|_| Cause::Length)
    }

    /// A length, and as many bytes; less than none for null.
    fn field(&mut self) -> Result<Field, Cause> {
        let length = self.int()?;
        let at = self.at;
        let bytes = length.max(0) as usize;
        if bytes > self.left() {
            return Err(Cause::Length);
        }
        self.at += bytes;
        Ok(Field { at: at as u32, length })
    }
}

#[cfg(test)]
mod tests {
    use longshore_sdk::array::Array;
    use proptest::prelude::*;

    use super::*;

    fn int_array(dimensions: &[i32], lower: i32, elements: &[Option<i32>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut int = |value: i32| bytes.extend(value.to_be_bytes());
        [dimensions.len() as i32, 1, 23].into_iter().for_each(&mut int);
        dimensions.iter().for_each(|length| [*length, lower].into_iter().for_each(&mut int));
        for element in elements {
            match element {
                Some(value) => [4, *value].into_iter().for_each(&mut int),
                None => int(-1),
            }
        }
        bytes
    }

    fn decode(dimensions: usize, arrays: &[Option<Vec<u8>>]) -> Result<ArrayRef, Cause> {
        let kind = Kind::List { element: Box::new(Kind::Int4), dimensions };
        let mut builder = Builder::new(&kind, false);
        let (mut bytes, mut fields) = (Vec::new(), Vec::new());
        for array in arrays {
            let length = array.as_ref().map_or(-1, |array| array.len() as i32);
            fields.push(Field { at: bytes.len() as u32, length });
            bytes.extend(array.iter().flatten());
        }
        builder.append(&bytes, &fields)?;
        builder.finish()
    }

    #[test]
    fn arrays_of_two_dimensions_are_lists_of_lists() {
        let matrix = int_array(&[2, 3], 1, &[Some(1), None, Some(3), Some(4), Some(5), Some(6)]);
        let array = decode(2, &[Some(matrix), None, Some(int_array(&[], 1, &[]))]).ok().unwrap();
        let lists = array.as_any().downcast_ref::<ListArray>().unwrap();
        assert_eq!((lists.value_length(0), lists.is_null(1), lists.value_length(2)), (2, true, 0));
        let rows = lists.value(0);
        let rows = rows.as_any().downcast_ref::<ListArray>().unwrap();
        assert_eq!((rows.value_length(0), rows.value(0).null_count()), (3, 1));
    }

    #[test]
    fn what_a_list_cannot_say_is_refused() {
        let flat = || int_array(&[2], 1, &[Some(1), Some(2)]);
        assert!(matches!(decode(2, &[Some(flat())]), Err(Cause::Dimensions(1))));
        let shifted = int_array(&[2], 0, &[Some(1), Some(2)]);
        assert!(matches!(decode(1, &[Some(shifted)]), Err(Cause::LowerBound(0))));
        let bomb = int_array(&[i32::MAX, i32::MAX], 1, &[]);
        assert!(matches!(decode(2, &[Some(bomb)]), Err(Cause::Length)));
    }

    proptest! {
        #[test]
        fn arrays_survive(arrays in proptest::collection::vec(proptest::option::of(proptest::collection::vec(proptest::option::of(any::<i32>()), 0..9)), 1..20)) {
            let sent: Vec<Option<Vec<u8>>> = arrays.iter().map(|array| array.as_ref().map(|elements| {
                let dimensions: &[i32] = if elements.is_empty() { &[] } else { &[elements.len() as i32] };
                int_array(dimensions, 1, elements)
            })).collect();
            let decoded = decode(1, &sent).ok().unwrap();
            let lists = decoded.as_any().downcast_ref::<ListArray>().unwrap();
            for (row, array) in arrays.iter().enumerate() {
                prop_assert_eq!(lists.is_null(row), array.is_none());
                let Some(array) = array else { continue };
                let values = lists.value(row);
                let values = values.as_any().downcast_ref::<longshore_sdk::array::Int32Array>().unwrap();
                prop_assert_eq!(&values.iter().collect::<Vec<_>>(), array);
            }
        }

        #[test]
        fn damaged_arrays_are_errors_and_never_panics(at in 0_usize..60, value: u8) {
            let mut bytes = int_array(&[2, 3], 1, &[Some(1), None, Some(3), Some(4), Some(5), Some(6)]);
            let at = at % bytes.len();
            bytes[at] = value;
            // That it comes back is the promise.
            let _ = decode(2, &[Some(bytes)]);
        }
    }
}
