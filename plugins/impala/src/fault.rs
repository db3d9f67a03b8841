//! The server's errors, by who must act. HiveServer2 has few codes of its own: its words tell.

use longshore_sdk::{Error, ErrorClass};

/// The most that is shown of what a server says: some add the statement and their stack.
const MESSAGE_LIMIT_CHARS: usize = 1_000;

/// An error that the server reports.
pub fn from_server(sql_state: &str, message: &str) -> Error {
    let text = plain(message);
    let class = class(sql_state, &text);
    let error = Error::new(class, text);
    let error = match next_step(class) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    if sql_state.is_empty() { error } else { error.with_code(sql_state) }
}

/// The server says what the protocol does not know.
pub fn protocol(what: String) -> Error {
    Error::internal(format!("HiveServer2's protocol: {what}"))
}

/// The session is gone, or the way to it.
pub fn lost(what: &str) -> Error {
    Error::connection(what)
        .with_hint("it is opened again; see the server's limits for idle sessions")
}

/// Whether another session can do better.
pub fn is_lost(error: &Error) -> bool {
    error.class() == ErrorClass::Connection
}

/// Whether what the server knows of a table's files is out of date.
pub fn is_outdated(error: &Error) -> bool {
    let text = error.to_string();
    OUTDATED.iter().any(|words| text.contains(words))
}

const OUTDATED: &[&str] = &[
    "Failed to open HDFS file",
    "Error opening HDFS file",
    "metadata is stale",
    "metadata may be stale",
    "FileNotFoundException",
    "File does not exist",
    "It is possible the underlying files have been updated",
    "invalidate the cache in Spark",
];

/// What servers say, and what it means; the first that is said counts.
const CLASSES: &[(&[&str], ErrorClass)] = &[
    (
        &[
            "Invalid SessionHandle",
            "Invalid session id",
            "Invalid query handle",
            "Invalid or unknown query handle",
            "Client session expired",
            "expired due to client inactivity",
            "Session closed",
            "Broken pipe",
        ],
        ErrorClass::Connection,
    ),
    (OUTDATED, ErrorClass::Connection),
    (
        &[
            "TABLE_OR_VIEW_NOT_FOUND",
            "Table not found",
            "Could not resolve table reference",
            "Could not resolve path",
            "UNRESOLVED_COLUMN",
            "Could not resolve column",
            "SCHEMA_NOT_FOUND",
            "Database does not exist",
            "Database not found",
            "NoSuchTableException",
            "NoSuchDatabaseException",
            "Invalid table alias or column reference",
        ],
        ErrorClass::NotFound,
    ),
    (
        &[
            "AuthorizationException",
            "does not have privileges",
            "Permission denied",
            "AccessControlException",
            "HiveAccessControlException",
            "not authorized",
        ],
        ErrorClass::Auth,
    ),
    (
        &[
            "queue full",
            "Admission for query",
            "Rejected query from pool",
            "too many sessions",
            "too many connections",
            "maximum number of sessions",
        ],
        ErrorClass::Throttled,
    ),
    (
        &["Memory limit exceeded", "OutOfMemoryError", "No space left", "scratch limit"],
        ErrorClass::Resource,
    ),
    (&["Query timed out", "timed out", "Timeout"], ErrorClass::Timeout),
    (
        &["Connection refused", "Network error", "UnknownHostException", "Connection reset"],
        ErrorClass::Connection,
    ),
];

fn class(sql_state: &str, text: &str) -> ErrorClass {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let told = CLASSES.iter().find(|(words, _)| says(words)).map(|(_, class)| *class);
    told.unwrap_or(match sql_state {
        "42S02" | "42P01" | "3F000" => ErrorClass::NotFound,
        "42501" | "42000" if says(&["privilege"]) => ErrorClass::Auth,
        _ => ErrorClass::Data,
    })
}

fn next_step(class: ErrorClass) -> Option<&'static str> {
    match class {
        ErrorClass::NotFound => Some(
            "check the names, and that the catalog knows them: a table made elsewhere needs INVALIDATE METADATA",
        ),
        ErrorClass::Auth => Some("ask for the permission, or for another user"),
        _ => None,
    }
}

/// One line: without Java's class names in front, and without its stack.
fn plain(message: &str) -> String {
    let first = message.split("\n\tat ").next().unwrap_or_default();
    let mut words: Vec<&str> = first.split_whitespace().collect();
    while words
        .first()
        .is_some_and(|word| word.ends_with(':') && word.contains('.') && !word.starts_with('['))
    {
        words.remove(0);
    }
    let text: String = words.join(" ").chars().take(MESSAGE_LIMIT_CHARS).collect();
    if text.is_empty() { "the server failed, and did not say why".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_must_act_is_found_in_the_words() {
        let class_of = |message: &str| from_server("HY000", message).class();
        assert_eq!(
            class_of("AnalysisException: Could not resolve table reference: 'x'"),
            ErrorClass::NotFound
        );
        assert_eq!(
            class_of("AuthorizationException: User 'a' does not have privileges"),
            ErrorClass::Auth
        );
        assert_eq!(class_of("Rejected query from pool default: queue full"), ErrorClass::Throttled);
        assert_eq!(class_of("Memory limit exceeded: x"), ErrorClass::Resource);
        assert_eq!(class_of("ParseException: Syntax error in line 1"), ErrorClass::Data);
        assert_eq!(class_of("Invalid or unknown query handle"), ErrorClass::Connection);
        assert!(is_outdated(&from_server("", "Disk I/O error: Failed to open HDFS file hdfs://x")));
    }

    #[test]
    fn javas_wrapping_is_taken_off() {
        let java = "org.apache.hive.service.cli.HiveSQLException: org.apache.spark.sql.AnalysisException: \
                    [TABLE_OR_VIEW_NOT_FOUND] The table\n`x` cannot be found\n\tat org.apache.Foo(Foo.java:1)\n";
        assert_eq!(plain(java), "[TABLE_OR_VIEW_NOT_FOUND] The table `x` cannot be found");
        assert_eq!(plain(""), "the server failed, and did not say why");
    }
}
