//! The eight tables: their names, sizes and generators.

use longshore_sdk::array::RecordBatchReader;
use longshore_sdk::schema::{DataType, SchemaRef};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

/// One table of TPC-H.
pub(crate) struct Table {
    name: &'static str,
    size: Size,
    /// Bytes of a row as text, about.
    row_bytes: u64,
    schema: fn() -> SchemaRef,
    generate: fn(f64, i32, i32, usize) -> Box<dyn RecordBatchReader>,
}

enum Size {
    /// The same at every scale.
    Fixed(u64),
    /// Rows at scale factor 1.
    Scaled(f64),
}

macro_rules! table {
    ($name:literal, $size:expr, $row_bytes:literal, $arrow:ident, $generator:ident) => {
        Table {
            name: $name,
            size: $size,
            row_bytes: $row_bytes,
            schema: $arrow::schema_ref,
            generate: |scale, part, parts, batch_rows| {
                let generator = $generator::new(scale, part, parts);
                Box::new($arrow::new(generator).with_batch_size(batch_rows))
            },
        }
    };
}

impl Table {
    pub(crate) const ALL: &'static [Table] = &[
        table!("customer", Size::Scaled(150_000.0), 159, CustomerArrow, CustomerGenerator),
        table!("lineitem", Size::Scaled(6_001_215.0), 126, LineItemArrow, LineItemGenerator),
        table!("nation", Size::Fixed(25), 89, NationArrow, NationGenerator),
        table!("orders", Size::Scaled(1_500_000.0), 114, OrderArrow, OrderGenerator),
        table!("part", Size::Scaled(200_000.0), 121, PartArrow, PartGenerator),
        table!("partsupp", Size::Scaled(800_000.0), 148, PartSuppArrow, PartSuppGenerator),
        table!("region", Size::Fixed(5), 78, RegionArrow, RegionGenerator),
        table!("supplier", Size::Scaled(10_000.0), 141, SupplierArrow, SupplierGenerator),
    ];

    pub(crate) fn find(name: &str) -> Option<&'static Table> {
        Self::ALL.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Rows at a scale: exact but for `lineitem`.
    pub(crate) fn rows(&self, scale: f64) -> u64 {
        match self.size {
            Size::Fixed(rows) => rows,
            Size::Scaled(rows) => (rows * scale) as u64,
        }
    }

    pub(crate) fn row_bytes(&self) -> u64 {
        self.row_bytes
    }

    /// Whether the generator can make a part of the table alone.
    pub(crate) fn is_divisible(&self) -> bool {
        matches!(self.size, Size::Scaled(_))
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        (self.schema)()
    }

    /// The rows of one part, counted from 1.
    pub(crate) fn generate(
        &self,
        scale: f64,
        part: i32,
        parts: i32,
        batch_rows: usize,
    ) -> Box<dyn RecordBatchReader> {
        (self.generate)(scale, part, parts, batch_rows)
    }
}

/// A column's type in SQL's words.
pub(crate) fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Date32 => "date".into(),
        _ => "varchar".into(),
    }
}
