//! SQL of any depth: it is planned, or refused, and no stack is too small for it.
//!
//! A stack that overflows ends the process. So the queries are planned in a process of their own, which leaves the
//! one that it was at in a file.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use longshore_model::error::Result;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestError, TestRunner};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Rows, check_query};

/// Names the file of the process that plans.
const LAST: &str = "LONGSHORE_FUZZ_LAST";

/// As large as the program's own stacks are.
const STACK_BYTES: usize = 64 << 20;

/// More memory than any query within the limits takes to be planned.
const MEMORY_BYTES: u64 = 8 << 30;

/// Longer than any query within the limits takes to plan.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands around a number, and gives a number.
const NUMBERS: [&str; 22] = [
    "(@)",
    "@ + 1",
    "1 + @",
    "@ * 1",
    "- @",
    "abs(@)",
    "CAST(@ AS bigint)",
    "@::bigint",
    "coalesce(@, 1)",
    "CASE WHEN @ > 0 THEN 1 ELSE 0 END",
    "CASE @ WHEN 1 THEN 2 END",
    "(SELECT max(id) FROM data WHERE id < @)",
    "(@) % 7",
    "@ << 1",
    "@ & 1",
    "@ | 1",
    "nullif(@, 0)",
    "greatest(@, 1, 2)",
    "CASE WHEN id = 1 THEN @ END",
    "CAST(@ IN (1, 2) AS bigint)",
    "length(concat('a', @))",
    "make_array(@)[1]",
]; // fmt: skip

/// What stands around a condition, and gives a condition.
const CONDITIONS: [&str; 18] = [
    "(@)",
    "NOT @",
    "@ AND id > 0",
    "id > 0 OR @",
    "@ IS NULL",
    "@ IS NOT TRUE",
    "@ IN (true)",
    "@ = true",
    "@ BETWEEN false AND true",
    "CASE WHEN @ THEN true ELSE false END",
    "EXISTS (SELECT 1 FROM data WHERE @)",
    "id IN (SELECT id FROM data WHERE @)",
    "coalesce(@, true)",
    "@ IS DISTINCT FROM true",
    "(@) IS NOT NULL",
    "CAST(@ AS boolean)",
    "@ OR (id = 1 AND name LIKE 'a%')",
    "@ NOT IN (false)",
]; // fmt: skip

/// What stands around a query.
const QUERIES: [&str; 8] = [
    "SELECT id, name FROM (@) AS q",
    "@ UNION ALL SELECT id, name FROM data",
    "WITH w AS (@) SELECT id, name FROM w",
    "SELECT q.id, q.name FROM (@) AS q JOIN data ON q.id = data.id",
    "SELECT DISTINCT id, name FROM (@) AS q",
    "SELECT q.id, q.name FROM (@) AS q, data",
    "(@)",
    "SELECT id, name FROM (@) AS q WHERE id IN (SELECT id FROM data)",
]; // fmt: skip

/// What follows a thing again and again.
const CHAINS: [(&str, &str); 16] = [
    ("id", " + 1"),
    ("id", " << 1"),
    ("id", "::bigint"),
    ("id > 0", " AND id > 1"),
    ("id > 0", " OR id = 1"),
    ("id > 0", " IN (true)"),
    ("id > 0", " IS NULL"),
    ("name", " || 'a'"),
    ("id > 0", " = true"),
    ("id", ", id"),
    ("now()", " AT TIME ZONE 'UTC'"),
    ("id > 0", " IS DISTINCT FROM true"),
    ("id", " % 7"),
    ("id > 0", " NOT IN (false)"),
    ("id", " & 1"),
    ("id > 0", " BETWEEN false AND true"),
]; // fmt: skip

/// What leads a thing again and again.
const LEADS: [(&str, &str); 4] =
    [("NOT ", "true"), ("- ", "id"), ("INTERVAL ", "'1 day'"), ("+ ", "id")];

/// How often: mostly little, sometimes more than any limit.
fn times() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..30_usize, 3 => 30..150_usize, 1 => 1_000..6_000_usize]
}

fn around(patterns: &'static [&'static str], core: &'static str) -> impl Strategy<Value = String> {
    let depth = prop_oneof![6 => 0..12_usize, 2 => 12..60_usize];
    depth.prop_flat_map(move |depth| prop::collection::vec(select(patterns), depth)).prop_map(
        move |patterns| {
            let put = |text: String, pattern: &str| {
                if text.len() > 200_000 { text } else { pattern.replace('@', &text) }
            };
            patterns.into_iter().fold(core.to_owned(), put)
        },
    )
}

fn query() -> impl Strategy<Value = String> {
    let chain = (select(&CHAINS[..]), times());
    let lead = (select(&LEADS[..]), times());
    let tables = times().prop_map(|times| {
        let tables: Vec<String> = (0..times.min(400)).map(|n| format!(", data AS d{n}")).collect();
        format!("SELECT data.id FROM data{}", tables.concat())
    });
    let names = times().prop_map(|times| {
        let step = |n: usize| format!(", w{} AS (SELECT id FROM w{n})", n + 1);
        let steps: String = (0..times).map(step).collect();
        format!("WITH w0 AS (SELECT id FROM data){steps} SELECT id FROM w{times}")
    });
    prop_oneof![
        around(&NUMBERS, "id").prop_map(|number| format!("SELECT {number} AS x FROM data")),
        around(&CONDITIONS, "id = 1").prop_map(|is| format!("SELECT id FROM data WHERE {is}")),
        around(&QUERIES, "SELECT id, name FROM data"),
        chain.prop_map(|((first, next), n)| format!("SELECT {first}{} FROM data", next.repeat(n))),
        lead.prop_map(|((before, last), n)| format!(
            "SELECT {}{last} AS x FROM data",
            before.repeat(n)
        )),
        tables,
        names,
    ]
}

/// Plans a query over a small table.
fn planned(sql: &str) -> Result<()> {
    check_query(sql, &["data"])?;
    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("name", Arc::new(StringArray::from(vec!["a", "b"]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let planning = async {
        Rows::Table(Arc::new(table)).sql(sql, chrono::Utc::now()).await?.into_plan().await
    };
    runtime.block_on(planning).map(drop)
}

fn plan_all(last: &Path) -> Result<(), String> {
    let check = |sql: String| {
        fs::write(last, &sql).unwrap();
        let begun = Instant::now();
        let answer = planned(&sql);
        prop_assert!(begun.elapsed() < PATIENCE, "took {:?}", begun.elapsed());
        // An interval of an interval is no query, nor is one column twice, however often it is written.
        if let Err(error) = answer
            && !sql.contains("INTERVAL INTERVAL")
            && !sql.contains("SELECT id, id")
        {
            let told = format!("{error}; next: {}", error.hint().unwrap_or("-"));
            prop_assert!(told.contains("the limit is"), "refused otherwise: {:.300}", told);
        }
        Ok(())
    };
    let usual = ProptestConfig::default();
    // A plan takes a hundred times as long as what other properties look at.
    let cases = usual.cases.div_ceil(4);
    let config = ProptestConfig { cases, failure_persistence: None, ..usual };
    match TestRunner::new(config).run(&query(), check) {
        Err(TestError::Fail(reason, sql)) => Err(format!("{reason}\n{}", shown(&sql))),
        Err(other) => Err(other.to_string()),
        Ok(()) => Ok(()),
    }
}

/// A plan that grows without end takes only this process with it.
fn limit_memory() {
    let limit = Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
    setrlimit(Resource::As, limit).unwrap();
}

/// The beginning of a query, and its end if it is long.
fn shown(sql: &str) -> String {
    match sql.char_indices().nth(400) {
        None => sql.to_owned(),
        Some((at, _)) => {
            let end = sql.char_indices().rev().nth(60).map_or(0, |(at, _)| at);
            format!("{} .. {} ({} bytes)", &sql[..at], &sql[end.max(at)..], sql.len())
        }
    }
}

#[test]
fn sql_of_any_depth_is_planned_or_refused_by_the_limit() {
    if let Some(last) = std::env::var_os(LAST) {
        limit_memory();
        let planner = std::thread::Builder::new().stack_size(STACK_BYTES);
        let planner = planner.spawn(move || plan_all(Path::new(&last))).unwrap();
        return planner.join().unwrap().unwrap_or_else(|fault| panic!("{fault}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last.sql");
    let own = std::thread::current().name().unwrap_or_default().to_owned();
    let mut planner = Command::new(std::env::current_exe().unwrap());
    planner.args(["--exact", &own, "--nocapture"]).env(LAST, &last);
    let output = planner.output().unwrap();
    let sql = fs::read_to_string(&last).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\nthe last one: {}", output.status, shown(&sql));
}
