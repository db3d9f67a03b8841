//! Queries in files of their own, which lie beside the job file.

use std::path::Path;

use super::access::Access;
use super::small_file::read_small_file;
use crate::error::{Error, Result};

/// The longest query in a file.
pub const QUERY_LIMIT_BYTES: u64 = 4 << 20;

/// Reads the file that a job's key `at` names.
pub(super) fn read_query_file(at: &str, file: &str, access: Access<'_>) -> Result<String> {
    let path = access.folder().join(file);
    access.file(at, &path)?;
    read_query(&format!("`{at}`"), &path)
}

/// Reads a file with a query; `what` names it for errors.
pub fn read_query(what: &str, path: &Path) -> Result<String> {
    let bytes = read_small_file(what, path, QUERY_LIMIT_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Error::config(format!("{what}: {} is not UTF-8 text", path.display()))
            .with_hint("save it as plain UTF-8")
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// A text given as it is, or in a file beside the job file.
pub(super) fn text_or_file(
    at: &str,
    key: &str,
    text: Option<String>,
    file: Option<String>,
    access: Access<'_>,
) -> Result<Option<String>> {
    match (text, file) {
        (Some(_), Some(_)) => {
            Err(Error::config(format!("`{at}` has both `{key}` and `{key}_file`"))
                .with_hint("keep one of them"))
        }
        (None, Some(file)) => read_query_file(&format!("{at}.{key}_file"), &file, access).map(Some),
        (text, None) => Ok(text),
    }
}
