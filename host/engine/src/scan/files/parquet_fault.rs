//! What is wrong with a Parquet file, in our words: its readers speak of their own types.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use longshore_model::error::{Class, Error};
use object_store::path::Path as Key;
use parquet::errors::ParquetError;

use super::{detail, file_error, shown};
use crate::datafusion_fault::from_datafusion;
use crate::store::SourceStore;

const WRITE_AGAIN: &str = "write the file again, or leave it out with a pattern";

/// Words of the reader's own types, which people who write files do not know.
const OF_FOOTERS: [&str; 7] = [
    "Unexpected",
    "Expected",
    "expected",
    "hrift",
    "Required field",
    "Could not parse",
    "cannot convert",
];

/// The reason why a file cannot be read.
pub(super) enum Fault {
    /// It is said already, and by whom it can be mended.
    Told(Error),
    /// The file is to blame, in the reader's words.
    Damage(String),
}

impl Fault {
    pub(super) fn of(store: &SourceStore, key: &Key, error: DataFusionError) -> Self {
        Self::known(store, key, error.find_root()).unwrap_or_else(|| {
            let hint = "write the file again in a plainer form, or leave it out with a pattern";
            let error = from_datafusion(error).with_class(Class::Data);
            Self::Told(error.with_context(shown(store, key)).with_hint(hint))
        })
    }

    fn known(store: &SourceStore, key: &Key, root: &DataFusionError) -> Option<Self> {
        Some(match root {
            DataFusionError::ObjectStore(error) => Self::Told(file_error(store, key, error)),
            DataFusionError::ParquetError(error) => Self::of_parquet(store, key, error),
            DataFusionError::ArrowError(error, _) => Self::of_arrow(store, key, error),
            DataFusionError::External(source) => match source.downcast_ref::<Error>() {
                Some(own) => Self::Told(own.copy()),
                None => Self::Damage(source.to_string()),
            },
            _ => return None,
        })
    }

    fn of_parquet(store: &SourceStore, key: &Key, error: &ParquetError) -> Self {
        let ParquetError::External(source) = error else {
            return Self::Damage(error.to_string());
        };
        if let Some(own) = source.downcast_ref::<Error>() {
            return Self::Told(own.copy());
        }
        if let Some(error) = source.downcast_ref::<object_store::Error>() {
            return Self::Told(file_error(store, key, error));
        }
        match source.downcast_ref::<ArrowError>() {
            Some(error) => Self::of_arrow(store, key, error),
            None => Self::Damage(source.to_string()),
        }
    }

    fn of_arrow(store: &SourceStore, key: &Key, error: &ArrowError) -> Self {
        let ArrowError::ExternalError(source) = error else {
            return Self::Damage(error.to_string());
        };
        if let Some(own) = source.downcast_ref::<Error>() {
            return Self::Told(own.copy());
        }
        match source.downcast_ref::<ParquetError>() {
            Some(error) => Self::of_parquet(store, key, error),
            None => Self::Damage(source.to_string()),
        }
    }
}

/// Who must act on what the reader says of a file.
pub(super) fn fault(store: &SourceStore, key: &Key, error: DataFusionError) -> Error {
    match Fault::of(store, key, error) {
        Fault::Told(error) => error,
        Fault::Damage(text) => damage(&shown(store, key), None, &text),
    }
}

/// What is wrong with a file, or a column of it.
pub(super) fn damage(file: &str, column: Option<&str>, text: &str) -> Error {
    let place = column.map_or(String::new(), |column| format!("column `{column}`: "));
    let (cause, hint) = words(text);
    Error::data(format!("{file}: {place}cannot be read as Parquet: {cause}")).with_hint(hint)
}

/// The cause and the next step.
fn words(text: &str) -> (String, &'static str) {
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["encrypt"]) {
        let hint = "write it without encryption: Longshore has no keys of files";
        return ("it is encrypted".into(), hint);
    }
    if has(&["crc checksum"]) {
        return (
            "it is damaged: the checksum of a page is not that of its bytes".into(),
            WRITE_AGAIN,
        );
    }
    if has(&["utf-8", "utf8"]) {
        let hint = "write the file again, the text as UTF-8 or the column as binary";
        return ("a text in it is not UTF-8".into(), hint);
    }
    if has(&["corrupt footer", "invalid parquet file", "magic"]) {
        return (
            "it does not end as such a file does: it was cut off, or is of another kind".into(),
            WRITE_AGAIN,
        );
    }
    if OF_FOOTERS.iter().any(|word| text.contains(word)) {
        return ("what it says of itself is damaged, or beyond the format".into(), WRITE_AGAIN);
    }
    if has(&["nyi", "not supported", "unsupported", "not implemented", "not yet"]) {
        let hint = "write the file again in a plainer form, or leave it out with a pattern";
        return (format!("it holds what is not read here{}", detail(text)), hint);
    }
    (format!("it is damaged{}", detail(text)), WRITE_AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_in_our_words() {
        let told = |text: &str| damage("t.parquet", Some("a"), text).to_string();
        assert_eq!(
            told("Parquet argument error: Parquet error: Page CRC checksum mismatch"),
            "t.parquet: column `a`: cannot be read as Parquet: it is damaged: the checksum of a page is not \
             that of its bytes"
        );
        assert_eq!(
            told("Parquet argument error: EOF: Invalid page header"),
            "t.parquet: column `a`: cannot be read as Parquet: it is damaged (detail: Invalid page header)"
        );
        assert!(told("Parquet error: Unexpected Type -7").ends_with("or beyond the format"));
        assert!(told("Parquet error: it is damaged").ends_with("Parquet: it is damaged"));
    }
}
