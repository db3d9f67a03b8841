//! Columns and places, as they stand in statements that make tables.

use longshore_sdk::schema::{DataType, Field, TimeUnit};
use longshore_sdk::{Error, Result};

use crate::address::Product;
use crate::session::quote;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    pub name: String,
    /// Its type.
    pub sql: String,
}

impl TableColumn {
    pub fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether the catalog's column is this one.
    pub fn is(&self, (name, sql): &(String, String)) -> bool {
        let plain = |sql: &str| sql.replace([' ', '`'], "").to_lowercase();
        self.is_called(name) && plain(&self.sql) == plain(sql)
    }
}

/// What the catalog has, to be written once more.
pub fn as_it_is(columns: &[(String, String)]) -> Vec<TableColumn> {
    let column =
        |(name, sql): &(String, String)| TableColumn { name: name.clone(), sql: sql.clone() };
    columns.iter().map(column).collect()
}

pub fn list(columns: &[TableColumn]) -> String {
    let column = |column: &TableColumn| format!("{} {}", quote(&column.name), column.sql);
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The column that holds a field's values.
pub fn column(product: Product, field: &Field) -> Result<TableColumn> {
    match sql_type(product, field.data_type()) {
        Ok(sql) => Ok(TableColumn { name: field.name().clone(), sql }),
        Err(what) => Err(Error::data(format!("column `{}`: {what}", field.name()))
            .with_hint("give it another type with the job's `transform`: - sql: SELECT CAST(..)")),
    }
}

/// The catalog's name of a type; else why it has none.
fn sql_type(product: Product, data_type: &DataType) -> Result<String, String> {
    let plain = |name: &str| Ok(name.to_owned());
    match data_type {
        DataType::Boolean => plain("boolean"),
        DataType::Int8 => plain("tinyint"),
        DataType::Int16 | DataType::UInt8 => plain("smallint"),
        DataType::Int32 | DataType::UInt16 => plain("int"),
        DataType::Int64 => plain("bigint"),
        DataType::Float32 => plain("float"),
        DataType::Float64 => plain("double"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => plain("string"),
        // Impala's texts are bytes; its own type for them is younger than most of its servers.
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => plain(match product {
            Product::Impala => "string",
            Product::Hive => "binary",
        }),
        DataType::Date32 => plain("date"),
        DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond, _) => plain("timestamp"),
        DataType::Timestamp(TimeUnit::Nanosecond, _) if product == Product::Impala => {
            plain("timestamp")
        }
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
            if *scale >= 0 =>
        {
            Ok(format!("decimal({digits},{scale})"))
        }
        DataType::Dictionary(_, values) => sql_type(product, values),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Ok(format!("array<{}>", sql_type(product, item.data_type())?))
        }
        DataType::Struct(fields) => {
            let field = |field: &std::sync::Arc<Field>| {
                let sql = sql_type(product, field.data_type())?;
                Ok(format!("{}:{sql}", inner_name(field.name())?))
            };
            let fields = fields.iter().map(field).collect::<Result<Vec<_>, String>>()?;
            Ok(format!("struct<{}>", fields.join(",")))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                let of = |at: usize| sql_type(product, pair[at].data_type());
                Ok(format!("map<{},{}>", of(0)?, of(1)?))
            }
            other => Err(format!("the catalog has no type for a map of {other}")),
        },
        other => Err(format!("the catalog has no type for {other}")),
    }
}

/// Within a type, names cannot be quoted.
fn inner_name(name: &str) -> Result<&str, String> {
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_plain.then_some(name).ok_or_else(|| format!("a field of it is called `{name}`"))
}

/// Whether two URLs mean one folder: `file:/a/` and `file:///a` do, `s3://` and `s3a://`, too.
pub fn is_same_place(a: &str, b: &str) -> bool {
    let parts = |url: &str| {
        let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "s3" | "s3n" => "s3a".to_owned(),
            other => other.to_owned(),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        (scheme, authority.to_lowercase(), path.trim_end_matches('/').to_owned())
    };
    let ((scheme_a, authority_a, path_a), (scheme_b, authority_b, path_b)) = (parts(a), parts(b));
    // A URL without a server means the cluster's own.
    let is_one_server =
        authority_a == authority_b || authority_a.is_empty() || authority_b.is_empty();
    scheme_a == scheme_b && is_one_server && path_a == path_b
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn types_are_named_as_the_catalog_names_them() {
        let named = |product, data_type| {
            column(product, &Field::new("c", data_type, true)).map(|column| column.sql)
        };
        let hive = |data_type| named(Product::Hive, data_type).unwrap();
        let item = |data_type| Arc::new(Field::new("x", data_type, true));
        assert_eq!(hive(DataType::Decimal128(12, 2)), "decimal(12,2)");
        assert_eq!(
            hive(DataType::Struct(vec![item(DataType::List(item(DataType::Date32)))].into())),
            "struct<x:array<date>>"
        );
        assert_eq!(named(Product::Impala, DataType::Binary).unwrap(), "string");
        for unfit in [
            DataType::UInt64,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
        ] {
            let error = named(Product::Hive, unfit).unwrap_err();
            assert!(error.to_string().starts_with("column `c`: the catalog has no type for"));
        }
    }

    #[test]
    fn one_folder_has_many_urls() {
        for (a, b) in [
            ("file:/a/b/", "file:///a/b"),
            ("s3://bucket/x", "s3a://bucket/x/"),
            ("hdfs://NN:8020/x", "hdfs://nn:8020/x"),
            ("hdfs:///x", "hdfs://nn:8020/x"),
        ] {
            assert!(is_same_place(a, b), "{a} {b}");
        }
        assert!(!is_same_place("hdfs://a/x", "hdfs://b/x"));
        assert!(!is_same_place("file:/a", "file:/a/b"));
    }

    #[test]
    fn the_catalogs_spelling_of_a_column_is_no_other_column() {
        let ours = TableColumn { name: "Total".into(), sql: "decimal(12,2)".into() };
        assert!(ours.is(&("total".into(), "DECIMAL(12, 2)".into())));
        assert!(!ours.is(&("total".into(), "decimal(12,3)".into())));
    }
}
