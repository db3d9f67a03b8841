//! The job that a `copy` stands for, as the tree of a job file.

use std::ffi::OsStr;
use std::path::Path;

use longshore_model::config::files::name_of;
use longshore_model::config::place::{Side, is_folder};
use longshore_model::config::plain_path::{is_url, to_url};
use longshore_model::config::query_file::read_query;
use longshore_model::config::table_name::last_part;
use longshore_model::error::{Error, Result};
use serde_json::{Map, Value, json};

use super::super::yaml::YamlWriter;
use super::options::{UrlQuery, put_all};
use super::secrets::{SOURCE, TARGET};
use super::{CopyArgs, OptionArgs, RelationArgs};

/// What a job is called that has no better name.
const NAME: &str = "copy";

/// A job, part by part.
pub(super) struct CopyJob {
    name: String,
    parameters: Map<String, Value>,
    source: Map<String, Value>,
    /// Keys of the whole job that say what is moved.
    what: Map<String, Value>,
    sql: Option<String>,
    target: Map<String, Value>,
    chunk_rows: Option<u64>,
}

impl CopyJob {
    pub(super) fn of_args(args: &CopyArgs) -> Result<Self> {
        let CopyArgs { what, how, login, .. } = args;
        let (source, target) = (address("SOURCE", &args.source)?, address("TARGET", &args.target)?);
        let mut query = UrlQuery { url: source.clone(), ..UrlQuery::default() };
        if is_url(&source) && !is_of_files(&source) {
            query = UrlQuery::of(&source);
        }
        let tables = [what.tables.clone(), query.tables].concat();
        let query_text = query_text(what)?;
        refuse_both(&tables, query_text.as_deref())?;
        if is_of_files(&query.url) || !is_url(&query.url) {
            refuse_nameless(&tables)?;
        }
        SOURCE.check_url(&query.url)?;
        TARGET.check_url(&target)?;
        let name = name(what, &tables, &query.url, &target, query_text.is_some());
        let mut source = Map::new();
        source.insert("url".into(), json!(whole("SOURCE", &query.url, Side::Source)?));
        put_all("SOURCE", &mut source, &query.options)?;
        put_all("--option", &mut source, &how.options)?;
        login.put_source(&mut source)?;
        let target_url = whole("TARGET", &target, Side::Target)?;
        let mut target = section(how, &target_url);
        put_all("--target-option", &mut target, &how.target_options)?;
        login.put_target(&target_url, &mut target)?;
        Ok(Self {
            name,
            parameters: parameters(&args.params)?,
            source,
            what: relations(what, tables, query_text)?,
            sql: what.sql.clone(),
            target,
            chunk_rows: how.chunk_rows,
        })
    }

    /// The text of the job file.
    pub(super) fn to_yaml(&self) -> String {
        let mut yaml = YamlWriter::default();
        yaml.comment("Written by `longshore copy`. `longshore run` does the same again.");
        yaml.key("name", &json!(self.name));
        if !self.parameters.is_empty() {
            yaml.comment("`--param NAME=VALUE` gives another value.");
            yaml.key("parameters", &json!(self.parameters));
        }
        yaml.key("source", &json!(self.source));
        for (key, value) in &self.what {
            yaml.key(key, value);
        }
        if let Some(sql) = &self.sql {
            yaml.comment("The rows so far are the table `data`.");
            yaml.key("transform", &json!([{ "sql": sql }]));
        }
        yaml.key("target", &json!(self.target));
        if let Some(rows) = self.chunk_rows {
            yaml.key("chunk", &json!({ "rows": rows }));
        }
        yaml.into_text()
    }
}

/// An argument as text.
fn address(what: &str, text: &OsStr) -> Result<String> {
    text.to_str().map(str::to_owned).ok_or_else(|| {
        Error::config(format!("{what}: `{}` is not UTF-8", text.to_string_lossy()))
            .with_hint("rename it")
    })
}

/// A path as its URL, so that the job means the same from everywhere.
fn whole(what: &str, text: &str, side: Side) -> Result<String> {
    let quoted = format!("`{what}`");
    to_url(what, text, Path::new("."), side)
        .map_err(|error| error.told(|said| said.replace(&quoted, what)))
}

fn is_of_files(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| is_folder(&scheme.to_ascii_lowercase()))
}

fn query_text(what: &RelationArgs) -> Result<Option<String>> {
    match &what.query_file {
        None => Ok(what.query.clone()),
        Some(file) => read_query("--query-file", file).map(Some),
    }
}

/// A table behind the `?` of SOURCE is one, too.
fn refuse_both(tables: &[String], query: Option<&str>) -> Result<()> {
    if tables.is_empty() || query.is_none() {
        return Ok(());
    }
    Err(Error::config(format!("SOURCE names the table `{}`, and a query is given", tables[0]))
        .with_hint("keep one of them"))
}

/// Of several files or patterns, each must give a name. --as names only one.
fn refuse_nameless(tables: &[String]) -> Result<()> {
    let nameless = tables.iter().find(|table| name_of(table.trim_matches('/')).is_none());
    match nameless.filter(|_| tables.len() > 1) {
        None => Ok(()),
        Some(table) => Err(Error::config(format!("--table `{table}` gives no name"))
            .with_hint("copy it with a command of its own, and give it a name with --as NAME")),
    }
}

/// The name of the job, and of what it makes: by --as, the table, the files, or the file that is written.
fn name(
    what: &RelationArgs,
    tables: &[String],
    source: &str,
    target: &str,
    has_query: bool,
) -> String {
    let by_table = match tables {
        [only] if is_of_files(source) || !is_url(source) => name_of(only),
        [only] => Some(last_part(only)),
        _ => None,
    };
    let is_of_path = is_of_files(source) || !is_url(source);
    let by_source = || name_of(source).filter(|_| is_of_path && !has_query);
    let found = what.name.clone().or(by_table).or_else(by_source).or_else(|| name_of(target));
    let found = found.unwrap_or_default();
    let named = found.trim_start_matches(['.', '_', '~', ' ']);
    let is_name =
        !named.is_empty() && !named.contains(['/', ':']) && !named.contains(char::is_control);
    // What --as gives is what is wanted: if it is wrong, its check says so.
    match &what.name {
        Some(name) => name.clone(),
        None if is_name => named.to_owned(),
        None => NAME.to_owned(),
    }
}

/// The keys of the job that say which relations are copied.
fn relations(
    what: &RelationArgs,
    tables: Vec<String>,
    query: Option<String>,
) -> Result<Map<String, Value>> {
    let mut keys = Map::new();
    if let Some(column) = &what.chunk_by
        && tables.is_empty()
        && query.is_none()
    {
        let said =
            format!("--chunk-by {column}: neither --table nor --query says what is cut by it");
        return Err(Error::config(said).with_hint("add one; files are not cut by a column"));
    }
    if let Some(query) = query {
        keys.insert("query".into(), json!(query));
        if let Some(column) = &what.chunk_by {
            keys.insert("chunk_by".into(), json!(column));
        }
        return Ok(keys);
    }
    if tables.len() > 1
        && let Some(name) = &what.name
    {
        return Err(Error::config(format!("--as {name} is one name, for {} tables", tables.len()))
            .with_hint("remove it: each table keeps its name"));
    }
    if what.name.is_none() && what.chunk_by.is_none() {
        if !tables.is_empty() {
            keys.insert("tables".into(), json!(tables));
        }
        return Ok(keys);
    }
    let relation = |table: &String| {
        let mut relation = Map::new();
        relation.insert("table".into(), json!(table));
        if let Some(name) = &what.name {
            relation.insert("as".into(), json!(name));
        }
        if let Some(column) = &what.chunk_by {
            relation.insert("chunk_by".into(), json!(column));
        }
        Value::Object(relation)
    };
    if !tables.is_empty() {
        keys.insert("relations".into(), tables.iter().map(relation).collect());
    }
    Ok(keys)
}

/// The target, without its options.
fn section(how: &OptionArgs, url: &str) -> Map<String, Value> {
    let mut target = Map::new();
    target.insert("url".into(), json!(url));
    let keys = [("mode", &how.mode), ("format", &how.format), ("compression", &how.compression)];
    for (key, value) in keys {
        if let Some(value) = value {
            target.insert(key.into(), json!(value));
        }
    }
    target
}

/// `day:date=2026-11-20`
fn parameters(params: &[String]) -> Result<Map<String, Value>> {
    let mut parameters = Map::new();
    for param in params {
        let (declared, value) = param.split_once('=').ok_or_else(|| {
            Error::config(format!("--param `{param}` gives no value"))
                .with_hint("write it as in --param day:date=2026-11-20")
        })?;
        let (name, kind) = declared.split_once(':').unwrap_or((declared, "text"));
        let declaration = json!({ "type": kind, "default": value });
        if parameters.insert(name.to_owned(), declaration).is_some() {
            return Err(Error::config(format!("--param gives `{name}` twice"))
                .with_hint("give each parameter once"));
        }
    }
    Ok(parameters)
}
