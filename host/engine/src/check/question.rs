//! Questions: checks that need all rows at once, and become queries. Rows that a query gives fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use longshore_model::config::checks::Rule;
use longshore_model::config::job::JobRelation;
use longshore_model::error::{Error, Result, ResultExt};

use super::column::{is_moment, is_text, place, plain_type};
use super::kept_rows::KeptRows;
use super::measure::Measure;
use super::sample::{SAMPLE_LIMIT, Sample, samples};
use super::sum::has_sum;
use crate::datafusion_fault::from_datafusion;
use crate::transform::{Rows, SpillingSession};

/// The name under which a query sees the rows of the relation that is checked.
const TABLE: &str = "data";

/// The column of a query over groups that counts their rows.
const ROWS: &str = "rows";

/// A relation, as questions see it.
pub struct QuestionRelation<'a> {
    /// The relation.
    pub relation: &'a JobRelation,
    /// The columns of its rows.
    pub schema: &'a SchemaRef,
}

/// A name of the count that no column of the key has.
fn count_name(columns: &[String]) -> String {
    let mut name = ROWS.to_owned();
    while columns.iter().any(|column| column.eq_ignore_ascii_case(&name)) {
        name.insert(0, '_');
    }
    name
}

/// The query of a check; none where rows are measured as they are written.
fn query(rule: &Rule) -> Option<String> {
    match rule {
        Rule::Unique(columns) => {
            let keys = list(columns, ", ", quoted);
            let known = list(columns, " AND ", |column| format!("{} IS NOT NULL", quoted(column)));
            let rows = count_name(columns);
            Some(format!(
                "SELECT {keys}, count(*) AS {rows} FROM {TABLE} WHERE {known} GROUP BY {keys} HAVING count(*) > 1"
            ))
        }
        Rule::References { columns, relation, to } => {
            let own = list(columns, ", ", |column| format!("{TABLE}.{}", quoted(column)));
            let known =
                list(columns, " AND ", |column| format!("{TABLE}.{} IS NOT NULL", quoted(column)));
            let pairs = columns.iter().zip(to);
            let pairs: Vec<String> = pairs
                .map(|(own, other)| format!("other.{} = {TABLE}.{}", quoted(other), quoted(own)))
                .collect();
            Some(format!(
                "SELECT {own} FROM {TABLE} WHERE {known} AND NOT EXISTS (SELECT 1 FROM {} AS other WHERE {})",
                quoted(relation),
                pairs.join(" AND ")
            ))
        }
        Rule::Sql(sql) => Some(sql.clone()),
        _ => None,
    }
}

fn list(columns: &[String], between: &str, each: impl Fn(&str) -> String) -> String {
    columns.iter().map(|column| each(column)).collect::<Vec<_>>().join(between)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of each relation that questions need again, by the relation's position. What a query names must be
/// there.
pub async fn columns_to_keep(relations: &[QuestionRelation<'_>]) -> Result<Vec<BTreeSet<usize>>> {
    let mut kept = vec![BTreeSet::new(); relations.len()];
    for (position, asked) in relations.iter().enumerate() {
        for check in &asked.relation.checks {
            let Some(sql) = query(&check.rule) else { continue };
            let at = || format!("{}: check `{}`", asked.relation.name, check.name);
            check_columns(&check.rule, asked.schema, relations).context(at())?;
            let tables: Vec<KeptRows> =
                relations.iter().map(|other| KeptRows::planned(other.schema.clone())).collect();
            let named = named(position, relations, tables);
            let rows = Rows::over(named, &sql, Utc::now()).await.context(at())?;
            for (table, columns) in rows.columns_read().context(at())? {
                let of = position_of(position, relations, &table);
                kept[of].extend(columns);
                // A query that names no column counts rows.
                if kept[of].is_empty() {
                    kept[of].extend(narrowest(relations[of].schema));
                }
            }
        }
    }
    Ok(kept)
}

/// The column whose values take the fewest bytes.
fn narrowest(schema: &SchemaRef) -> Option<usize> {
    let bytes = |place: &usize| schema.field(*place).data_type().primitive_width();
    (0..schema.fields().len()).min_by_key(|place| bytes(place).unwrap_or(usize::MAX))
}

/// Refuses columns that are not there, in the words of columns, before a query is made of them.
fn check_columns(
    rule: &Rule,
    schema: &SchemaRef,
    relations: &[QuestionRelation<'_>],
) -> Result<()> {
    for column in rule.columns() {
        place(schema, column)?;
    }
    let Rule::References { columns, relation, to } = rule else { return Ok(()) };
    let other = relations.iter().find(|other| other.relation.name == *relation);
    let other = other.ok_or_else(|| Error::internal(format!("no relation `{relation}`")))?;
    for (column, to) in columns.iter().zip(to) {
        let own = schema.field(place(schema, column)?);
        let theirs = place(other.schema, to).context(relation.clone())?;
        let theirs = other.schema.field(theirs);
        if !are_comparable(plain_type(own), plain_type(theirs)) {
            let (own, theirs) = (plain_type(own), plain_type(theirs));
            let text = format!("`{column}` is {own}, and `{to}` of `{relation}` is {theirs}");
            return Err(Error::config(text).with_hint("cast one of them in an `sql` step"));
        }
    }
    Ok(())
}

/// Whether values of two types are equal only if they are the same.
fn are_comparable(one: &DataType, other: &DataType) -> bool {
    let both = |is_fit: fn(&DataType) -> bool| is_fit(one) && is_fit(other);
    one == other || both(is_text) || both(has_sum) || both(is_moment)
}

/// The tables of a query: the relation itself as `data`, and all by their names.
fn named<'a, T: Clone + TableProvider + 'static>(
    position: usize,
    relations: &'a [QuestionRelation<'_>],
    tables: Vec<T>,
) -> Vec<(&'a str, Arc<dyn TableProvider>)> {
    let mut named: BTreeMap<&str, Arc<dyn TableProvider>> = BTreeMap::new();
    for (asked, table) in relations.iter().zip(&tables) {
        named.insert(&asked.relation.name, Arc::new(table.clone()));
    }
    named.insert(TABLE, Arc::new(tables[position].clone()));
    named.into_iter().collect()
}

fn position_of(own: usize, relations: &[QuestionRelation<'_>], table: &str) -> usize {
    match table {
        TABLE => own,
        name => relations.iter().position(|other| other.relation.name == name).unwrap_or(own),
    }
}

/// Asks the questions of a relation; gives what each check found, by its position.
pub async fn ask(
    position: usize,
    relations: &[QuestionRelation<'_>],
    tables: &[KeptRows],
    session: &SpillingSession,
) -> Result<Vec<(usize, Measure)>> {
    let mut found = Vec::new();
    for (number, check) in relations[position].relation.checks.iter().enumerate() {
        let Some(sql) = query(&check.rule) else { continue };
        let named = named(position, relations, tables.to_vec());
        let measure = failing(session, named, &sql, matches!(check.rule, Rule::Unique(_))).await;
        let at = format!("{}: check `{}`", relations[position].relation.name, check.name);
        found.push((number, measure.context(at)?));
    }
    Ok(found)
}

/// Counts the rows that a query gives, and shows some.
async fn failing(
    session: &SpillingSession,
    tables: Vec<(&str, Arc<dyn TableProvider>)>,
    sql: &str,
    is_counted: bool,
) -> Result<Measure> {
    let plan = session.plan(tables, sql).await?;
    let mut batches = execute_stream(plan, session.task_context()).map_err(from_datafusion)?;
    let (mut rows, mut shown) = (0, Vec::new());
    while let Some(batch) = batches.try_next().await.map_err(from_datafusion)? {
        rows += if is_counted { counted(&batch) } else { batch.num_rows() as u64 };
        shown.extend(first(&batch, SAMPLE_LIMIT - shown.len())?);
    }
    Ok(Measure::Failing { rows, samples: shown })
}

/// The rows of groups, whose last column counts them.
fn counted(batch: &RecordBatch) -> u64 {
    let counts = batch.columns().last().and_then(|column| column.as_primitive_opt::<Int64Type>());
    counts.map_or(0, |counts| counts.iter().flatten().map(|count| count.unsigned_abs()).sum())
}

fn first(batch: &RecordBatch, limit: usize) -> Result<Vec<Sample>> {
    let batch = batch.slice(0, limit.min(batch.num_rows()));
    let all = BooleanArray::from(vec![true; batch.num_rows()]);
    let columns: Vec<usize> = (0..batch.num_columns()).collect();
    samples(&batch, &all, &columns, limit)
}
