//! Digests of columns, which the host computes at native speed.

use arrow_array::builder::GenericByteBuilder;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, GenericByteArray, StringArray};
use arrow_buffer::OffsetBuffer;

use crate::Result;
use crate::host::{self, Encoding};

/// Values of one call of the host.
const CALL_LIMIT_VALUES: usize = 1 << 20;

/// What one call hands over, if the values allow it.
const CALL_LIMIT_BYTES: usize = 16 << 20;

const HEX_DIGITS: usize = 64;

/// The SHA-256 of each text, or its HMAC-SHA-256 if there is a key, in hexadecimal digits. A null stays
/// null.
pub fn sha256_hex<T: ByteArrayType<Offset = i32>>(
    column: &GenericByteArray<T>,
    key: Option<&[u8]>,
) -> Result<StringArray> {
    let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) else {
        let offsets = OffsetBuffer::from_repeated_length(HEX_DIGITS, column.len());
        return Ok(StringArray::try_new(offsets, of_values(column, key)?.into(), None)?);
    };
    let digests = of_values(&without_nulls(column), key)?;
    let length = |is_valid| if is_valid { HEX_DIGITS } else { 0 };
    let offsets = OffsetBuffer::from_lengths(nulls.iter().map(length));
    Ok(StringArray::try_new(offsets, digests.into(), Some(nulls.clone()))?)
}

fn without_nulls<T: ByteArrayType<Offset = i32>>(
    column: &GenericByteArray<T>,
) -> GenericByteArray<T> {
    let values = column.len() - column.null_count();
    let mut kept = GenericByteBuilder::<T>::with_capacity(values, column.value_data().len());
    column.iter().flatten().for_each(|value| kept.append_value(value));
    kept.finish()
}

/// The digests of values none of which is null.
fn of_values<T: ByteArrayType<Offset = i32>>(
    column: &GenericByteArray<T>,
    key: Option<&[u8]>,
) -> Result<Vec<u8>> {
    let (offsets, bytes) = (column.value_offsets(), column.value_data());
    let mut digests = Vec::new();
    let mut from = 0;
    while from < column.len() {
        let to = call_end(offsets, from);
        let values = &bytes[offsets[from] as usize..offsets[to] as usize];
        let of_call = host::sha256(values, &offsets[from..=to], key, Encoding::Hex)?;
        if digests.is_empty() {
            digests = of_call;
        } else {
            digests.extend_from_slice(&of_call);
        }
        from = to;
    }
    Ok(digests)
}

/// Where a call ends that begins with this value: it holds one value at least.
fn call_end(offsets: &[i32], from: usize) -> usize {
    let last = (offsets.len() - 1).min(from + CALL_LIMIT_VALUES);
    let fits = |end: &i32| (end - offsets[from]) as usize <= CALL_LIMIT_BYTES;
    (from + offsets[from + 1..=last].partition_point(fits)).max(from + 1)
}

#[cfg(test)]
mod tests {
    use arrow_array::BinaryArray;

    use super::*;

    const OF_A: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    #[test]
    fn a_null_stays_null_and_takes_no_room() {
        let texts = StringArray::from(vec![Some("b"), Some("a"), None, Some("a")]).slice(1, 3);
        let digests = sha256_hex(&texts, None).unwrap();
        assert_eq!(digests.iter().collect::<Vec<_>>(), [Some(OF_A), None, Some(OF_A)]);
        assert_eq!(digests.value_data().len(), 2 * HEX_DIGITS);
    }

    #[test]
    fn a_column_is_cut_into_calls_and_no_value_is() {
        let large = vec![0; CALL_LIMIT_BYTES - 1];
        let values: [&[u8]; 5] = [b"a", &large, b"a", &[0; CALL_LIMIT_BYTES + 1], b"a"];
        let column = BinaryArray::from_iter_values(values);
        let (mut ends, mut from) = (Vec::new(), 0);
        while from < column.len() {
            from = call_end(column.value_offsets(), from);
            ends.push(from);
        }
        assert_eq!(ends, [2, 3, 4, 5]);
        let digests = sha256_hex(&column, None).unwrap();
        assert_eq!([digests.value(0), digests.value(2), digests.value(4)], [OF_A; 3]);
        assert_eq!(sha256_hex(&column.slice(0, 0), None).unwrap().len(), 0);
    }
}
