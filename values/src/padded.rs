//! Texts of a fixed length, such as those of `char(n)`.

use arrow_schema::{DataType, Field};

/// The key under which a field says `true` where databases do not count the blanks at its texts' ends.
const KEY: &str = "longshore:padded";

/// The field, of texts that their database fills up with blanks and compares without them.
pub fn padded(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(KEY.to_owned(), "true".to_owned());
    field.with_metadata(metadata)
}

/// Whether blanks at the ends of a field's texts do not count.
pub fn is_padded(field: &Field) -> bool {
    let is_text =
        matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    is_text && field.metadata().get(KEY).is_some_and(|value| value == "true")
}
