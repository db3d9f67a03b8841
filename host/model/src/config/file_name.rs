//! The name of a file that holds all rows of a job, and what its ending says of the format.

use strum::IntoStaticStr;

use super::raw::RawFormat;
use super::store_url::StoreUrl;
use crate::error::{Error, Result};

/// How a file of text is compressed, by its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(super) enum FileCompression {
    None,
    Gzip,
    Zstd,
}

/// A file's name.
#[derive(Clone, Debug)]
pub(super) struct FileName {
    /// The name, with its ending.
    pub(super) name: String,
    /// What the ending says.
    pub(super) format: RawFormat,
    /// Whether values are apart by tabs.
    pub(super) is_tabbed: bool,
    /// How it is compressed; Parquet is so within.
    pub(super) packed: FileCompression,
}

impl FileName {
    /// The file that a target's URL names: its last name has the ending of a format. With a slash behind it, it
    /// is a folder.
    pub(super) fn of_url(text: &str, url: &StoreUrl) -> Result<Option<Self>> {
        let Some(last) = url.path.last().filter(|_| !text.ends_with('/')) else { return Ok(None) };
        Self::of_name(&last.text)
    }

    fn of_name(name: &str) -> Result<Option<Self>> {
        let lower = name.to_ascii_lowercase();
        let mut parts = lower.rsplit('.');
        let last = parts.next().unwrap_or_default();
        let (ending, packing) = match last {
            "gz" | "zst" | "zstd" | "bz2" | "xz" => (parts.next().unwrap_or_default(), last),
            _ => (last, ""),
        };
        // `csv` alone has no ending.
        if parts.next().is_none() {
            return Ok(None);
        }
        let format = match ending {
            "parquet" | "parq" | "pq" => RawFormat::Parquet,
            "csv" | "tsv" => RawFormat::Csv,
            "json" | "jsonl" | "ndjson" => RawFormat::Json,
            "arrow" | "ipc" | "feather" => RawFormat::Arrow,
            _ => return Ok(None),
        };
        let is_text = matches!(format, RawFormat::Csv | RawFormat::Json);
        let packed = match packing {
            "" => FileCompression::None,
            "gz" if is_text => FileCompression::Gzip,
            "zst" | "zstd" if is_text => FileCompression::Zstd,
            _ => {
                return Err(Error::config(format!(
                    "`target.url`: `{name}`: no {ending} file is written as .{packing}"
                ))
                .with_hint("end the name with .parquet, .csv.gz, .csv.zst or .jsonl.gz"));
            }
        };
        Ok(Some(Self { name: name.to_owned(), format, is_tabbed: ending == "tsv", packed }))
    }

    /// The format, if what the job says goes with the name.
    pub(super) fn check_format(&self, given: Option<RawFormat>) -> Result<RawFormat> {
        match given {
            Some(other) if other != self.format => Err(Error::config(format!(
                "`target.format` is {}, and `{}` ends with that of {}",
                other.name(),
                self.name,
                self.format.name()
            ))
            .with_hint(
                "remove `format`, or give the file the ending of its format; a folder ends with `/`",
            )),
            _ => Ok(self.format),
        }
    }

    /// The compression, if what the job says goes with the name.
    pub(super) fn check_compression(&self, given: Option<&str>) -> Result<Option<String>> {
        let by_name: &'static str = self.packed.into();
        if matches!(self.format, RawFormat::Parquet | RawFormat::Arrow) {
            return Ok(given.map(str::to_owned));
        }
        let Some(given) = given else { return Ok(Some(by_name.to_owned())) };
        if given.split(':').next() == Some(by_name) {
            return Ok(Some(given.to_owned()));
        }
        Err(Error::config(format!(
            "`target.compression` is {given}, and by its name `{}` has {by_name}",
            self.name
        ))
        .with_hint(
            "end the name with .gz for gzip, .zst for zstd, or neither; or remove `compression`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Option<FileName> {
        FileName::of_name(name).unwrap()
    }

    #[test]
    fn an_ending_makes_a_file() {
        for (name, format, packed) in [
            ("out.parquet", RawFormat::Parquet, FileCompression::None),
            ("a b.snappy.PARQUET", RawFormat::Parquet, FileCompression::None),
            ("out.csv.gz", RawFormat::Csv, FileCompression::Gzip),
            ("out.tsv", RawFormat::Csv, FileCompression::None),
            ("out.jsonl.zst", RawFormat::Json, FileCompression::Zstd),
            (".json", RawFormat::Json, FileCompression::None),
            ("out.feather", RawFormat::Arrow, FileCompression::None),
        ] {
            let file = read(name).unwrap();
            assert_eq!((file.format, file.packed), (format, packed), "{name}");
        }
        for name in ["shop", "csv", "lake.d", "out.gz", "csv.gz", "out.csv.d", "v1.2"] {
            assert!(read(name).is_none(), "{name}");
        }
        for name in ["out.csv.bz2", "out.parquet.gz"] {
            assert!(FileName::of_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_is_what_its_name_says() {
        let gz = read("out.csv.gz").unwrap();
        assert!(gz.check_format(Some(RawFormat::Json)).is_err());
        assert!(gz.check_compression(Some("zstd")).is_err());
        assert_eq!(gz.check_compression(Some("gzip:9")).unwrap().as_deref(), Some("gzip:9"));
        assert_eq!(gz.check_compression(None).unwrap().as_deref(), Some("gzip"));
        assert!(read("out.csv").unwrap().check_compression(Some("gzip")).is_err());
        assert_eq!(read("out.parquet").unwrap().check_compression(None).unwrap(), None);
    }
}
