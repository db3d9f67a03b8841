//! `--option KEY=VALUE`, and what stands behind the `?` of a source.

use longshore_model::error::{Error, Result};
use serde_json::{Map, Value};

/// Puts options into a section of a job: `csv.header=false` becomes `csv: { header: false }`.
pub(super) fn put_all(
    flag: &str,
    section: &mut Map<String, Value>,
    options: &[String],
) -> Result<()> {
    for option in options {
        let (key, value) = option.split_once('=').ok_or_else(|| {
            Error::config(format!("{flag} `{option}` gives no value"))
                .with_hint(format!("write it as in {flag} csv.delimiter=;"))
        })?;
        put(flag, section, key, parsed(value))?;
    }
    Ok(())
}

fn put(flag: &str, section: &mut Map<String, Value>, key: &str, value: Value) -> Result<()> {
    let twice =
        || Error::config(format!("{flag} gives `{key}` twice")).with_hint("give each key once");
    let mut inner = section;
    let mut names = key.split('.').peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return match inner.insert(name.to_owned(), value) {
                None => Ok(()),
                Some(_) => Err(twice()),
            };
        }
        let next = inner.entry(name).or_insert_with(|| Value::Object(Map::new()));
        inner = next.as_object_mut().ok_or_else(twice)?;
    }
    Ok(())
}

/// A number, `true`, a list or so, if it is one as JSON has it; else a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// What stands behind the `?` of a connector's URL.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UrlQuery {
    /// The URL without what was taken out of it.
    pub(super) url: String,
    pub(super) tables: Vec<String>,
    pub(super) options: Vec<String>,
}

impl UrlQuery {
    /// Takes `table=..` out of a URL. One that names no server, as `tpch:?scale=0.1`, has options there; the rest
    /// is the connector's.
    pub(super) fn of(url: &str) -> Self {
        let Some((place, query)) = url.split_once('?') else {
            return Self { url: url.to_owned(), ..Self::default() };
        };
        let (mut tables, mut options, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.strip_prefix("table=") {
                Some(table) => tables.push(decoded(table)),
                None if place.ends_with(':') => options.push(decoded(pair)),
                None => rest.push(pair),
            }
        }
        let rest = rest.join("&");
        let url = if rest.is_empty() { place.to_owned() } else { format!("{place}?{rest}") };
        Self { url, tables, options }
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_are_keys_of_a_section() {
        let mut section = Map::new();
        let options =
            ["scale=0.1", "csv.delimiter=;", "csv.header=false", "csv.null=[\"\",\"NA\"]"];
        put_all("--option", &mut section, &options.map(str::to_owned)).unwrap();
        let expected = json!({ "scale": 0.1, "csv": { "delimiter": ";", "header": false, "null": ["", "NA"] } });
        assert_eq!(Value::Object(section.clone()), expected);
        for wrong in ["scale", "scale=1", "scale.x=1"] {
            assert!(put_all("--option", &mut section, &[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_are_taken_out_of_a_url() {
        let of = |url| {
            let UrlQuery { url, tables, options } = UrlQuery::of(url);
            (url, tables.join(","), options.join(","))
        };
        let is = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        let both = "postgres://db/shop?sslmode=require&table=a%20b&table=c";
        assert_eq!(of(both), is("postgres://db/shop?sslmode=require", "a b,c", ""));
        assert_eq!(of("postgres://db/shop?table=a"), is("postgres://db/shop", "a", ""));
        assert_eq!(of("tpch:?scale=0.1&table=a"), is("tpch:", "a", "scale=0.1"));
        assert_eq!(of("tpch:"), is("tpch:", "", ""));
    }
}
