//! Errors of DataFusion, and ours on their way through it.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use longshore_model::config::nearest;
use longshore_model::error::Error;
use longshore_model::memory::Share;

/// An error of ours that DataFusion carries.
pub trait IntoDataFusion {
    /// The same, as one of DataFusion's.
    fn external(self) -> DataFusionError;
}

impl IntoDataFusion for Error {
    fn external(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

/// The error of ours inside, if there is one; the rest is classed by what DataFusion says of it.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::internal(other.to_string()).with_source(other),
        },
        // It names a step of the planner.
        DataFusionError::Context(_, inner) => from_datafusion(*inner),
        DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
            Ok(inner) => from_datafusion(inner),
            Err(shared) => own(&shared).unwrap_or_else(|| classify(&shared)),
        },
        other => classify(&other),
    }
}

/// A copy of our own error inside one that is shared.
fn own(error: &DataFusionError) -> Option<Error> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref::<Error>().map(Error::copy),
        _ => None,
    }
}

/// How what DataFusion says begins, and a part of it: what that means, and what to do.
const KNOWN: [(&str, &str, &str, &str); 6] = [
    (
        "",
        "single SQL statement",
        "several statements, where one is read",
        "write one SELECT; what comes before it can be a step of its own",
    ),
    ("No SQL statements", "", "no query", "write a SELECT"),
    (
        "",
        "does not support logical expression",
        "a query within the query stands where it cannot be computed",
        "join its table instead, or compute it in a step before",
    ),
    (
        "Scalar subquery",
        "more than one row",
        "a query that stands for one value gives several rows",
        "choose one of them: SELECT max(a) ..",
    ),
    (
        "Timestamp ",
        "out of range",
        "a moment that this function cannot reach: it counts nanoseconds, from 1677 to 2262",
        "leave such rows out with WHERE, or use date_part and make_date",
    ),
    (
        "",
        "Cannot cast timezone to different timezone",
        "a local time that the time zone has not, or has twice",
        "keep the moment in UTC, and leave the zone to who reads it",
    ),
];

fn known(text: &str) -> Option<Error> {
    let is_said = |(start, part): (&str, &str)| text.starts_with(start) && text.contains(part);
    let (_, _, cause, hint) = KNOWN.iter().find(|(start, part, _, _)| is_said((start, part)))?;
    Some(Error::data(*cause).with_hint(*hint))
}

/// `Invalid function 'foo'.\nDid you mean 'floor'?`
fn no_function(text: &str) -> Option<Error> {
    let name = text.strip_prefix("Invalid function '")?.split('\'').next()?;
    let near = text.split_once("Did you mean '").and_then(|(_, near)| near.split('\'').next());
    let error = Error::data(format!("no function `{name}`"));
    Some(match near {
        Some(near) => error.with_hint(format!("there is `{near}`")),
        None => error.with_hint("use another one"),
    })
}

/// What DataFusion says, in our words, and who must act.
fn classify(error: &DataFusionError) -> Error {
    let root = error.find_root();
    let told = match root {
        DataFusionError::Plan(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Execution(text) => no_function(text).or_else(|| known(text)),
        DataFusionError::ArrowError(error, _) => known(&error.to_string()),
        _ => None,
    };
    told.unwrap_or_else(|| classify_root(root))
}

fn classify_root(root: &DataFusionError) -> Error {
    match root {
        DataFusionError::ResourcesExhausted(_) => out_of_memory(),
        DataFusionError::IoError(error) => Error::io("SQL", std::io::Error::from(error.kind())),
        DataFusionError::Internal(text) => {
            Error::internal(format!("the query cannot be carried out: {}", plain(text)))
                .with_hint("write it another way, and report it to Longshore with the job file")
        }
        DataFusionError::SQL(error, _) => {
            let text = error.to_string();
            Error::data(format!("the SQL cannot be read: {}", plain(&text)))
                .with_hint("correct the query there")
        }
        DataFusionError::SchemaError(error, _) => schema_error(error),
        DataFusionError::Plan(text) if text.starts_with("Projections require unique") => {
            let name = text.split('"').nth(1).unwrap_or("column");
            let name = name.rsplit('.').next().unwrap_or(name);
            Error::data(format!("the query gives `{name}` twice"))
                .with_hint("leave one out, or name them apart: SELECT a AS b")
        }
        DataFusionError::Plan(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Execution(text)
        | DataFusionError::Configuration(text) => of_values(&plain(text)),
        DataFusionError::ArrowError(error, _) => of_values(&plain(&error.to_string())),
        other => Error::data(plain(&other.strip_backtrace())),
    }
}

/// What Arrow says of values.
fn of_values(text: &str) -> Error {
    match no_value(text) {
        Some(cause) => Error::data(cause).with_hint(
            "compare texts with texts, as in CAST(a AS VARCHAR); TRY_CAST makes NULL of what is no value",
        ),
        None => Error::data(text),
    }
}

/// `Cannot cast string 'x' to value of Int64 type`, in our words.
fn no_value(text: &str) -> Option<String> {
    let rest = text.strip_prefix("Cannot cast string ")?.strip_suffix(" type")?;
    let (value, data_type) = rest.rsplit_once(" to value of ")?;
    Some(format!("the text {value} is no value of {data_type}"))
}

/// The code of errors of SQL that needs more memory than it may hold.
pub const SQL_MEMORY: &str = "sql-memory";

/// Rows that have to be kept, and that cannot spill: one side of a join, the keys of what is merged.
fn out_of_memory() -> Error {
    let share = Share::Sql.fraction();
    Error::resource("the SQL needs more memory than it may hold")
        .with_code(Some(SQL_MEMORY.to_owned()))
        .with_hint(format!(
            "raise `memory`, of which SQL may hold {share}, or keep fewer rows and columns"
        ))
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let known: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
            let hint = match nearest(&field.name, known.iter().copied()) {
                Some(near) => {
                    format!("did you mean `{near}`? Names with capitals stand in double quotes")
                }
                None => format!("the columns are {}", known.join(", ")),
            };
            Error::data(format!("no column `{}`", field.name)).with_hint(hint)
        }
        SchemaError::AmbiguousReference { field } => {
            Error::data(format!("`{}` is a column of several tables", field.name))
                .with_hint("write the table before it: t.a")
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            let hint = if name.contains('(') {
                // A cast is no part of the name.
                "expressions that differ in a cast only have one name: make the cast in a query below, \
                 SELECT sum(b) FROM (SELECT CAST(a AS ..) AS b FROM data)"
            } else {
                "name them apart: SELECT a AS b"
            };
            Error::data(format!("two columns are called `{name}`")).with_hint(hint)
        }
    }
}

/// Without what only who knows the library understands.
fn plain(text: &str) -> String {
    let text = text.split("This issue was likely caused by").next().unwrap_or(text);
    let words = [
        ("datafusion.public.", ""),
        ("sql parser error: ", ""),
        ("Error during planning: ", ""),
        ("Arrow error: ", ""),
        ("Schema error: ", ""),
        ("Cast error: ", ""),
        ("Compute error: ", ""),
        ("Overflow happened on: ", ""),
        ("Cannot infer common argument type for comparison operation ", "cannot compare "),
        ("Execution error: ", ""),
        ("Optimizer rule ", "rule "),
        ("This feature is not implemented: ", ""),
    ];
    let text = words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    text.trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn a_text_that_is_no_value_is_told_with_a_next_step() {
        let text = "Cannot cast string 'x' to value of Int64 type".to_owned();
        let error = from_datafusion(ArrowError::CastError(text).into());
        assert_eq!(error.to_string(), "the text 'x' is no value of Int64");
        assert!(error.hint().unwrap().contains("CAST(a AS VARCHAR)"));
    }
}
