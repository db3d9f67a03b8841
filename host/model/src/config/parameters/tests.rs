//! Job files with parameters, good and bad: what becomes of them, and what is said.

use std::fmt::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::json;

use super::dialect::Dialect;
use super::sql_text::{Kind, pieces};
use super::value::ParameterValue;
use super::*;
use crate::config::Policy;
use crate::config::access::Access;
use crate::config::document::Document;

const DAY: &str = "parameters: { day: date }\n";

const REST: &str = "source: { url: 'postgres://u@h/d' }\ntarget: { url: 'file:///lake' }\n";

fn scheduled() -> DateTime<Utc> {
    "2026-11-28T06:30:00Z".parse().unwrap()
}

/// The job file when it is bound, or what is wrong with it; and its warnings.
fn outcome(yaml: &str, flags: &[&str]) -> String {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let policy = Policy::default();
    let access = Access::new(&policy, Path::new("/nowhere"));
    let document = Document::parse(yaml, "yaml").unwrap();
    let bound = Arguments::of_flags(&flags).and_then(|arguments| {
        let mut raw: crate::config::raw::RawJob = document.typed()?;
        let arguments = arguments.scheduled_for(scheduled());
        bind(raw.parameters.take(), document.tree(), &arguments, access)
            .map_err(|error| document.locate(error))
    });
    let mut said = String::new();
    match bound {
        Err(error) => {
            let _ = writeln!(said, "{error}\n  -> {}", error.hint().unwrap_or("-"));
            for also in error.also() {
                let _ = writeln!(said, "{also}\n  -> {}", also.hint().unwrap_or("-"));
            }
        }
        Ok(Bound { tree, record, unused }) => {
            if let Some(mut tree) = tree {
                tree.as_object_mut().unwrap().remove("parameters");
                let _ = writeln!(said, "{tree}\nwith {record}");
            } else {
                said.push_str("as it is\n");
            }
            for error in unused {
                let _ = writeln!(said, "warning: {}", document.locate(error));
            }
        }
    }
    said
}

fn check(cases: &[(&str, &str, &[&str])]) -> String {
    let mut all = String::new();
    for (what, yaml, flags) in cases {
        let _ = writeln!(all, "## {what}\n{}", outcome(yaml, flags));
    }
    all
}

/// A job whose query is this.
fn query(declared: &str, query: &str) -> String {
    format!("{declared}query: |-\n  {}\n{REST}", query.replace('\n', "\n  "))
}

#[test]
fn good_jobs_are_bound() {
    let everything = "parameters:\n  day: { type: date, default: '{{ scheduled - 1d }}', description: which }\n  \
        region: { type: text, allowed: [EU, US], default: EU }\n  since: timestamp\n  least: decimal\n  n: integer\n  \
        all: { type: boolean, default: false }\n  schema: text\n\
        source: { url: 'postgres://u@h/shop_{{ region }}', password: { env: P } }\n\
        tables: ['{{ schema }}.orders']\n\
        relations:\n- { table: '{{schema}}.items', as: 'items_{{ day }}' }\n\
        - query: SELECT * FROM t WHERE d = {{ day }} AND r = {{ region }} AND at > {{ since }}\n  as: t\n\
        transform:\n- { sql: 'SELECT * FROM data WHERE a > {{ least }} AND b < {{ n }} AND c = {{ all }}' }\n\
        target: { url: 'file:///lake/day={{ day }}/{{ region }}' }\n";
    let flags: &[&str] =
        &["since=2026-11-20 06:00", "least=-12.50", "n=-5", "schema=sales", "region=US"];
    let array = query(DAY, "SELECT '{{1,2},{3,4}}'::int[] WHERE d = {{ day }}");
    let plain = query("", "SELECT '{{ day }}', {{ day }}");
    let casts = query(DAY, "SELECT {{ day }}::text, ({{day}}), ARRAY[{{ day }}]");
    let quotes = query("parameters: { t: text }\n", "SELECT {{ t }}");
    let files = "parameters: { day: date, month: text }\nsource: { url: 's3://raw/{{ month }}' }\n\
        tables: ['{{ day }}/*.csv']\ntarget: { url: 'file:///lake' }\n";
    let hive = "parameters: { t: text, d: decimal, at: timestamp }\nsource: { url: 'impala://h/d' }\n\
        query: SELECT {{ t }}, {{ d }}, {{ at }}\ntarget: { url: 'file:///lake' }\n";
    let unknown = "parameters: { t: text, day: date, at: timestamp }\nsource: { url: 'odbc:DSN=x' }\n\
        query: SELECT {{ t }}, {{ day }}, {{ at }}\ntarget: { url: 'file:///lake' }\n";
    let unused = format!(
        "parameters:\n  day: date\n  idle: {{ type: text, default: x }}\nquery: SELECT {{{{ day }}}}\n{REST}"
    );
    let said = check(&[
        ("everything", everything, flags),
        ("braces of an array", &array, &["day=2026-11-20"]),
        ("no parameters", &plain, &[]),
        ("casts and brackets", &casts, &["day=2026-11-20"]),
        (
            "quotes, a backslash, a line, another script",
            &quotes,
            &["t=it's \\' OR 1=1; --\nдень ☃"],
        ),
        ("an empty text", &quotes, &["t="]),
        ("files", files, &["day=2026-11-20", "month=50%* off#"]),
        ("Impala", hive, &["t=it's ${x};\\\n\"", "d=0.10", "at=2026-11-20T06:00:00.25"]),
        (
            "a database that is not known",
            unknown,
            &["t=it's", "day=2026-11-20", "at=2026-11-20 06:00"],
        ),
        ("a parameter that is used nowhere", &unused, &["day=2026-11-20"]),
    ]);
    insta::assert_snapshot!(said);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn bad_jobs_are_refused() {
    let day: &[&str] = &["day=2026-11-20"];
    let with = |declared: &str| format!("parameters:\n  {declared}\nquery: SELECT 1\n{REST}");
    let keyed = |key: &str| format!("parameters: {{ day: text }}\n{key}\n{REST}");
    let target = |url: &str| {
        format!(
            "parameters: {{ day: text }}\nsource: {{ url: 'tpch:' }}\ntables: [a]\ntarget: {{ url: '{url}' }}\n"
        )
    };
    let source = "parameters: { pw: text }\nsource:\n  url: postgres://u@h/d\n  password: '{{ pw }}'\n\
        tables: [a]\ntarget: { url: 'file:///lake' }\n";
    let mysql = "parameters: { day: date }\nsource: { url: 'odbc:DSN=x' }\n\
        query: SELECT * FROM t WHERE a LIKE '\\' AND d = {{ day }} AND b = 'x'\ntarget: { url: 'file:///lake' }\n";
    let oracle = "parameters: { t: text }\nsource: { url: 'odbc:DSN=x' }\nquery: SELECT {{ t }}\n\
        target: { url: 'file:///lake' }\n";
    let dataless = format!("query: SELECT 1\n{REST}");
    let said = check(&[
        ("no value", &query(DAY, "SELECT {{ day }}"), &[]),
        ("an unknown value", &query(DAY, "SELECT {{ day }}"), &["day=2026-11-20", "dya=1"]),
        ("a value for a job without parameters", &dataless, day),
        ("a flag without a value", &query(DAY, "SELECT {{ day }}"), &["day"]),
        (
            "a flag that comes twice",
            &query(DAY, "SELECT {{ day }}"),
            &["day=2026-11-20", "day=2026-11-21"],
        ),
        ("a value of another type", &query(DAY, "SELECT {{ day }}"), &["day=20.11.2026"]),
        (
            "a value that is not allowed",
            &query("parameters: { r: { type: text, allowed: [EU, US] } }\n", "SELECT {{ r }}"),
            &["r=UK"],
        ),
        ("a placeholder of nothing", &query(DAY, "SELECT {{ dya }}"), day),
        ("a placeholder of nothing like it", &query(DAY, "SELECT 1\nWHERE {{ region }}"), day),
        ("a placeholder in a text", &query(DAY, "SELECT 1\nWHERE d = '{{ day }}'"), day),
        ("a placeholder in a name", &query(DAY, "SELECT \"{{ day }}\""), day),
        ("a placeholder in a comment", &query(DAY, "SELECT 1 -- {{ day }}"), day),
        ("a placeholder in a dollar quote", &query(DAY, "SELECT $x$ {{ day }} $x$"), day),
        ("a placeholder in an escape string", &query(DAY, "SELECT E'\\' {{ day }}'"), day),
        ("an expression in a query", &query(DAY, "SELECT {{ day - 1 }}"), day),
        ("braces without an end", &query(DAY, "SELECT {{ day"), day),
        ("a prefix of a literal", &query(DAY, "SELECT E{{ day }}"), day),
        (
            "a name that is no value",
            &query("parameters: { day: text }\n", "SELECT * FROM {{ day }}.orders"),
            &["day=sales"],
        ),
        ("a quote without an end", &query(DAY, "SELECT {{ day }}, 'a"), day),
        ("NUL in PostgreSQL", &query("parameters: { t: text }\n", "SELECT {{ t }}"), &["t=a\0b"]),
        ("a backslash for a database that is not known", oracle, &["t=a\\b"]),
        ("quotes that depend on the database", mysql, day),
        ("a password", source, &["pw=x"]),
        ("a job's name", &keyed("name: 'shop {{ day }}'\ntables: [a]"), &["day=a"]),
        ("a column", &keyed("query: SELECT 1\nchunk_by: '{{ day }}'"), &["day=a"]),
        (
            "a table's name with SQL in it",
            &keyed("tables: ['public.{{ day }}']"),
            &["day=a; DROP TABLE b"],
        ),
        (
            "a relation's name with a slash",
            &keyed("relations: [{ table: a, as: '{{ day }}' }]"),
            &["day=../x"],
        ),
        ("a folder above", &target("file:///lake/{{ day }}"), &["day=.."]),
        ("two dots in two values", &target("file:///lake/{{ day }}{{ day }}"), &["day=."]),
        ("a path with a slash", &target("file:///lake/{{ day }}"), &["day=a/b"]),
        ("an empty folder", &target("file:///lake/{{ day }}"), &["day="]),
        ("a bucket", &target("s3://{{ day }}/lake"), &["day=a"]),
        ("a scheme", &target("{{ day }}:///lake"), &["day=a"]),
        ("a user", &target("sftp://{{ day }}@h/lake"), &["day=a"]),
        ("a query of a URL", &target("http://h/a?b={{ day }}"), &["day=a"]),
        ("a server after many slashes", &target("http:///{{ day }}/a"), &["day=a"]),
        ("an unknown type", &with("day: dat"), &[]),
        ("an unknown type in the long form", &with("day: { type: dat }"), &[]),
        ("an unknown key", &with("day: { type: date, defualt: x }"), &[]),
        ("no type", &with("day: { default: x }"), &[]),
        ("a name that is none", &with("my-day: date"), &[]),
        ("a name that is taken", &with("scheduled: date"), &[]),
        ("a default of another type", &with("day: { type: date, default: today }"), &[]),
        (
            "a default that is no expression",
            &with("day: { type: date, default: '{{ now - 1d }}' }"),
            &[],
        ),
        (
            "a default that is not allowed",
            &with("r: { type: text, default: UK, allowed: [EU] }"),
            &[],
        ),
        ("nothing is allowed", &with("r: { type: text, allowed: [] }"), &[]),
        ("a decimal that loses digits", &with("p: { type: decimal, default: 12.50 }"), &[]),
        ("a list for a value", &with("p: { type: text, default: [a] }"), &[]),
    ]);
    insta::assert_snapshot!(said);
}

fn dialects() -> [Dialect; 9] {
    [
        Dialect::DataFusion,
        Dialect::PostgreSql,
        Dialect::Hive,
        Dialect::MySql,
        Dialect::SqlServer,
        Dialect::Oracle,
        Dialect::Vertica,
        Dialect::Sqlite,
        Dialect::Unknown,
    ]
}

proptest! {
    #[test]
    fn a_literal_is_one_token_whatever_is_in_it(text in "([a-z'\"\\\\`$;\\-/*#\0\n\r{}\\[\\]%é☃]|--|/\\*|\\*/|''|\\$\\$){0,16}") {
        for dialect in dialects() {
            let Ok(literal) = dialect.literal(&ParameterValue::Text(text.clone())) else { continue };
            // MySQL has a function around it.
            let literal = literal.trim_start_matches("CONVERT(").trim_end_matches(" USING utf8mb4)");
            let literal = literal.trim_start_matches(['N', 'X']);
            let sql = format!("SELECT {literal} FROM t");
            for lexis in dialect.readings() {
                let pieces = pieces(&sql, *lexis).expect("its quotes have an end");
                let quoted: Vec<usize> = pieces
                    .iter()
                    .filter(|(kind, _)| *kind != Kind::Code)
                    .map(|(_, end)| *end)
                    .collect();
                prop_assert_eq!(quoted, ["SELECT ".len() + literal.len()], "{:?}: {}", dialect, sql);
            }
        }
    }

    #[test]
    fn a_parameter_file_gives_back_what_was_recorded(text in "(.|[\0-\u{a0}\u{85}\u{2028}\u{feff}]){0,12}", number in any::<i64>(), yes in any::<bool>()) {
        let recorded = json!({ "text": text, "number": number, "yes": yes });
        let record: ParameterRecord = serde_json::from_value(recorded.clone()).unwrap();
        for ending in ["yaml", "json", "toml"] {
            let file = record.to_file_text(&Path::new("shop.params").with_extension(ending)).unwrap();
            let document = Document::parse(&file, ending).unwrap();
            prop_assert_eq!(document.tree(), &recorded, "{}", file);
        }
    }
}
