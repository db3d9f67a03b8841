//! A column, as manifests and the ledger keep it.

use arrow::datatypes::{DataType, Field, SchemaRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnRecord {
    /// Its name.
    pub name: String,
    /// Its type in Arrow.
    pub r#type: String,
    /// Whether it can be NULL.
    pub nullable: bool,
}

impl ColumnRecord {
    /// The columns of a schema.
    pub fn of_schema(schema: &SchemaRef) -> Vec<Self> {
        schema.fields().iter().map(|field| Self::of_field(field)).collect()
    }

    pub(super) fn of_field(field: &Field) -> Self {
        Self {
            name: field.name().clone(),
            r#type: field.data_type().to_string(),
            nullable: field.is_nullable(),
        }
    }

    /// Its type. None: it is one that cannot be read back from its name.
    pub(super) fn data_type(&self) -> Option<DataType> {
        self.r#type.parse().ok()
    }
}

/// SHA-256 of columns, in hex: two schemas that have the same are the same.
pub fn schema_digest(columns: &[ColumnRecord]) -> String {
    let mut digest = Sha256::new();
    for ColumnRecord { name, r#type, nullable } in columns {
        for text in [name, r#type] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        digest.update([u8::from(*nullable)]);
    }
    hex::encode(digest.finalize())
}
