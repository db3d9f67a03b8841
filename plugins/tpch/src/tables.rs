//! The eight tables: their names, sizes and generators.

use longshore_sdk::array::RecordBatchReader;
use longshore_sdk::schema::{DataType, SchemaRef};
use tpchgen::distribution::Distributions;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use crate::comments::CommentRule;
use crate::part::Part;

/// One table of TPC-H.
pub(crate) struct Table {
    name: &'static str,
    size: Size,
    /// Bytes of a row as text, about.
    row_bytes: u64,
    comments: CommentRule,
    schema: fn() -> SchemaRef,
    generate: fn(&Part, usize) -> Box<dyn RecordBatchReader>,
}

enum Size {
    /// The same at every scale.
    Fixed(u64),
    /// Rows at scale factor 1.
    Scaled(f64),
}

macro_rules! table {
    ($name:literal, $size:expr, $row_bytes:literal, $comments:expr, $arrow:ident, $generator:expr) => {
        Table {
            name: $name,
            size: $size,
            row_bytes: $row_bytes,
            comments: $comments,
            schema: $arrow::schema_ref,
            generate: |part, batch_rows| {
                let generator = $generator(part, Distributions::static_default());
                Box::new($arrow::new(generator).with_batch_size(batch_rows))
            },
        }
    };
}

/// The generator of a table that grows with the scale.
macro_rules! scaled {
    ($generator:ident) => {
        |part: &Part, words| {
            let Part { scale, number, of, text, .. } = *part;
            $generator::new_with_distributions_and_text_pool(scale, number, of, words, text)
        }
    };
}

/// The generator of a table that is the same at every scale.
macro_rules! fixed {
    ($generator:ident) => {
        |part: &Part, words| $generator::new_with_distributions_and_text_pool(words, part.text)
    };
}

/// It takes no words but its text's.
fn part_supplies(part: &Part, _: &Distributions) -> PartSuppGenerator<'static> {
    PartSuppGenerator::new_with_text_pool(part.scale, part.number, part.of, part.text)
}

/// A table in which each row has one comment.
const fn each_row(seed: i64, average: f64, units: i32) -> CommentRule {
    CommentRule { seed, average, units, reserved: 1, has_verdicts: false }
}

const LINEITEM: CommentRule =
    CommentRule { reserved: 7, ..each_row(1_095_462_486, 27.0, 1_500_000) };
const PARTSUPP: CommentRule =
    CommentRule { reserved: 4, ..each_row(1_961_692_154, 124.0, 200_000) };
const SUPPLIER: CommentRule =
    CommentRule { has_verdicts: true, ..each_row(1_341_315_363, 63.0, 10_000) };

impl Table {
    #[rustfmt::skip]
    pub(crate) const ALL: &'static [Table] = &[
        table!("customer", Size::Scaled(150_000.0), 159, each_row(1_335_826_707, 73.0, 150_000), CustomerArrow, scaled!(CustomerGenerator)),
        table!("lineitem", Size::Scaled(6_001_215.0), 126, LINEITEM, LineItemArrow, scaled!(LineItemGenerator)),
        table!("nation", Size::Fixed(25), 89, each_row(606_179_079, 72.0, 25), NationArrow, fixed!(NationGenerator)),
        table!("orders", Size::Scaled(1_500_000.0), 114, each_row(276_090_261, 49.0, 1_500_000), OrderArrow, scaled!(OrderGenerator)),
        table!("part", Size::Scaled(200_000.0), 121, each_row(804_159_733, 14.0, 200_000), PartArrow, scaled!(PartGenerator)),
        table!("partsupp", Size::Scaled(800_000.0), 148, PARTSUPP, PartSuppArrow, part_supplies),
        table!("region", Size::Fixed(5), 78, each_row(1_500_869_201, 72.0, 5), RegionArrow, fixed!(RegionGenerator)),
        table!("supplier", Size::Scaled(10_000.0), 141, SUPPLIER, SupplierArrow, scaled!(SupplierGenerator)),
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

    /// What its comments follow. They are its last column.
    pub(crate) fn comments(&self) -> &CommentRule {
        &self.comments
    }

    /// The rows of one part, with comments of another text.
    pub(crate) fn generate(&self, part: &Part, batch_rows: usize) -> Box<dyn RecordBatchReader> {
        (self.generate)(part, batch_rows)
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
