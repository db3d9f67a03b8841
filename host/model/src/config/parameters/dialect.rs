//! A value as a literal of SQL, for each database. A literal is one token wherever it stands: nothing in a text
//! ends it, or makes the database read more than the text.

use std::fmt::Write;

use longshore_sql::Lexis;

use super::value::{Decimal, ParameterValue};
use crate::error::{Error, Result};

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQL steps, which are carried out here.
    DataFusion,
    /// PostgreSQL and Greenplum, also behind ODBC.
    PostgreSql,
    /// Hive, Impala and Spark.
    Hive,
    /// MySQL and MariaDB.
    MySql,
    /// SQL Server.
    SqlServer,
    /// Oracle.
    Oracle,
    /// Vertica.
    Vertica,
    /// SQLite.
    Sqlite,
    /// A database that the URL does not tell.
    Unknown,
}

const DATAFUSION: Lexis = Lexis { backticks: true, q_quotes: true, ..Lexis::POSTGRESQL };

/// A session may take backslashes for themselves: `NO_BACKSLASH_ESCAPES`.
const MYSQL_PLAIN: Lexis = Lexis { backslashes: false, ..Lexis::MYSQL };

impl Dialect {
    /// The dialect of a source, by its URL's scheme.
    pub fn of_scheme(scheme: &str) -> Self {
        match scheme {
            "postgres" | "postgresql" | "odbc+postgresql" | "odbc+greenplum" => Self::PostgreSql,
            "hive" | "impala" => Self::Hive,
            "mysql" | "mariadb" => Self::MySql,
            "sqlserver" | "mssql" => Self::SqlServer,
            "oracle" => Self::Oracle,
            "vertica" => Self::Vertica,
            "sqlite" => Self::Sqlite,
            _ => Self::Unknown,
        }
    }

    /// The ways in which its SQL may be read. A placeholder must mean the same in each.
    pub(super) fn readings(self) -> &'static [Lexis] {
        match self {
            Self::DataFusion => &[DATAFUSION],
            Self::PostgreSql => &[Lexis::POSTGRESQL],
            // Some of them know comments within comments.
            Self::Hive => &[Lexis::HIVE, Lexis { nested_comments: true, ..Lexis::HIVE }],
            Self::MySql => &[Lexis::MYSQL, MYSQL_PLAIN],
            Self::SqlServer => &[Lexis::SQLSERVER],
            Self::Oracle => &[Lexis::ORACLE],
            Self::Vertica => &[Lexis::VERTICA],
            Self::Sqlite => &[Lexis::SQLITE],
            Self::Unknown => &[
                Lexis::STANDARD,
                Lexis::POSTGRESQL,
                Lexis::MYSQL,
                MYSQL_PLAIN,
                Lexis::HIVE,
                Lexis::SQLSERVER,
                Lexis::SQLITE,
                Lexis::ORACLE,
            ],
        }
    }

    /// A value as a literal.
    pub(super) fn literal(self, value: &ParameterValue) -> Result<String> {
        Ok(match value {
            ParameterValue::Text(text) => self.text(text)?,
            ParameterValue::Integer(value) => signed(&value.to_string()),
            ParameterValue::Decimal(value) => self.decimal(value),
            ParameterValue::Date(value) => self.date(&value.to_string()),
            ParameterValue::Timestamp(value) => {
                self.timestamp(&value.format("%Y-%m-%d %H:%M:%S%.f").to_string())
            }
            ParameterValue::Boolean(value) => self.boolean(*value).to_owned(),
        })
    }

    /// A text as a literal.
    pub fn text(self, text: &str) -> Result<String> {
        if let Some((cause, hint)) = self.unfit(text) {
            return Err(Error::config(cause).with_hint(hint));
        }
        Ok(match self {
            Self::Hive => hive_text(text),
            // The same whatever `standard_conforming_strings` says.
            Self::PostgreSql | Self::Vertica if text.contains('\\') => {
                format!("E{}", quoted(&text.replace('\\', "\\\\")))
            }
            // The same whether or not the session takes backslashes for escapes.
            Self::MySql if text.contains(['\\', '\0']) => {
                format!("CONVERT(X'{}' USING utf8mb4)", hex::encode(text))
            }
            Self::SqlServer => format!("N{}", quoted(text)),
            _ => quoted(text),
        })
    }

    /// Why no literal of the database stands for a text, if none does, and what to do.
    fn unfit(self, text: &str) -> Option<(&'static str, &'static str)> {
        let holds_nul = text.contains('\0');
        match self {
            Self::PostgreSql if holds_nul => {
                Some(("PostgreSQL has no texts with a NUL character", "give another value"))
            }
            Self::Vertica | Self::Sqlite | Self::SqlServer | Self::Oracle | Self::Unknown
                if holds_nul =>
            {
                Some(("the database has no literal with a NUL character", "give another value"))
            }
            Self::Oracle if text.is_empty() => {
                Some(("Oracle takes the empty text for NULL", "give another value"))
            }
            Self::SqlServer if text.contains("\\\n") || text.contains("\\\r") => {
                Some(("SQL Server drops a backslash before a line end", "give another value"))
            }
            Self::Unknown if text.contains('\\') => Some((
                "`source.url` does not tell whether the database takes a backslash for an escape",
                "name the database by the URL's scheme, or give another value",
            )),
            _ => None,
        }
    }

    /// The digits of a number as a literal; none where it is no number of up to 38 digits.
    pub fn number(self, digits: &str) -> Option<String> {
        Some(self.decimal(&Decimal::parse(digits)?))
    }

    fn decimal(self, value: &Decimal) -> String {
        match self {
            // They would read the text by the session's language, or have no such type.
            Self::Oracle | Self::Sqlite | Self::Unknown => signed(value.text()),
            _ => {
                let (precision, scale) = (value.precision, value.scale);
                format!("CAST('{}' AS DECIMAL({precision},{scale}))", value.text())
            }
        }
    }

    /// A date as a literal: `2026-11-20`.
    pub fn date(self, text: &str) -> String {
        match self {
            Self::SqlServer => format!("CAST('{text}' AS date)"),
            Self::Sqlite => format!("'{text}'"),
            Self::Unknown => format!("{{d '{text}'}}"),
            _ => format!("DATE '{text}'"),
        }
    }

    /// A date and a time as a literal: `2026-11-20 14:30:00`.
    pub fn timestamp(self, text: &str) -> String {
        match self {
            Self::Hive => format!("CAST('{text}' AS TIMESTAMP)"),
            Self::SqlServer => format!("CAST('{}' AS datetime2)", text.replace(' ', "T")),
            Self::Sqlite => format!("'{text}'"),
            Self::Unknown => format!("{{ts '{text}'}}"),
            _ => format!("TIMESTAMP '{text}'"),
        }
    }

    fn boolean(self, value: bool) -> &'static str {
        match (self, value) {
            (Self::Oracle, true) => "1",
            (Self::Oracle, false) => "0",
            (Self::SqlServer, true) => "CAST(1 AS bit)",
            (Self::SqlServer, false) => "CAST(0 AS bit)",
            (_, true) => "TRUE",
            (_, false) => "FALSE",
        }
    }
}

/// A number, whose sign is its own: `-` before it would begin a comment.
fn signed(number: &str) -> String {
    if number.starts_with('-') { format!("({number})") } else { number.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Hive replaces `${..}` and drops comments and empty lines before it reads quotes: what could be taken for one of
/// them is written in digits, which Hive, Impala and Spark read alike.
fn hive_text(text: &str) -> String {
    let mut literal = String::from("'");
    for c in text.chars() {
        if c.is_ascii_control() || matches!(c, '\\' | '\'' | '"' | '`' | '$' | ';') {
            // Writing to a text does not fail.
            let _ = write!(literal, "\\{:03o}", u32::from(c));
        } else {
            literal.push(c);
        }
    }
    literal.push('\'');
    literal
}
