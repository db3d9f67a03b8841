//! A watched column in the SQL of its source.

use arrow::datatypes::Field;
use longshore_model::config::Dialect;
use longshore_model::error::{Error, Result};
use longshore_model::relation::Relation;

use super::kind::Kind;

/// A watched column.
pub(super) struct WatchedColumn<'a> {
    pub(super) dialect: Dialect,
    pub(super) kind: Kind,
    /// Its name, as it stands in SQL.
    name: String,
    /// Its type, in the source's words.
    source_type: &'a str,
}

impl<'a> WatchedColumn<'a> {
    /// A column of a relation, if its values tell what is new.
    pub(super) fn new(dialect: Dialect, field: &Field, source_type: &'a str) -> Result<Self> {
        let name = field.name();
        let kind = Kind::of(dialect, field, source_type).ok_or_else(|| {
            Error::config(format!(
                "`incremental.column`: `{name}` is {source_type}, whose values do not tell what is new"
            ))
            .with_hint(
                "name a column of whole numbers, decimals, dates or timestamps, or cast it in a query",
            )
        })?;
        Ok(Self { dialect, kind, name: quoted(dialect, name)?, source_type })
    }

    /// The SQL expression that is compared.
    pub(super) fn term(&self) -> String {
        match (self.kind, self.dialect) {
            (Kind::Text, Dialect::PostgreSql) => format!("{} COLLATE \"C\"", self.name),
            (Kind::Text, Dialect::Sqlite) => format!("{} COLLATE BINARY", self.name),
            _ => self.name.clone(),
        }
    }

    /// The condition for rows without a value.
    pub(super) fn is_null(&self) -> String {
        format!("{} IS NULL", self.name)
    }

    /// A comparison with a value.
    pub(super) fn compared(&self, operator: &str, value: &str) -> Result<String> {
        Ok(format!("{} {operator} {}", self.term(), self.literal(value)?))
    }

    /// The greatest value, as a text.
    pub(super) fn greatest(&self) -> String {
        let max = format!("MAX({})", self.term());
        match (self.dialect, self.kind) {
            (Dialect::PostgreSql, Kind::Instant) => format!("({max} AT TIME ZONE 'UTC')::text"),
            (Dialect::PostgreSql, _) => format!("{max}::text"),
            (Dialect::Hive, _) => format!("CAST({max} AS STRING)"),
            (Dialect::MySql, _) => format!("CAST({max} AS CHAR)"),
            (Dialect::Sqlite, _) => format!("CAST({max} AS TEXT)"),
            (Dialect::SqlServer, Kind::Instant) => {
                format!("CONVERT(varchar(40), SWITCHOFFSET({max}, '+00:00'), 121)")
            }
            (Dialect::SqlServer, _) => format!("CONVERT(varchar(60), {max}, 121)"),
            (Dialect::Oracle, Kind::Integer | Kind::Decimal) => {
                format!("TO_CHAR({max}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')")
            }
            (Dialect::Oracle, _) if self.is_oracle_date() => {
                format!("TO_CHAR({max}, 'YYYY-MM-DD HH24:MI:SS')")
            }
            (Dialect::Oracle, Kind::Instant) => {
                format!("TO_CHAR(SYS_EXTRACT_UTC({max}), 'YYYY-MM-DD HH24:MI:SS.FF9')")
            }
            (Dialect::Oracle, _) => format!("TO_CHAR({max}, 'YYYY-MM-DD HH24:MI:SS.FF9')"),
            (Dialect::Vertica, Kind::Instant) => {
                format!("CAST(({max} AT TIME ZONE 'UTC') AS VARCHAR)")
            }
            _ => format!("CAST({max} AS VARCHAR(64))"),
        }
    }

    /// A value as a literal of the column's own type: another type would round it.
    fn literal(&self, value: &str) -> Result<String> {
        let dialect = self.dialect;
        Ok(match (self.kind, dialect) {
            (Kind::Integer, _) if value.starts_with('-') => format!("({value})"),
            (Kind::Integer, _) => value.to_owned(),
            (Kind::Transaction, _) => format!("'{value}'::xid8"),
            (Kind::Decimal, _) => dialect.number(value).ok_or_else(|| {
                Error::config(format!("`{value}` has more than 38 digits"))
                    .with_hint("watch another column")
            })?,
            (Kind::Date, _) => dialect.date(value),
            (Kind::Timestamp, Dialect::SqlServer) => {
                format!("CAST('{}' AS {})", value.replace(' ', "T"), self.sql_server_type())
            }
            (Kind::Timestamp, Dialect::Oracle) if self.is_oracle_date() => {
                format!("TO_DATE('{value}', 'YYYY-MM-DD HH24:MI:SS')")
            }
            (Kind::Timestamp, _) => dialect.timestamp(value),
            (Kind::Instant, Dialect::PostgreSql | Dialect::Vertica) => {
                format!("TIMESTAMPTZ '{value}+00'")
            }
            (Kind::Instant, Dialect::SqlServer) => {
                format!("CAST('{}+00:00' AS datetimeoffset)", value.replace(' ', "T"))
            }
            (Kind::Instant, Dialect::Oracle) => format!("TIMESTAMP '{value} +00:00'"),
            (Kind::Instant, _) => dialect.timestamp(value),
            (Kind::Text, _) => dialect.text(value)?,
        })
    }

    fn is_oracle_date(&self) -> bool {
        self.dialect == Dialect::Oracle && self.source_type.eq_ignore_ascii_case("date")
    }

    fn sql_server_type(&self) -> &'static str {
        match self.source_type.to_ascii_lowercase().as_str() {
            "datetime" => "datetime",
            "smalldatetime" => "smalldatetime",
            _ => "datetime2",
        }
    }
}

/// The SQL text behind FROM.
pub(super) fn from(dialect: Dialect, relation: &Relation) -> String {
    match relation {
        Relation::Table(name) if dialect == Dialect::Hive && !name.contains('`') => {
            name.split('.').map(|part| format!("`{part}`")).collect::<Vec<_>>().join(".")
        }
        Relation::Table(name) => name.clone(),
        // The line's end ends a comment in the query too.
        Relation::Query(query) => format!("({}\n) q", query.trim().trim_end_matches(';')),
    }
}

/// A name as it stands in SQL. Which quotes an unknown database has is not known.
fn quoted(dialect: Dialect, name: &str) -> Result<String> {
    let within =
        |quote: char| format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")));
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match dialect {
        Dialect::Hive | Dialect::MySql => Ok(within('`')),
        Dialect::Unknown if is_plain => Ok(name.to_owned()),
        Dialect::Unknown => Err(Error::config(format!(
            "`incremental.column`: `{name}` needs quotes, and `source.url` does not tell the database's"
        ))
        .with_hint("name the database by the URL's scheme, or give the column a plain name in a query")),
        _ => Ok(within('"')),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;

    fn column(dialect: Dialect, data_type: DataType, words: &str) -> WatchedColumn<'_> {
        WatchedColumn::new(dialect, &Field::new("Col", data_type, true), words).unwrap()
    }

    fn after(dialect: Dialect, data_type: DataType, words: &str, value: &str) -> String {
        column(dialect, data_type, words).compared(">", value).unwrap()
    }

    #[test]
    fn a_value_is_written_in_the_columns_own_type() {
        let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let at = "2026-11-20 14:30:00.003";
        assert_eq!(
            after(Dialect::PostgreSql, utc, "timestamp with time zone", at),
            "\"Col\" > TIMESTAMPTZ '2026-11-20 14:30:00.003+00'"
        );
        assert_eq!(
            after(Dialect::SqlServer, plain.clone(), "datetime", at),
            "\"Col\" > CAST('2026-11-20T14:30:00.003' AS datetime)"
        );
        assert_eq!(
            after(Dialect::Oracle, plain.clone(), "DATE", "2026-11-20 14:30:00"),
            "\"Col\" > TO_DATE('2026-11-20 14:30:00', 'YYYY-MM-DD HH24:MI:SS')"
        );
        assert_eq!(
            after(Dialect::Hive, plain, "timestamp", at),
            "`Col` > CAST('2026-11-20 14:30:00.003' AS TIMESTAMP)"
        );
        assert_eq!(
            after(Dialect::PostgreSql, DataType::Utf8, "text", "o'b"),
            "\"Col\" COLLATE \"C\" > 'o''b'"
        );
        assert_eq!(after(Dialect::Unknown, DataType::Int64, "int", "-5"), "Col > (-5)");
        assert_eq!(after(Dialect::PostgreSql, DataType::Utf8, "xid8", "9"), "\"Col\" > '9'::xid8");
    }

    #[test]
    fn quotes_within_names_are_doubled() {
        assert_eq!(quoted(Dialect::PostgreSql, "a\"b").unwrap(), "\"a\"\"b\"");
        assert_eq!(quoted(Dialect::MySql, "a`b").unwrap(), "`a``b`");
        assert!(quoted(Dialect::Unknown, "a b").is_err());
    }
}
