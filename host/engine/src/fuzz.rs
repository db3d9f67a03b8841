//! Odd job files and odd URLs. A job is taken, or refused in the words of whoever wrote it; a URL is decoded once.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use longshore_model::config::Arguments;
use longshore_model::config::job::{Job, Step};
use longshore_model::config::place::{Place, parse_place};
use longshore_model::config::policy::Policy;
use longshore_model::config::store_url::{StoreUrl, encoded_path};
use longshore_model::error::Error;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::transform::check_query;

/// Nothing that people write takes longer to be read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Words of libraries and of this program's inside, which nobody writes into a job.
const LIBRARY_WORDS: [&str; 10] = [
    "struct",
    "u64",
    "i64",
    "f64",
    "expected struct",
    "Raw",
    "Option<",
    "enum",
    "variant",
    "serde",
];

/// Jobs that are valid, and name all kinds of keys.
fn jobs() -> Vec<Value> {
    vec![
        json!({
            "source": { "url": "postgres://reader@db.internal:5432/shop", "password": { "env": "PW" } },
            "tables": ["public.orders", "\"My.Items\""],
            "relations": [
                { "table": "a", "as": "b", "chunk_by": "id" },
                { "query": "SELECT 1 AS x", "as": "one" },
            ],
            "transform": [
                { "sql": "SELECT * FROM data WHERE id > 0" },
                { "plugin": "mask@1.2", "columns": ["a"] },
            ],
            "target": {
                "url": "s3://lake/shop", "mode": "append", "format": "parquet", "compression": "zstd:3",
                "s3": { "region": "eu-central-1", "endpoint": "https://storage.internal:9000" },
            },
            "chunk": { "rows": 10_000 },
            "parallel": { "relations": 2, "chunks": 4 },
            "consistency": "snapshot",
            "record": "on-failure",
        }),
        json!({
            "name": "shop",
            "source": {
                "url": "file:///data/shop/*.csv", "format": "csv", "compression": "gzip", "sample_rows": 100,
                "csv": { "delimiter": ";", "quote": "'", "header": true, "null": ["", "NA"], "newlines": false },
                "columns": { "zip": "string", "n": { "type": "bigint", "lenient": true } },
                "bad_rows": "skip", "partitions": false,
            },
            "sql": "SELECT count(*) AS n FROM shop",
            "target": {
                "url": "sftp://me@host:2222/lake", "mode": "version", "format": "csv",
                "partition_by": ["day"], "csv": { "delimiter": ",", "null": "NA" },
                "sftp": { "password": { "file": "pw" } },
            },
            "chunk": { "bytes": 1_000_000 },
        }),
        json!({
            "source": { "url": "tpch:", "scale": 0.1, "kerberos": { "principal": "a@B", "keytab": "k" } },
            "query": "SELECT 1 AS x",
            "chunk_by": "x",
            "target": { "url": "http://host/rows", "plugin": "http-sink" },
            "register": { "url": "impala://host/db", "location": "hdfs://nn/lake" },
        }),
    ]
}

/// Values that a mutation puts in the place of another.
fn odd_values() -> Vec<Value> {
    let mut deep = json!(1);
    for depth in 0..80 {
        deep = if depth % 2 == 0 { json!([deep]) } else { json!({ "a": deep }) };
    }
    let mut values = vec![deep, json!("x".repeat(10_000)), json!(1e308), json!(u64::MAX)];
    values.extend([json!(null), json!(true), json!(0), json!(-1), json!(1.5), json!(i64::MIN)]);
    values.extend([json!([]), json!({}), json!([[]]), json!([null]), json!({ "": null })]);
    let texts = [
        "",
        " ",
        "\u{0}",
        "\u{1b}[2J",
        "a\nb",
        "\t",
        "\u{feff}",
        "☃",
        "~",
        "no",
        "1",
        "1e400",
        "0x10",
        "../..",
        "/",
        "`",
        "a`b`c",
        "%",
        "%41",
        "${HOME}",
        "{{x}}",
        "file:///%00",
        "s3://",
        "x:",
        "2026-02-30",
        "SELECT",
        "(((",
    ]; // fmt: skip
    values.extend(texts.map(|text| json!(text)));
    values
}

/// Text that falls into a file.
const PIECES: [&str; 36] = [
    "\t",
    " ",
    "\n",
    "\r",
    "\u{0}",
    "\u{1}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\u{7f}",
    "&a ",
    "*a ",
    "*b",
    "<<: *a",
    "!!binary ",
    "!x ",
    "---\n",
    "...\n",
    "%YAML 9.9\n",
    "? ",
    ": ",
    "- ",
    "| ",
    "> ",
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    ",",
    "#",
    "@",
    "`",
    "= ",
    "1e999",
]; // fmt: skip

/// All places in a tree, as paths of steps.
fn places(tree: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    found.push(path.clone());
    let inner: Vec<(String, &Value)> = match tree {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
        _ => Vec::new(),
    };
    for (step, value) in inner {
        path.push(step);
        places(value, path, found);
        path.pop();
    }
}

/// What happens to one place of a tree.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    Rename(String),
    /// Takes what stands elsewhere in its place.
    Copy(Index),
    /// Stands in a list.
    Wrap,
}

fn change() -> impl Strategy<Value = (Index, Change)> {
    let words =
        ["", "x", "Url", "tabels", "a.b", "a b", "\u{1}", "null", "[0]", "`", "☃", "source"];
    let change = prop_oneof![
        4 => select(odd_values()).prop_map(Change::Replace),
        2 => Just(Change::Remove),
        2 => select(words.to_vec()).prop_map(|word| Change::Rename(word.to_owned())),
        2 => any::<Index>().prop_map(Change::Copy),
        1 => Just(Change::Wrap),
    ];
    (any::<Index>(), change)
}

fn at<'a>(tree: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(tree, |value, step| match value {
        Value::Array(items) => &items[step.parse::<usize>().unwrap()],
        other => &other[step],
    })
}

fn changed(mut tree: Value, index: Index, change: Change) -> Value {
    let mut found = Vec::new();
    places(&tree, &mut Vec::new(), &mut found);
    let path = found[index.index(found.len())].clone();
    let own = at(&tree, &path).clone();
    let new = match &change {
        Change::Replace(value) => value.clone(),
        Change::Copy(from) => at(&tree, &found[from.index(found.len())]).clone(),
        Change::Wrap => json!([own]),
        Change::Remove | Change::Rename(_) => own.clone(),
    };
    let Some((last, parents)) = path.split_last() else { return new };
    let pointer: String = parents.iter().map(|s| format!("/{}", s.replace('/', "~1"))).collect();
    match tree.pointer_mut(&pointer) {
        Some(Value::Object(map)) => match change {
            Change::Remove => drop(map.remove(last)),
            Change::Rename(word) => {
                map.remove(last);
                map.insert(word, new);
            }
            _ => drop(map.insert(last.clone(), new)),
        },
        Some(Value::Array(items)) => {
            let place: usize = last.parse().unwrap();
            items[place] = new;
            if matches!(change, Change::Remove) {
                items.remove(place);
            }
        }
        _ => {}
    }
    tree
}

/// YAML in lines, as people write it.
fn yaml(tree: &Value, indent: usize, text: &mut String) {
    let blanks = " ".repeat(indent);
    match tree {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let is_plain =
                    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                let key = if is_plain { key.clone() } else { json!(key).to_string() };
                let _ = write!(text, "\n{blanks}{key}:");
                yaml(value, indent + 2, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let _ = write!(text, "\n{blanks}-");
                yaml(item, indent + 2, text);
            }
        }
        leaf => {
            let _ = write!(text, " {leaf}");
        }
    }
}

/// TOML has no nulls.
fn without_nulls(tree: Value) -> Value {
    match tree {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                kept.map(|(key, value)| (key, without_nulls(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => {
            items.into_iter().filter(|item| !item.is_null()).map(without_nulls).collect()
        }
        other => other,
    }
}

fn written(tree: Value, ending: &str) -> String {
    match ending {
        "json" => serde_json::to_string_pretty(&tree).unwrap(),
        "toml" => toml::to_string(&without_nulls(tree)).unwrap_or_default(),
        _ => {
            let mut text = String::new();
            yaml(&tree, 0, &mut text);
            text.trim_start().to_owned() + "\n"
        }
    }
}

/// A job file, whose tree was changed, and its text.
fn job_file() -> impl Strategy<Value = (&'static str, String)> {
    let ending = select(vec!["yaml", "json", "toml"]);
    let changes = prop::collection::vec(change(), 0..4);
    (ending, select(jobs()), changes).prop_map(|(ending, job, changes)| {
        let tree = changes.into_iter().fold(job, |tree, (at, change)| changed(tree, at, change));
        (ending, written(tree, ending))
    })
}

/// What happens to a text.
#[derive(Clone, Debug)]
enum Fall {
    Insert(Index, String),
    Remove(Index, usize),
    Cut(Index),
    /// A line stands there twice.
    Twice(Index),
}

fn fall() -> impl Strategy<Value = Fall> {
    let many = (select(PIECES.to_vec()), prop_oneof![5 => 1..3_usize, 1 => 1_000..20_000_usize]);
    prop_oneof![
        4 => (any::<Index>(), many).prop_map(|(at, (piece, times))| Fall::Insert(at, piece.repeat(times))),
        2 => (any::<Index>(), 1..20_usize).prop_map(|(at, length)| Fall::Remove(at, length)),
        1 => any::<Index>().prop_map(Fall::Cut),
        1 => any::<Index>().prop_map(Fall::Twice),
    ]
}

fn fallen(text: &str, fall: Fall) -> String {
    let chars: Vec<char> = text.chars().collect();
    let split = |at: &Index| chars.split_at(at.index(chars.len() + 1));
    let joined = |parts: [&[char]; 2], between: &str| -> String {
        let [a, b] = parts;
        a.iter().copied().chain(between.chars()).chain(b.iter().copied()).collect()
    };
    match fall {
        Fall::Insert(at, piece) => joined(split(&at).into(), &piece),
        Fall::Remove(at, length) => {
            let (a, b) = split(&at);
            joined([a, &b[length.min(b.len())..]], "")
        }
        Fall::Cut(at) => split(&at).0.iter().collect(),
        Fall::Twice(at) => {
            let mut lines: Vec<&str> = text.lines().collect();
            if !lines.is_empty() {
                let place = at.index(lines.len());
                lines.insert(place, lines[place]);
            }
            lines.join("\n")
        }
    }
}

/// What `validate` says of a job file without plugins.
fn validated(folder: &std::path::Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    let job = Job::read(&path, &Arguments::none(), &Policy::default())?;
    for step in &job.steps {
        // Its refusal quotes the query.
        if let Step::Sql(sql) = step {
            let _ = check_query(sql, &["data"]);
        }
    }
    Ok(())
}

/// The messages and hints of an error and of those told with it.
fn told(error: &Error) -> Vec<String> {
    let one = |error: &Error| format!("{error}; next: {}", error.hint().unwrap_or("-"));
    std::iter::once(error).chain(error.also()).map(one).collect()
}

/// Whether a text holds a word that stands alone, or the beginning of one with a capital.
fn holds_word(text: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let begins = !text[..at].ends_with(is_letter);
        let ends = word == "Raw" || !text[at + word.len()..].starts_with(is_letter);
        begins && ends
    })
}

fn check(ending: &str, text: &str) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("fuzzed.{ending}");
    let begun = Instant::now();
    let answer = validated(folder.path(), &name, text);
    prop_assert!(begun.elapsed() < PATIENCE, "took {:?}", begun.elapsed());
    let Err(error) = answer else { return Ok(()) };
    for told in told(&error) {
        prop_assert!(told.contains(&name), "no file: {}", told);
        let words = LIBRARY_WORDS.iter().filter(|word| !text.contains(**word));
        let found: Vec<_> = words.filter(|word| holds_word(&told, word)).collect();
        prop_assert!(found.is_empty(), "{:?} in: {}", found, told);
        let is_syntax = told.contains("not valid ");
        prop_assert!(!is_syntax || told.contains("line "), "no line: {}", told);
    }
    Ok(())
}

/// A name in a path.
fn name() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "%",
        "%41",
        "%2541",
        "#",
        "?",
        "*",
        "[a]",
        "~",
        "@",
        ":",
        " ",
        "..",
        "\\",
        "'",
        "\"",
        "&",
        "=",
        "+",
        "é",
        "☃",
        "\u{1f600}",
        "\u{a0}",
        "\u{feff}",
        "a",
        "-",
        ";",
        "{",
        "$",
    ]); // fmt: skip
    let odd = prop::collection::vec(pieces, 1..5).prop_map(|pieces| pieces.concat());
    prop_oneof![odd, "[^/\\pC]{1,12}"]
        .prop_filter("means a folder", |name| name != "." && name != "..")
}

/// The name with some of its bytes encoded: those that are asked for, and those that must be.
fn some_encoded(name: &str, which: u64) -> String {
    let mut text = String::new();
    for (place, c) in name.chars().enumerate() {
        let must = "%#?*[~".contains(c) || c.is_whitespace() || c.is_control();
        if must || which >> (place % 64) & 1 == 1 {
            text.extend(c.to_string().bytes().map(|byte| format!("%{byte:02x}")))
        } else {
            text.push(c)
        }
    }
    text
}

fn folder(place: &Place) -> String {
    match place {
        Place::Local(path) => path.to_str().unwrap().to_owned(),
        Place::S3(place) => format!("/{}", place.prefix),
        Place::Azure(place) => format!("/{}", place.prefix),
        Place::Hdfs(place) => place.folder.clone(),
        Place::Sftp(place) => place.folder.clone(),
    }
}

/// Whether a store refuses a name, or makes another one of it.
fn is_mistaken(root: &str, name: &str) -> bool {
    match root.split(':').next() {
        Some("az" | "azure" | "abfss") => name.contains('\\') || name.ends_with('.'),
        Some("hdfs") => name.contains(':'),
        _ => false,
    }
}

const ROOTS: [&str; 8] = [
    "file://",
    "file:",
    "s3://bucket",
    "az://container",
    "azure://container",
    "abfss://c@acc.dfs.core.windows.net",
    "sftp://me@host:22",
    "hdfs://nn:8020",
]; // fmt: skip

proptest! {
    #[test]
    fn a_job_of_odd_values_is_taken_or_refused_in_its_writers_words(job in job_file()) {
        check(job.0, &job.1)?;
    }

    #[test]
    fn a_job_file_of_odd_text_is_taken_or_refused_in_its_writers_words(
        job in job_file(), falls in prop::collection::vec(fall(), 1..4),
    ) {
        let text = falls.into_iter().fold(job.1, |text, fall| fallen(&text, fall));
        check(job.0, &text)?;
    }

    #[test]
    fn a_url_is_decoded_once(
        root in select(ROOTS.to_vec()), names in prop::collection::vec((name(), any::<u64>()), 1..4),
    ) {
        let encoded: Vec<String> = names.iter().map(|(name, which)| some_encoded(name, *which)).collect();
        let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let path = format!("/{}", names.join("/"));
        for url in [format!("{root}/{}", encoded.join("/")), format!("{root}{}", encoded_path(&path))] {
            if names.iter().any(|name| is_mistaken(root, name)) {
                prop_assert!(parse_place(&url).is_err(), "{}", url);
                continue;
            }
            // A blank at its end is refused where it is not encoded.
            if url.trim() == url {
                let place = parse_place(&url).map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
                prop_assert_eq!(folder(&place), path.clone(), "{}", url);
                let read = StoreUrl::parse("url", &url).unwrap();
                let again = StoreUrl::parse("url", &read.shown());
                let again = again.map_err(|error| TestCaseError::fail(format!("{read:?}: {error}")))?;
                prop_assert_eq!(again, read);
            }
        }
    }

    #[test]
    fn any_url_is_taken_or_refused(text in "(file|s3|az|sftp|hdfs|[a-z]{1,3}):(//)?[ -~é%\\[\\]@:/?#\t]{0,30}") {
        if let Ok(url) = StoreUrl::parse("url", &text) {
            let shown = url.shown();
            let again = StoreUrl::parse("url", &shown);
            let same = again.map_err(|error| TestCaseError::fail(format!("{shown}: {error}")))?;
            prop_assert_eq!(same, StoreUrl { password: None, ..url }, "{}", shown);
        }
    }
}
