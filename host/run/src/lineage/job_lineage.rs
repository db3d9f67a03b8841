//! `JobLineage`: the datasets that a job reads and writes, and which columns come from which.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::datatypes::FieldRef;
use longshore_engine::lineage::{Dependencies, InputColumn, Transformation};
use longshore_engine::plan::{ColumnPlan, RelationPlan, RunPlan};
use longshore_model::config::Job;
use longshore_model::config::job::{Input, Source};
use longshore_model::config::target::To;
use longshore_model::relation::Relation;
use serde_json::Value;
use tokio::time::timeout;

use super::dataset::{DatasetField, DatasetName, FieldOrigin, InputDataset, OutputDataset};
use super::name::{source, target};

/// What a job reads and writes.
#[derive(Clone, Debug, Default)]
pub struct JobLineage {
    /// What it reads; each dataset once.
    pub inputs: Vec<InputDataset>,
    /// What it writes, in the job's order.
    pub outputs: Vec<OutputDataset>,
    /// The inputs whose rows are published as they are, with the output that has them, by their places.
    pub(super) copies: Vec<(usize, usize)>,
}

impl JobLineage {
    /// The lineage of a job by its plan. The source is asked what its queries read, for a limited time.
    pub async fn new(job: &Job, plan: &RunPlan) -> Self {
        let mut lineage = Self::default();
        let mut places = BTreeMap::new();
        let tables = tables_of_queries(plan).await;
        for relation in &plan.relations {
            lineage.add_relation(job, relation, &tables, &mut places);
        }
        lineage
    }

    fn add_relation(
        &mut self,
        job: &Job,
        plan: &RelationPlan,
        tables: &BTreeMap<String, Vec<String>>,
        places: &mut BTreeMap<DatasetName, usize>,
    ) {
        let mut read = Vec::new();
        for (number, input) in plan.relation.inputs.iter().enumerate() {
            let columns: Vec<&ColumnPlan> =
                plan.columns.iter().filter(|column| column.input == number).collect();
            let datasets = datasets(job, input, tables);
            let is_table = matches!(input.relation, Relation::Table(_));
            for dataset in &datasets {
                let fields = if is_table {
                    fields(&columns, matches!(job.source, Source::Files(_)))
                } else {
                    Vec::new()
                };
                let place = *places.entry(dataset.clone()).or_insert_with(|| {
                    self.inputs.push(InputDataset { dataset: dataset.clone(), fields: Vec::new() });
                    self.inputs.len() - 1
                });
                self.inputs[place].add(fields);
            }
            read.push(ReadInput { dataset: datasets.into_iter().next(), is_table, columns });
        }
        let is_copy = plan.relation.sql.is_none() && job.steps.is_empty();
        if let [ReadInput { dataset: Some(dataset), is_table: true, .. }] = read.as_slice()
            && is_copy
            && let Some(place) = places.get(dataset)
        {
            self.copies.push((*place, self.outputs.len()));
        }
        self.outputs.push(output(job, plan, &read));
    }

    /// What it reads, as events have it.
    pub(super) fn inputs_json(&self) -> Vec<Value> {
        self.inputs.iter().map(InputDataset::to_json).collect()
    }

    /// What it writes, as events have it.
    pub(super) fn outputs_json(&self) -> Vec<Value> {
        self.outputs.iter().map(OutputDataset::to_json).collect()
    }
}

/// An input of a relation.
struct ReadInput<'a> {
    /// The dataset that it is; none if it is not known.
    dataset: Option<DatasetName>,
    /// Whether it is a table: of a query, the columns are not the dataset's.
    is_table: bool,
    columns: Vec<&'a ColumnPlan>,
}

/// How long the source may take to tell what the queries of a run read. What it has told by then counts.
const QUERIES_TIMEOUT_SECS: u64 = 10;

/// The names of the tables that a query reads, together.
const NAMES_LIMIT_BYTES: usize = 64 << 10;

/// The tables that the queries of a run read, as far as the source knows. It sees what is behind views.
async fn tables_of_queries(plan: &RunPlan) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    let inputs = plan.relations.iter().flat_map(|relation| &relation.relation.inputs);
    let asking = async {
        for input in inputs {
            let Relation::Query(query) = &input.relation else { continue };
            match plan.source.tables_of_query(query).await {
                Ok(found) if found.iter().map(String::len).sum::<usize>() > NAMES_LIMIT_BYTES => {
                    tracing::debug!("{}: the names of what it reads are too long", input.name);
                }
                Ok(found) => drop(tables.insert(query.clone(), found)),
                Err(error) => tracing::debug!("{}: what it reads: {error}", input.name),
            }
        }
    };
    if timeout(Duration::from_secs(QUERIES_TIMEOUT_SECS), asking).await.is_err() {
        tracing::debug!("the source did not tell in time what its queries read");
    }
    tables
}

/// The datasets of an input: several for a query over several tables. What the source does not know of a
/// query is read from its text.
fn datasets(job: &Job, input: &Input, tables: &BTreeMap<String, Vec<String>>) -> Vec<DatasetName> {
    match (&job.source, &input.relation) {
        (Source::Files(files), Relation::Table(path)) => vec![source::of_files(files, path)],
        (Source::Files(_), Relation::Query(_)) => Vec::new(),
        (Source::Connector(connector), Relation::Table(table)) => {
            vec![source::of_table(connector, table)]
        }
        (Source::Connector(connector), Relation::Query(query)) => match tables.get(query) {
            Some(tables) if !tables.is_empty() => {
                tables.iter().map(|table| source::of_table(connector, table)).collect()
            }
            _ => source::of_query(connector, query),
        },
    }
}

/// The fields of what is read. A file's columns have no types but Arrow's: what stands for one is its format.
fn fields(columns: &[&ColumnPlan], is_file: bool) -> Vec<DatasetField> {
    let field = |column: &&ColumnPlan| DatasetField {
        name: column.own_name.clone(),
        r#type: match column.source.source_type.as_str() {
            _ if is_file => column.arrow.clone(),
            "" => column.arrow.clone(),
            source_type => source_type.to_owned(),
        },
    };
    columns.iter().map(field).collect()
}

fn output(job: &Job, plan: &RelationPlan, read: &[ReadInput<'_>]) -> OutputDataset {
    let relation = &plan.relation.name;
    let field = |field: &FieldRef| DatasetField {
        name: field.name().clone(),
        r#type: field.data_type().to_string(),
    };
    let fields = plan.lineage.as_ref().map(|lineage| {
        let fields = plan.written.fields().iter().zip(&lineage.columns);
        fields.map(|(field, of)| (field.name().clone(), origins(of, read))).collect()
    });
    let rows = plan.lineage.as_ref().map(|lineage| origins(&lineage.rows, read));
    OutputDataset {
        relation: relation.clone(),
        dataset: target::of_relation(&job.target, relation),
        table: job.register.as_ref().map(|register| target::of_registered(register, relation)),
        format: match &job.target.to {
            To::Folder(_, format) => Some(format.name()),
            To::Sink(_) => None,
        },
        fields: plan.published.fields().iter().map(field).collect(),
        origins: fields,
        row_origins: rows.unwrap_or_default(),
    }
}

/// The fields of datasets that something depends on.
fn origins(of: &Dependencies, read: &[ReadInput<'_>]) -> Vec<FieldOrigin> {
    let origin = |(column, transformations): (InputColumn, &BTreeSet<Transformation>)| {
        let input = read.get(column.input).filter(|input| input.is_table)?;
        Some(FieldOrigin {
            dataset: input.dataset.clone()?,
            field: input.columns.get(column.column)?.own_name.clone(),
            transformations: transformations.iter().copied().collect(),
        })
    };
    of.iter().filter_map(origin).collect()
}
