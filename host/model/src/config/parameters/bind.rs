//! Puts values in the places of their placeholders, each as that place needs it. Where none may stand, one is an
//! error.

use std::collections::{BTreeMap, BTreeSet};

use longshore_sql::is_word;
use serde_json::{Map, Value};

use super::arguments::Arguments;
use super::declaration::Declarations;
use super::dialect::Dialect;
use super::place::{check_names, name_part, pattern_part, table_part, url_part, url_path};
use super::placeholder::{Placeholder, placeholders};
use super::record::ParameterRecord;
use super::resolve::{ParameterValues, resolve};
use super::sql_text::{Kind, Pieces, pieces};
use super::value::ParameterValue;
use crate::config::access::Access;
use crate::config::keys::nearest;
use crate::config::place::is_folder;
use crate::config::query_file::read_query_file;
use crate::config::raw::RawParameter;
use crate::error::{Error, Result, ResultExt};

/// A job file whose placeholders are bound.
#[derive(Default)]
pub(in crate::config) struct Bound {
    /// The file's tree, without placeholders; files of queries are in it. None: the file declares no
    /// parameters, and stays as it is.
    pub(in crate::config) tree: Option<Value>,
    /// The values.
    pub(in crate::config) record: ParameterRecord,
    /// Warnings of parameters that the job does not use.
    pub(in crate::config) unused: Vec<Error>,
}

/// Binds the placeholders of a job file to the values of the parameters that it declares.
pub(in crate::config) fn bind(
    declared: Option<BTreeMap<String, RawParameter>>,
    tree: &Value,
    arguments: &Arguments,
    access: Access<'_>,
) -> Result<Bound> {
    let has_parameters = declared.is_some();
    let values = resolve(&Declarations::check(declared.unwrap_or_default())?, arguments)?;
    if !has_parameters {
        return Ok(Bound::default());
    }
    let (tree, used) = bind_values(tree.clone(), &values, access)?;
    let unused = values.0.keys().filter(|name| !used.contains(*name)).map(|name| {
        Error::config(format!(
            "`parameters.{name}` is used nowhere: write {{{{ {name} }}}}, or remove it"
        ))
    });
    Ok(Bound { tree: Some(tree), record: record(&values), unused: unused.collect() })
}

fn record(values: &ParameterValues) -> ParameterRecord {
    ParameterRecord::new(
        values.0.iter().map(|(name, value)| (name.clone(), value.json())).collect(),
    )
}

/// The tree with values in the places of its placeholders, and the names of the parameters that stand in it.
fn bind_values(
    mut tree: Value,
    values: &ParameterValues,
    access: Access<'_>,
) -> Result<(Value, BTreeSet<String>)> {
    let source = tree.get("source");
    let url = source.and_then(|source| source.get("url")).and_then(Value::as_str);
    let scheme = url.and_then(|url| url.split_once(':')).map(|(scheme, _)| scheme);
    let scheme = scheme.unwrap_or_default().to_ascii_lowercase();
    let has_plugin = source.is_some_and(|source| source.get("plugin").is_some());
    let mut binder = Binder {
        values,
        access,
        dialect: Dialect::of_scheme(&scheme),
        reads_files: is_folder(&scheme) && !has_plugin,
        used: BTreeSet::new(),
        faults: Vec::new(),
    };
    binder.walk("", &mut tree);
    let Binder { used, faults, .. } = binder;
    Error::all(faults)?;
    Ok((tree, used))
}

/// What may stand in a place of the job file.
#[derive(Clone, Copy)]
enum Site {
    /// SQL, in which values are literals.
    Sql(Dialect),
    /// A table's name.
    Table,
    /// The path of files, or a pattern.
    Files,
    /// A relation's name in the target.
    Name,
    /// A URL, with parameters in its path.
    Url,
    /// No parameter.
    Nothing,
}

struct Binder<'a> {
    values: &'a ParameterValues,
    access: Access<'a>,
    /// Of the source's queries.
    dialect: Dialect,
    /// Whether the source is files.
    reads_files: bool,
    used: BTreeSet<String>,
    faults: Vec<Error>,
}

impl Binder<'_> {
    fn walk(&mut self, at: &str, value: &mut Value) {
        match value {
            Value::String(text) => match self.text(at, text) {
                Ok(bound) => *text = bound,
                Err(error) => self.faults.push(error.with_context(format!("`{at}`"))),
            },
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    // Positions are those of keys: a text in a list stands at the list's.
                    let is_text = item.is_string();
                    let inner = if is_text { at.to_owned() } else { format!("{at}[{index}]") };
                    self.walk(&inner, item);
                }
            }
            Value::Object(map) => self.walk_object(at, map),
            _ => {}
        }
    }

    fn walk_object(&mut self, at: &str, map: &mut Map<String, Value>) {
        for (key, value) in map.iter_mut() {
            let inner = join(at, key);
            // Defaults are in it, and texts that describe them.
            if inner != "parameters" {
                self.walk(&inner, value);
            }
        }
        for key in ["query", "sql"] {
            self.inline_file(at, key, map);
        }
    }

    /// Reads the file of a query that has placeholders, and puts the query itself into the tree.
    fn inline_file(&mut self, at: &str, key: &str, map: &mut Map<String, Value>) {
        let file_key = format!("{key}_file");
        let Site::Sql(dialect) = self.site(&join(at, key)) else { return };
        let inner = join(at, &file_key);
        let Some(file) = map.get(&file_key).and_then(Value::as_str) else { return };
        // What has both is refused when the job is checked.
        if map.contains_key(key) {
            return;
        }
        let bound = read_query_file(&inner, file, self.access)
            .and_then(|text| self.sql(&text, dialect).context(format!("`{inner}`")));
        match bound {
            Ok(text) => {
                map.remove(&file_key);
                map.insert(key.to_owned(), text.into());
            }
            Err(error) => self.faults.push(error),
        }
    }

    fn site(&self, at: &str) -> Site {
        let without_indexes: String = at
            .split('.')
            .map(|part| part.split('[').next().unwrap_or(part))
            .collect::<Vec<_>>()
            .join(".");
        match without_indexes.as_str() {
            "query" | "relations.query" => Site::Sql(self.dialect),
            "sql" | "transform.sql" => Site::Sql(Dialect::DataFusion),
            "tables" | "relations.table" if self.reads_files => Site::Files,
            "tables" | "relations.table" => Site::Table,
            "relations.as" => Site::Name,
            "source.url" | "target.url" | "register.url" | "register.location" => Site::Url,
            _ => Site::Nothing,
        }
    }

    fn text(&mut self, at: &str, text: &str) -> Result<String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        match self.site(at) {
            Site::Sql(dialect) => self.sql(text, dialect),
            Site::Table => self.replace(text, table_part),
            Site::Files => self.replace(text, pattern_part),
            Site::Name => self.replace(text, name_part),
            Site::Url => self.url(text),
            Site::Nothing => match placeholders(text).iter().find(|found| found.name.is_some()) {
                Some(found) => Err(forbidden(at, &text[found.range.clone()])),
                None => Ok(text.to_owned()),
            },
        }
    }

    /// Replaces the placeholders of a text that has nothing else within two braces.
    fn replace(
        &mut self,
        text: &str,
        part: impl Fn(&ParameterValue) -> Result<String>,
    ) -> Result<String> {
        let (mut bound, mut at) = (String::new(), 0);
        for found in placeholders(text) {
            let value = self.value(text, &found)?;
            bound += &text[at..found.range.start];
            bound += &part(value).context(text[found.range.clone()].to_owned())?;
            at = found.range.end;
        }
        Ok(bound + &text[at..])
    }

    fn url(&mut self, text: &str) -> Result<String> {
        let path = url_path(text).unwrap_or(text.len()..text.len());
        let is_outside =
            |found: &&Placeholder<'_>| found.range.start < path.start || found.range.end > path.end;
        if let Some(found) = placeholders(text).iter().find(is_outside) {
            return Err(Error::config(format!(
                "{} is not in the URL's path",
                &text[found.range.clone()]
            ))
            .with_hint(
                "a parameter may stand behind the server only, as in file:///lake/{{ day }}: it \
                 changes no server, no user and no password",
            ));
        }
        let bound = self.replace(&text[path.clone()], url_part)?;
        check_names(&bound)?;
        Ok(format!("{}{bound}{}", &text[..path.start], &text[path.end..]))
    }

    fn sql(&mut self, text: &str, dialect: Dialect) -> Result<String> {
        let found = placeholders(text);
        if found.is_empty() {
            return Ok(text.to_owned());
        }
        let readings: Vec<Option<Pieces>> =
            dialect.readings().iter().map(|lexis| pieces(text, *lexis)).collect();
        if readings.iter().all(Option::is_none) {
            return Err(Error::config("a quote or a comment has no end")
                .with_hint("close it, or double quotes within a text"));
        }
        let (mut bound, mut at) = (String::new(), 0);
        for found in found {
            let start = found.range.start;
            let kinds: Vec<Kind> =
                readings.iter().map(|pieces| kind_at(pieces.as_deref(), start)).collect();
            if kinds.iter().any(|kind| *kind != Kind::Code) {
                // Braces of an array or of a comment are no placeholder.
                if found.name.is_some() {
                    return Err(within(text, &found, &kinds));
                }
                continue;
            }
            let value = self.value(text, &found).context_of_line(text, start)?;
            check_neighbours(text, &found).context_of_line(text, start)?;
            let shown = &text[found.range.clone()];
            bound += &text[at..start];
            bound +=
                &dialect.literal(value).context(shown.to_owned()).context_of_line(text, start)?;
            at = found.range.end;
        }
        Ok(bound + &text[at..])
    }

    /// The value that a placeholder stands for.
    fn value(&mut self, text: &str, found: &Placeholder<'_>) -> Result<&ParameterValue> {
        let shown = crate::grant::shown(&text[found.range.clone()]);
        let Some(name) = found.name else {
            return Err(Error::config(format!("{shown} is not a placeholder")).with_hint(
                "write {{ NAME }} and nothing else within the braces; a default can be computed \
                 from the scheduled time",
            ));
        };
        let Some(value) = self.values.0.get(name) else {
            return Err(undeclared(&shown, name, self.values));
        };
        self.used.insert(name.to_owned());
        Ok(value)
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// Says in which line of a text of several lines something is wrong.
trait LineContext<T> {
    fn context_of_line(self, text: &str, at: usize) -> Result<T>;
}

impl<T> LineContext<T> for Result<T> {
    fn context_of_line(self, text: &str, at: usize) -> Result<T> {
        self.map_err(|error| in_line(error, text, at))
    }
}

fn in_line(error: Error, text: &str, at: usize) -> Error {
    if text.trim_end().contains('\n') {
        let line = text[..at].matches('\n').count() + 1;
        error.with_context(format!("line {line} of the text"))
    } else {
        error
    }
}

/// What the piece is in which a text's byte lies. In a text that makes no sense, it may be quoted.
fn kind_at(pieces: Option<&[(Kind, usize)]>, at: usize) -> Kind {
    let Some(pieces) = pieces else { return Kind::Quoted };
    let piece = pieces.partition_point(|(_, end)| *end <= at);
    pieces.get(piece).map_or(Kind::Code, |(kind, _)| *kind)
}

/// Refuses what would join the literal to a token beside it.
fn check_neighbours(text: &str, found: &Placeholder<'_>) -> Result<()> {
    let joins = |c: &char| is_word(*c) || "'\"`$&.@#\\{}".contains(*c);
    let before = text[..found.range.start].chars().next_back().filter(joins);
    let after = text[found.range.end..].chars().next().filter(joins);
    let Some(c) = before.or(after) else { return Ok(()) };
    let shown = &text[found.range.clone()];
    Err(Error::config(format!("{shown} touches `{c}`: a value is a literal of its own")).with_hint(
        "put a blank between them; a name of a table or a column is no value: name tables by `table`",
    ))
}

fn within(text: &str, found: &Placeholder<'_>, kinds: &[Kind]) -> Error {
    let shown = &text[found.range.clone()];
    let error = if kinds.contains(&Kind::Code) {
        Error::config(format!("whether {shown} is within quotes depends on the database")).with_hint(
            "put it before the literal with the backslash or the bracket, or name the database by \
             the URL's scheme",
        )
    } else if kinds.contains(&Kind::Quoted) {
        Error::config(format!("{shown} is within quotes, where nothing is replaced"))
            .with_hint("remove the quotes: the value becomes a literal with quotes of its own")
    } else {
        Error::config(format!("{shown} is in a comment, where nothing is replaced"))
            .with_hint("remove it from the comment, or its braces")
    };
    in_line(error, text, found.range.start)
}

fn undeclared(shown: &str, name: &str, values: &ParameterValues) -> Error {
    let error = Error::config(format!("{shown}: no parameter is called `{name}`"));
    let names: Vec<&str> = values.0.keys().map(String::as_str).collect();
    if names.is_empty() {
        return error.with_hint(format!("declare it under `parameters: {{ {name}: text }}`"));
    }
    error.with_hint(match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? The parameters are {}", names.join(", ")),
        None => format!(
            "declare it under `parameters: {{ {name}: text }}`; the parameters are {}",
            names.join(", ")
        ),
    })
}

fn forbidden(at: &str, shown: &str) -> Error {
    let hint = if at.starts_with("source.") || at.starts_with("register.") {
        "a parameter is no secret and no setting: write secrets as { secret: NAME }"
    } else {
        "parameters stand in queries, SQL steps, names of tables and relations, and paths of URLs"
    };
    Error::config(format!("{shown}: no parameter may stand here")).with_hint(hint)
}
