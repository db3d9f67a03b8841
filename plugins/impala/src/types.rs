//! A column's type: Hive's, and Arrow's.

use longshore_sdk::schema::{DataType, TimeUnit};
use longshore_sdk::{Comparable, Result};

use crate::Timestamps;
use crate::thrift::{Kind, Reader};

/// The most digits that Arrow's decimal holds, which is also Hive's limit.
const DECIMAL_DIGITS: i32 = 38;

/// A type, as a result declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HiveType {
    /// `TTypeId`.
    id: i32,
    precision: i32,
    scale: i32,
    length: i32,
}

impl Default for HiveType {
    fn default() -> Self {
        Self { id: STRING, precision: 0, scale: 0, length: 0 }
    }
}

const STRING: i32 = 7;

const NAMES: [&str; 23] = [
    "boolean",
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "float",
    "double",
    "string",
    "timestamp",
    "binary",
    "array",
    "map",
    "struct",
    "uniontype",
    "user-defined",
    "decimal",
    "void",
    "date",
    "varchar",
    "char",
    "interval_year_month",
    "interval_day_time",
    "timestamp with local time zone",
];

impl HiveType {
    /// A type's description: a list of entries, of which the first is the column's own.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let mut found = None;
        reader.fields(|reader, id, kind| {
            if (id, kind) != (1, Kind::List) {
                return Ok(false);
            }
            let (_, length) = reader.list()?;
            for _ in 0..length {
                let entry = Self::entry(reader)?;
                found = found.or(entry);
            }
            Ok(true)
        })?;
        Ok(found.unwrap_or_default())
    }

    fn entry(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        let mut found = None;
        reader.fields(|reader, id, kind| {
            if (id, kind) != (1, Kind::Struct) {
                return Ok(false);
            }
            let mut own = Self::default();
            reader.fields(|reader, id, kind| {
                match (id, kind) {
                    (1, Kind::I32) => own.id = reader.i32()?,
                    (2, Kind::Struct) => own.qualify(reader)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            found = Some(own);
            Ok(true)
        })?;
        Ok(found)
    }

    fn qualify(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        reader.fields(|reader, id, kind| {
            if (id, kind) != (1, Kind::Map) {
                return Ok(false);
            }
            let (_, _, length) = reader.map()?;
            for _ in 0..length {
                let name = reader.text()?;
                let mut value = 0;
                reader.fields(|reader, id, kind| {
                    if (id, kind) != (1, Kind::I32) {
                        return Ok(false);
                    }
                    value = reader.i32()?;
                    Ok(true)
                })?;
                match name.as_str() {
                    "precision" => self.precision = value,
                    "scale" => self.scale = value,
                    "characterMaximumLength" => self.length = value,
                    _ => {}
                }
            }
            Ok(true)
        })
    }

    /// Its name, as the server writes it.
    pub fn name(self) -> String {
        let name = usize::try_from(self.id).ok().and_then(|id| NAMES.get(id)).unwrap_or(&"unknown");
        match self.id {
            15 => format!("{name}({},{})", self.precision, self.scale),
            18 | 19 if self.length > 0 => format!("{name}({})", self.length),
            _ => (*name).to_owned(),
        }
    }

    /// Arrow's type. What has none is a text, as the server writes it: nested values are JSON.
    pub fn arrow(self, timestamps: Timestamps) -> DataType {
        match self.id {
            0 => DataType::Boolean,
            1 => DataType::Int8,
            2 => DataType::Int16,
            3 => DataType::Int32,
            4 => DataType::Int64,
            5 => DataType::Float32,
            6 => DataType::Float64,
            8 => match timestamps {
                Timestamps::Microseconds => DataType::Timestamp(TimeUnit::Microsecond, None),
                Timestamps::Nanoseconds => DataType::Timestamp(TimeUnit::Nanosecond, None),
                Timestamps::Text => DataType::Utf8,
            },
            9 => DataType::Binary,
            15 if (1..=DECIMAL_DIGITS).contains(&self.precision)
                && (0..=self.precision).contains(&self.scale) =>
            {
                DataType::Decimal128(self.precision as u8, self.scale as i8)
            }
            17 => DataType::Date32,
            _ => DataType::Utf8,
        }
    }

    /// Which comparisons mean there what they mean here. Texts, times and floats do not, for sure.
    pub fn comparable(self) -> Comparable {
        match self.id {
            0 => Comparable::Equality,
            1..=4 | 15 => Comparable::Order,
            _ => Comparable::No,
        }
    }

    /// Whether values of it are numbers in SQL.
    pub fn is_number(self) -> bool {
        matches!(self.id, 1..=6 | 15)
    }

    pub fn is_whole_number(self) -> bool {
        matches!(self.id, 1..=4)
    }

    pub fn is_date(self) -> bool {
        self.id == 17
    }

    pub fn is_timestamp(self) -> bool {
        self.id == 8
    }

    /// Whether the server fills its values up with spaces.
    pub fn is_padded(self) -> bool {
        self.id == 19
    }

    /// Whether a hash of it tells rows apart as the server compares them.
    pub fn is_hashable(self) -> bool {
        matches!(self.id, 1..=4 | 7 | 17..=19)
    }
}
