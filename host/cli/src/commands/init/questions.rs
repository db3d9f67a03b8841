//! The questions of `longshore init`. What they ask for is what each job must say; the example's comments tell the
//! rest.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

use longshore_model::error::{Error, Result};
use serde_json::{Value, json};
use strum::VariantArray;

use super::super::copy::secret_in;
use super::super::yaml::YamlWriter;
use super::Example;

/// The answer that stands for none.
const NONE: &str = "-";

/// The answers to the questions.
pub(super) struct Answers {
    example: Example,
    url: String,
    password_env: String,
    tables: Vec<String>,
    target: String,
}

impl Answers {
    /// Asks, on a terminal.
    pub(super) fn ask() -> Result<Self> {
        if !stdin().is_terminal() {
            return Err(Error::config("the questions of `longshore init` need a terminal")
                .with_hint(format!("name an example: --example {}", names(" or "))));
        }
        let example = loop {
            let answer = ask(&format!("Source ({})", names(", ")), Example::Postgres.name())?;
            match Example::VARIANTS.iter().find(|example| example.name() == answer) {
                Some(example) => break *example,
                None => say(&format!("`{answer}` is none of them")),
            }
        };
        let offered = Defaults::of(example);
        let (url, password_env, target) = (offered.url, offered.password_env, offered.target);
        let tables = offered.tables.split(", ").filter(|table| *table != NONE);
        Self {
            example,
            url: url.to_owned(),
            password_env: password_env.to_owned(),
            tables: tables.map(str::to_owned).collect(),
            target: target.to_owned(),
        }
        .ask_rest()
    }

    /// Asks again, as the answers make no job: they are what is offered.
    pub(super) fn ask_again(self, error: &Error) -> Result<Self> {
        say(&in_words(&error.to_string()));
        if let Some(hint) = error.hint() {
            say(&format!("next: {}", in_words(hint)));
        }
        self.ask_rest()
    }

    /// Asks all but for the kind of source; these answers are offered.
    fn ask_rest(self) -> Result<Self> {
        let url = ask("Its address", &self.url)?;
        let asked = "The environment variable with its password; `-` for none";
        let password_env = match Defaults::of(self.example).password_env {
            "" => String::new(),
            _ => ask(asked, or_none(&self.password_env))?,
        };
        let tables = self.tables.join(", ");
        let tables = ask("Tables, with commas between them; `-` for all files", or_none(&tables))?;
        let target = ask("Target: a folder, a file or a URL", &self.target)?;
        let tables = tables.split(',').map(|table| table.trim().to_owned());
        let tables = tables.filter(|table| !table.is_empty() && table != NONE).collect();
        let password_env = password_env.trim_matches('-').to_owned();
        Ok(Self { example: self.example, url, password_env, tables, target })
    }

    /// Refuses secrets, which would lie in the file.
    pub(super) fn check_secrets(&self) -> Result<()> {
        for (what, url) in [("the address", &self.url), ("the target", &self.target)] {
            if let Some(name) = secret_in(url) {
                let said = format!("{what} holds a secret, `{name}`, which would lie in the file");
                return Err(Error::config(said)
                    .with_hint("leave it out, and name the environment variable that holds it"));
            }
        }
        Ok(())
    }

    /// The job: the example, with what was answered in the places of its keys.
    pub(super) fn to_yaml(&self) -> String {
        let has_password = !self.password_env.is_empty();
        let mut section = "";
        let mut text = String::new();
        for line in self.example.text().lines() {
            if let Some(key) = line.strip_suffix(':').filter(|key| !key.starts_with([' ', '#'])) {
                section = key;
            }
            let is = |key: &str| line.trim_start().starts_with(key);
            let changed = match section {
                "source" if is("url:") => inner("url", &json!(self.url)),
                "source" if is("password:") && self.password_env.is_empty() => continue,
                "source" if (is("password:") || is("# password:")) && has_password => {
                    inner("password", &json!({ "env": self.password_env }))
                }
                "target" if is("url:") => inner("url", &json!(self.target)),
                _ if line.starts_with("tables:") && self.tables.is_empty() => continue,
                _ if line.starts_with("tables:") => whole("tables", &json!(self.tables)),
                _ => format!("{line}\n"),
            };
            text += &changed;
        }
        text
    }
}

/// A key of the job.
fn whole(key: &str, value: &Value) -> String {
    let mut yaml = YamlWriter::default();
    yaml.key(key, value);
    yaml.into_text()
}

/// A key of a section.
fn inner(key: &str, value: &Value) -> String {
    whole(key, value).lines().map(|line| format!("  {line}\n")).collect()
}

/// What an example says, and an empty answer means.
struct Defaults {
    url: &'static str,
    /// Empty: it has no password.
    password_env: &'static str,
    tables: &'static str,
    target: &'static str,
}

impl Defaults {
    fn of(example: Example) -> Self {
        let (url, password_env, tables, target) = match example {
            Example::Files => ("raw/", "", "-", "lake"),
            Example::Hive => ("hive://reader@hive.internal:10000/sales", "-", "orders", "lake"),
            Example::Impala => {
                ("impala://reader@impala.internal:21050/sales", "-", "orders", "lake")
            }
            Example::Odbc => {
                ("mysql://reader@db.internal:3306/shop", "DB_PASSWORD", "orders", "lake")
            }
            Example::Postgres => {
                ("postgres://reader@db.internal:5432/shop", "PGPASSWORD", "public.orders", "lake")
            }
            Example::Tpch => ("tpch:", "", "orders, nation", "lake"),
        };
        Self { url, password_env, tables, target }
    }
}

/// Keys of the job, as the questions call what they ask for.
fn in_words(text: &str) -> String {
    let words = [
        ("`source.url`", "the address"),
        ("`target.url`", "the target"),
        ("`tables`", "the tables"),
        ("`relations[0]`", "the tables"),
        (
            "add `as: NAME`, which becomes its folder in the target",
            "write a pattern in the address, and `-` for its tables",
        ),
        (
            "name their folder in the URL, with a `/` at its end, and the files here",
            "give `-` for all of them, or their folder as the address, with a `/` at its end",
        ),
    ];
    words.iter().fold(text.to_owned(), |text, (key, word)| text.replace(key, word))
}

fn or_none(answer: &str) -> &str {
    if answer.is_empty() { NONE } else { answer }
}

fn names(between: &str) -> String {
    let names: Vec<&str> = Example::VARIANTS.iter().map(|example| example.name()).collect();
    names.join(between)
}

/// Asks one question. An empty line is the answer that is offered.
fn ask(question: &str, offered: &str) -> Result<String> {
    let mut answer = String::new();
    let asked = write!(stderr(), "{question} [{offered}]: ").and_then(|()| stderr().flush());
    let read = asked.and_then(|()| stdin().lock().read_line(&mut answer));
    if read.map_err(|error| Error::io("the terminal", error))? == 0 {
        return Err(Error::cancelled("the questions were ended: nothing is written"));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { offered } else { answer }.to_owned())
}

fn say(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longshore_model::config::{Arguments, Job, Policy};

    use super::*;

    #[test]
    fn answers_make_a_job() {
        for example in Example::VARIANTS {
            let offered = Defaults::of(*example);
            let tables = offered.tables.split(", ").filter(|table| *table != "-");
            let answers = Answers {
                example: *example,
                url: offered.url.to_owned(),
                password_env: offered.password_env.trim_matches('-').to_owned(),
                tables: tables.map(str::to_owned).collect(),
                target: "my lake: #1/".to_owned(),
            };
            let text = answers.to_yaml();
            let none = Arguments::none();
            let job = Job::of_text(&text, "job.yaml", Path::new("/x"), &none, &Policy::default());
            let job = job.unwrap_or_else(|error| panic!("{}: {error}\n{text}", example.name()));
            assert_eq!(job.target.url, "file:///x/my lake%3A %231");
        }
    }
}
