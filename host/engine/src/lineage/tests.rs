//! The lineage of queries: as it is expected, and against what happens to the output when an input changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::physical_plan::collect;

use super::{Dependencies, InputColumn, LineageTable, Transformation};
use crate::transform::{Rows, task_context};

/// The columns of the inputs `a` and `b`.
const COLUMNS: [[&str; 3]; 2] = [["id", "x", "s"], ["id", "y", "t"]];

/// The values of the columns, of which a text column has the digits.
const VALUES: [[[Option<i64>; 6]; 3]; 2] = [
    [
        [Some(1), Some(2), Some(3), Some(4), Some(5), Some(5)],
        [Some(10), None, Some(30), Some(10), Some(-5), Some(60)],
        [Some(7), Some(8), Some(7), None, Some(9), Some(7)],
    ],
    [
        [Some(2), Some(3), Some(3), Some(5), Some(6), None],
        [Some(1), Some(40), Some(3), Some(0), Some(2), Some(5)],
        [Some(7), Some(7), None, Some(1), Some(2), Some(3)],
    ],
];

/// Queries of all kinds, over `a` and `b`; steps over `data` follow behind `|>`.
const QUERIES: &[&str] = &[
    "SELECT * FROM a",
    "SELECT id, x + 1 AS x, upper(s) AS s FROM a WHERE x > 5",
    "SELECT s AS id, id AS s FROM a ORDER BY x LIMIT 2",
    "SELECT a.id, a.x, b.y FROM a JOIN b ON a.id = b.id",
    "SELECT a.id, b.y, b.t FROM a LEFT JOIN b USING (id)",
    "SELECT a.id, b.y FROM a FULL JOIN b ON a.id = b.id AND a.x > b.y",
    "SELECT x FROM a WHERE id IN (SELECT id FROM b WHERE y > 1)",
    "SELECT x FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.id = a.id)",
    "SELECT x FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.id = a.id AND b.t = a.s)",
    "SELECT id, (SELECT max(y) FROM b WHERE b.id = a.id) AS m FROM a",
    "SELECT id, (SELECT sum(y) FROM b) AS m FROM a",
    "SELECT s, sum(x) AS n, count(*) AS c FROM a GROUP BY s",
    "SELECT s, sum(x) AS n FROM a GROUP BY s HAVING min(id) > 1",
    "SELECT sum(x) FILTER (WHERE id > 2) AS n, max(s) AS s FROM a",
    "SELECT s, id, sum(x) AS n FROM a GROUP BY ROLLUP (s, id)",
    "SELECT s, id, count(*) AS n FROM a GROUP BY GROUPING SETS ((s), (id), ())",
    "SELECT id, row_number() OVER (PARTITION BY s ORDER BY x) AS n FROM a",
    "SELECT id, sum(x) OVER (ORDER BY id) AS n, lag(s) OVER (ORDER BY id) AS before FROM a",
    "SELECT CASE WHEN x > 5 THEN s ELSE 'none' END AS c, id FROM a",
    "SELECT coalesce(s, cast(x AS VARCHAR)) AS c FROM a",
    "SELECT DISTINCT s, x FROM a",
    "SELECT DISTINCT ON (s) s, x FROM a ORDER BY s, id",
    "SELECT id, x AS v FROM a UNION ALL SELECT id, y FROM b",
    "SELECT id, s FROM a UNION SELECT id, t FROM b",
    "SELECT id FROM a INTERSECT SELECT id FROM b",
    "SELECT id FROM a EXCEPT SELECT id FROM b WHERE y > 1",
    "WITH big AS (SELECT id, x FROM a WHERE x > 5) SELECT big.id, b.t FROM big, b WHERE big.x > b.y",
    "SELECT id, v FROM (SELECT id, unnest([x, id]) AS v FROM a) AS u",
    "WITH RECURSIVE r AS (SELECT id, x FROM a WHERE id < 3 UNION ALL
       SELECT r.id + 1, b.y FROM r JOIN b ON b.id = r.id WHERE r.id < 5) SELECT id, x FROM r",
    "SELECT md5(s) AS s, md5(s) = 'x' AS same FROM a",
    "SELECT 1 AS one, 'text' AS t",
    "SELECT v.n, a.id FROM a, (VALUES (1), (2)) AS v (n)",
    "SELECT id, x FROM a |> SELECT x * 2 AS z, id FROM data WHERE id > 2 |> SELECT sum(z) AS z FROM data",
    "SELECT a.id AS i, b.id AS j FROM a CROSS JOIN b |> SELECT i - j AS d FROM data ORDER BY j",
    "SELECT x FROM a WHERE x = (SELECT max(x) FROM a AS inner_a WHERE inner_a.s = a.s)",
    "SELECT id IS NULL AS n, s LIKE '7%' AS l, x BETWEEN 1 AND id AS w, s IN ('7', '8') AS i FROM a",
];

/// An input with some other values in one column.
fn table(input: usize, changed: Option<(InputColumn, usize)>) -> Arc<dyn TableProvider> {
    let column = |column: usize| -> ArrayRef {
        let is_changed = |at: &(InputColumn, usize)| at.0 == InputColumn { input, column };
        let values = VALUES[input][column];
        let values = match changed.filter(is_changed) {
            None => values,
            Some((_, 0)) => values.map(|value| value.map(|value| value + 3)),
            Some((_, 1)) => values.map(|_| Some(2)),
            Some((_, 2)) => std::array::from_fn(|row| values[values.len() - 1 - row]),
            Some(_) => values.map(|value| value.filter(|value| value % 2 == 0)),
        };
        if column == 2 {
            let texts = values.map(|value| value.map(|value| value.to_string()));
            Arc::new(StringArray::from(texts.to_vec()))
        } else {
            Arc::new(Int64Array::from(values.to_vec()))
        }
    };
    let columns = COLUMNS[input].iter().enumerate().map(|(at, name)| (*name, column(at), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
    Arc::new(LineageTable::of_input(input, Arc::new(table)))
}

async fn rows(query: &str, changed: Option<(InputColumn, usize)>) -> Rows {
    let mut steps = query.split("|>");
    let tables = [("a", table(0, changed)), ("b", table(1, changed))];
    let mut rows = Rows::over(tables, steps.next().unwrap(), chrono::Utc::now()).await.unwrap();
    for step in steps {
        rows = rows.sql(step, chrono::Utc::now()).await.unwrap();
    }
    rows
}

/// The values of each column of a query, sorted; none if it fails with these values.
async fn values(query: &str, changed: Option<(InputColumn, usize)>) -> Option<Vec<Vec<String>>> {
    let plan = rows(query, changed).await.into_plan().await.unwrap();
    let columns = plan.schema().fields().len();
    let batches = collect(plan, task_context(|config| config).unwrap()).await.ok()?;
    let column = |column: usize| {
        let of = |batch: &RecordBatch| -> Vec<String> {
            let cell = |row| array_value_to_string(batch.column(column), row).unwrap();
            (0..batch.num_rows()).map(cell).collect()
        };
        let mut values: Vec<String> = batches.iter().flat_map(of).collect();
        values.sort();
        values
    };
    Some((0..columns).map(column).collect())
}

fn depends(on: &Dependencies, column: InputColumn) -> bool {
    on.iter().any(|(found, _)| found == column)
}

#[tokio::test]
async fn an_output_changes_only_with_what_it_depends_on() {
    let mut changes = 0;
    for query in QUERIES {
        let lineage = rows(query, None).await.lineage().unwrap_or_else(|| panic!("{query}"));
        let before = values(query, None).await.unwrap();
        assert_eq!(lineage.columns.len(), before.len(), "{query}");
        for (input, column, how) in places(2, 3, 4) {
            let changed = InputColumn { input, column };
            let Some(after) = values(query, Some((changed, how))).await else { continue };
            for (output, (before, after)) in before.iter().zip(&after).enumerate() {
                let is_told =
                    depends(&lineage.columns[output], changed) || depends(&lineage.rows, changed);
                changes += usize::from(before != after);
                assert!(before == after || is_told, "{query}: {output} by {changed:?}");
            }
        }
    }
    assert!(changes > 200, "{changes} changes are too few to tell anything");
}

/// All places of a cube.
fn places(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |n| (n / (b * c), n / c % b, n % c))
}

/// The lineage of a query, in words.
async fn told(query: &str) -> String {
    let rows = rows(query, None).await;
    let lineage = rows.lineage().unwrap();
    let schema = rows.into_plan().await.unwrap().schema();
    let words = |of: &Dependencies| {
        let column = |(column, how): (InputColumn, &BTreeSet<Transformation>)| {
            let how = how.iter().map(|how| {
                let masked = if how.is_masking { "*" } else { "" };
                format!("{}{masked}", how.kind.name())
            });
            let how = how.collect::<Vec<_>>().join("+");
            format!("{}.{} {how}", ["a", "b"][column.input], COLUMNS[column.input][column.column])
        };
        of.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    let names = schema.fields().iter().map(|field| field.name().clone());
    let columns = names.zip(&lineage.columns).map(|(name, of)| format!("{name}: {}", words(of)));
    let rows = Some(format!("rows: {}", words(&lineage.rows)));
    columns.chain(rows).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_dependency_says_how_a_column_takes_part() {
    let copied = "id: a.id IDENTITY\nv: a.x TRANSFORMATION\nrows: a.s FILTER";
    assert_eq!(told("SELECT id, x + 1 AS v FROM a WHERE s = '7'").await, copied);
    let grouped = "s: a.s IDENTITY\nn: a.x AGGREGATION\nc: a.id AGGREGATION*\nrows: a.s GROUP_BY";
    assert_eq!(told("SELECT s, sum(x) AS n, count(id) AS c FROM a GROUP BY s").await, grouped);
    let joined = "x: a.x IDENTITY\ny: b.y IDENTITY\nrows: a.id JOIN, a.x SORT, b.id JOIN";
    let join = "SELECT a.x, b.y FROM a JOIN b ON a.id = b.id ORDER BY a.x";
    assert_eq!(told(join).await, joined);
    let chosen = "c: a.x CONDITIONAL, a.s TRANSFORMATION\nrows: ";
    assert_eq!(told("SELECT CASE WHEN x > 5 THEN s END AS c FROM a").await, chosen);
    let window = "n: a.x AGGREGATION, a.s WINDOW\nrows: ";
    assert_eq!(told("SELECT sum(x) OVER (PARTITION BY s) AS n FROM a").await, window);
    let masked = "h: a.s TRANSFORMATION*\nrows: ";
    assert_eq!(told("SELECT md5(s) AS h FROM a |> SELECT upper(h) AS h FROM data").await, masked);
    let steps = "n: a.x AGGREGATION\nrows: a.id FILTER, a.s SORT";
    let query =
        "SELECT * FROM a ORDER BY s LIMIT 4 |> SELECT sum(x * 2) AS n FROM data WHERE id > 1";
    assert_eq!(told(query).await, steps);
    let both = "v: a.x IDENTITY, b.y IDENTITY\nrows: ";
    assert_eq!(told("SELECT x AS v FROM a UNION ALL SELECT y FROM b").await, both);
}
