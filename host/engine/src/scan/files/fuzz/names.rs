//! Names of files and folders: whatever they hold, they are found under their names, and only they.

use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::util::display::array_value_to_string;
use longshore_model::config::files::{FileFormat, Files};
use longshore_model::config::place::Place;
use longshore_model::config::store_url::{StoreUrl, encoded_path};
use longshore_model::part::NULL_FOLDER;
use proptest::prelude::*;
use proptest::sample::select;

use super::{WHOLE, files, read_in, rows_of, source};
use crate::scan::files::listing::tables;
use crate::store::{key, open};

/// What means something somewhere.
const PIECES: [&str; 44] = [
    "%", "%41", "%25", "%2F", "%zz", "%e9", "#", "#1", "?", "*", "**", "[a]", "[", "]", "!", ".",
    "..", "~", " ", "'", "\"", "\\", "`", "$x", "{a}", "=", "a=b", ":", "@", "&", "+", "-", "_",
    ";", ",", "|", "<>", "é", "e\u{301}", "☃", "\u{202e}", "\u{a0}", "\u{feff}", "a",
]; // fmt: skip

/// A name as a file system has it.
fn name() -> impl Strategy<Value = String> {
    let odd = prop::collection::vec(select(PIECES.to_vec()), 1..6).prop_map(|p| p.concat());
    prop_oneof![odd, "[^/\\pC]{1,20}"]
        .prop_filter("means a folder", |name| name != "." && name != "..")
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_']) && !name.contains('=')
}

/// What is found when a path beneath the folder is named: the text in the first row of each file.
fn found(files: &Files, folder: &Path, path: &str) -> longshore_model::error::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = open(&Place::Local(folder.to_owned()), None)?;
        let batch = rows_of(&source(files, store), path, u64::MAX).await?.batch();
        let texts = batch.column(0).as_string::<i32>().iter();
        Ok(texts.map(|text| text.unwrap_or_default().to_owned()).collect())
    })
}

fn csv() -> Files {
    Files { partitions: false, ..files(FileFormat::Csv) }
}

proptest! {
    #[test]
    fn a_file_is_found_by_its_name_and_no_other(folder in name(), file in name(), other in name()) {
        prop_assume!(file != other);
        let root = tempfile::tempdir().unwrap();
        let within = root.path().join(&folder);
        fs::create_dir(&within).unwrap();
        fs::write(within.join(&file), "t\nwanted\n").unwrap();
        fs::write(within.join(&other), "t\nother\n").unwrap();
        let path = format!("{folder}/{file}");
        let one = found(&csv(), root.path(), &path);
        prop_assert_eq!(one.map_err(|error| TestCaseError::fail(error.to_string()))?, ["wanted"]);
        let mut all: Vec<&str> = Vec::new();
        all.extend((!is_hidden(&file)).then_some("wanted"));
        all.extend((!is_hidden(&other)).then_some("other"));
        all.sort_unstable();
        let mut seen = found(&csv(), root.path(), &folder).unwrap_or_default();
        seen.sort_unstable();
        prop_assert_eq!(seen, all);
    }

    #[test]
    fn what_is_listed_and_shown_is_the_name(name in name()) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(&name)).unwrap();
        fs::write(root.path().join(&name).join("a.csv"), "t\n1\n").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = open(&Place::Local(root.path().to_owned()), None).unwrap();
        let listed = runtime.block_on(tables(&store)).unwrap();
        let is_listed = !name.starts_with(['.', '_']) || name.contains('=');
        prop_assert_eq!(listed, if is_listed { vec![name.clone()] } else { vec![] });
        let url = store.url(&key(&format!("{}/{name}", store.root)).unwrap());
        let path = StoreUrl::parse("source.url", &url).map(|url| url.inner_path());
        let path = path.map_err(|error| TestCaseError::fail(format!("{url:?}: {error}")))?;
        let whole = format!("{}/{name}", root.path().display());
        prop_assert_eq!(path, whole.trim_start_matches('/'), "{}", url);
        prop_assert_eq!(encoded_path(&whole), url.trim_start_matches("file://"));
    }

    #[test]
    fn a_folder_says_its_columns_value(column in name(), value in name()) {
        let escaped = |text: &str| {
            let byte = |byte: u8| if byte.is_ascii_alphanumeric() || byte > 0x7f { vec![byte] } else { format!("%{byte:02X}").into_bytes() };
            String::from_utf8(text.bytes().flat_map(byte).collect()).unwrap()
        };
        prop_assume!(column != "t" && column != "x");
        let file = format!("{}={}/x={NULL_FOLDER}/a=b.csv", escaped(&column), escaped(&value));
        let batch = read_in(&files(FileFormat::Csv), "", &file, b"t\n1\n", WHOLE).unwrap().batch();
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        prop_assert_eq!(names, ["t", &column, "x"]);
        prop_assert_eq!(array_value_to_string(batch.column(1), 0).unwrap(), value);
        prop_assert!(batch.column(2).is_null(0));
    }
}
