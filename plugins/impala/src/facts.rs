//! What the catalog says of a table: the answer to DESCRIBE FORMATTED, which Hive, Impala and Spark write each
//! in its own way.

use std::collections::BTreeMap;

use longshore_sdk::{ErrorClass, Result};

use crate::session::{Session, Table};

/// The input format of plain Parquet; those of Iceberg and Hudi have other names.
const PARQUET: &str = "MapredParquetInputFormat";

/// A table or a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Names and types, in the table's order; in Spark's answer partition columns are among them.
    pub columns: Vec<(String, String)>,
    pub partitioned_by: Vec<String>,
    pub location: Option<String>,
    /// `EXTERNAL_TABLE`, `MANAGED`, `VIRTUAL_VIEW`, ...
    kind: String,
    input_format: String,
    /// Spark's: `hive`, `parquet`, `delta`, ...
    provider: Option<String>,
    pub properties: BTreeMap<String, String>,
}

enum Section {
    Columns,
    Partitions,
    Details,
}

impl Facts {
    /// Looks a table up; nothing if there is none of this name.
    pub fn look_up(session: &mut Session, table: &str) -> Result<Option<Self>> {
        match session.rows(&format!("DESCRIBE FORMATTED {table}")) {
            Ok(described) => Ok(Some(Self::parse(&described))),
            Err(error) if error.class() == ErrorClass::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks one of its partitions up, by a specification such as `day='2026-11-20'`.
    pub fn of_partition(session: &mut Session, table: &str, spec: &str) -> Result<Self> {
        let sql = format!("DESCRIBE FORMATTED {table} PARTITION ({spec})");
        Ok(Self::parse(&session.rows(&sql)?))
    }

    fn parse(described: &Table) -> Self {
        let (mut facts, mut section) = (Self::default(), Section::Columns);
        for row in &described.rows {
            let word = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or("").trim();
            match (word(0), word(1)) {
                // Hive's properties have no name before them.
                ("", property) if !property.is_empty() => {
                    facts.properties.insert(property.to_owned(), word(2).to_owned());
                }
                // The heading of columns, whosever they are.
                ("# col_name", _) => {}
                ("# Partition Information", _) => section = Section::Partitions,
                (heading, _) if heading.starts_with('#') => section = Section::Details,
                ("", "") => {}
                (name, second) => match section {
                    Section::Columns => facts.columns.push((name.to_owned(), second.to_owned())),
                    Section::Partitions => facts.partitioned_by.push(name.to_owned()),
                    Section::Details => facts.detail(name, second),
                },
            }
        }
        facts
    }

    /// The first word on something counts: a partition's details stand before its table's.
    fn detail(&mut self, name: &str, value: &str) {
        let set = |text: &mut String| {
            if text.is_empty() {
                value.clone_into(text);
            }
        };
        match name.trim_end_matches(':') {
            "Location" => self.location = self.location.take().or(Some(value.to_owned())),
            "Type" | "Table Type" => set(&mut self.kind),
            "InputFormat" => set(&mut self.input_format),
            "Provider" => self.provider = Some(value.to_owned()),
            "Table Properties" => {
                let pairs = value.trim_matches(['[', ']']).split(", ");
                let pairs = pairs.filter_map(|pair| pair.split_once('='));
                self.properties.extend(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
            }
            _ => {}
        }
    }

    #[cfg(test)]
    pub fn external(location: &str, columns: Vec<(String, String)>) -> Self {
        let (location, kind) = (Some(location.to_owned()), "EXTERNAL_TABLE".to_owned());
        Self { columns, location, kind, ..Self::default() }
    }

    /// The columns that its files hold.
    pub fn own_columns(&self) -> Vec<(String, String)> {
        let is_own = |(name, _): &&(String, String)| {
            !self.partitioned_by.iter().any(|other| other.eq_ignore_ascii_case(name))
        };
        self.columns.iter().filter(is_own).cloned().collect()
    }

    pub fn is_view(&self) -> bool {
        self.kind.contains("VIEW")
    }

    pub fn is_external(&self) -> bool {
        self.kind.starts_with("EXTERNAL")
    }

    /// Why its files are not plain Parquet that means what it says, if so.
    pub fn unfit(&self) -> Option<&'static str> {
        if self.is_view() {
            return Some("it is a view");
        }
        if !self.input_format.ends_with(PARQUET) {
            return Some("its files are not plain Parquet");
        }
        match (self.provider.as_deref(), self.property("transactional")) {
            (Some(provider), _) if !matches!(provider, "hive" | "parquet") => {
                Some("its files are another library's")
            }
            (_, Some(yes)) if yes.eq_ignore_ascii_case("true") => Some("it is transactional"),
            _ => None,
        }
    }

    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: &[[&str; 3]]) -> Facts {
        let row = |row: &[&str; 3]| row.iter().map(|word| Some((*word).to_owned())).collect();
        Facts::parse(&Table::of_rows(rows.iter().map(row).collect()))
    }

    #[test]
    fn sparks_answer_is_understood() {
        let facts = facts(&[
            ["n", "int", ""],
            ["day", "date", ""],
            ["# Partition Information", "", ""],
            ["# col_name", "data_type", "comment"],
            ["day", "date", ""],
            ["", "", ""],
            ["# Detailed Table Information", "", ""],
            ["Type", "EXTERNAL", ""],
            ["Provider", "hive", ""],
            ["Table Properties", "[longshore.run=r1, transient_lastDdlTime=1]", ""],
            ["Location", "file:/lake/orders", ""],
            ["InputFormat", "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat", ""],
            ["# Storage Information", "", ""],
            ["Location", "file:/elsewhere", ""],
        ]);
        assert_eq!(facts.columns.len(), 2);
        assert_eq!(facts.partitioned_by, ["day"]);
        assert_eq!(facts.location.as_deref(), Some("file:/lake/orders"));
        assert!(facts.is_external() && !facts.is_view() && facts.unfit().is_none());
        assert_eq!(facts.property("longshore.run"), Some("r1"));
    }

    #[test]
    fn hives_and_impalas_answer_is_understood() {
        let facts = facts(&[
            ["# col_name            ", "data_type           ", "comment             "],
            ["", "", ""],
            ["n", "int", ""],
            ["", "", ""],
            ["# Detailed Table Information", "", ""],
            ["Location:           ", "hdfs://nn:8020/lake/orders", ""],
            ["Table Type:         ", "MANAGED_TABLE       ", ""],
            ["Table Parameters:", "", ""],
            ["", "transactional       ", "true                "],
            ["# Storage Information", "", ""],
            [
                "InputFormat:        ",
                "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                "",
            ],
        ]);
        assert_eq!(facts.columns, [("n".to_owned(), "int".to_owned())]);
        assert!(!facts.is_external());
        assert_eq!(facts.unfit(), Some("it is transactional"));
    }
}
