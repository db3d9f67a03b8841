//! A look at the drift of a job, without running it.

use std::sync::Arc;

use longshore_engine::drift::{Alignment, ColumnRecord, Expectation, schema_digest};
use longshore_engine::plan::Planner;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result};
use longshore_plugins::PluginSet;

use super::expected::ExpectedColumns;
use super::refusal::check_columns;
use crate::destination::Destination;
use crate::ledger::{AcceptedSchema, Ledger};

/// A relation's columns, beside those of its target.
pub struct RelationDrift {
    /// The relation's name in the job.
    pub relation: String,
    /// What lies in the target; absent, if nobody has published it yet.
    pub target: Option<String>,
    /// The columns that the source gives, after the job's steps.
    pub columns: Vec<ColumnRecord>,
    /// How they go with those of the target, if there are any.
    pub alignment: Option<Alignment>,
    expectation: Option<Expectation>,
    schema: arrow::datatypes::SchemaRef,
}

/// What is expected of a job's relations, in the job's order.
pub(crate) async fn expected_of(
    job: &Job,
    plugins: &PluginSet,
    settings: &Settings,
) -> Result<Vec<Option<Expectation>>> {
    let destination = Destination::open(job, plugins, settings, None).await?;
    let expected =
        ExpectedColumns::of_job(job, destination.target(), &accepted_of(job, settings)?).await?;
    Ok(expected.into_iter().map(|own| own.map(|own| own.expectation)).collect())
}

/// The schemas of a job that are accepted.
fn accepted_of(job: &Job, settings: &Settings) -> Result<Vec<AcceptedSchema>> {
    match Ledger::open_existing(&settings.state)? {
        None => Ok(Vec::new()),
        Some(ledger) => ledger.accepted_schemas(&job.name),
    }
}

/// The drift of a job's relations, in the job's order. Nothing is read but what planning asks the source.
pub async fn drift_of_job(
    job: &Job,
    plugins: Arc<PluginSet>,
    settings: &Settings,
) -> Result<Vec<RelationDrift>> {
    let destination = Destination::open(job, &plugins, settings, None).await?;
    let target = destination.target();
    let expected = ExpectedColumns::of_job(job, target, &accepted_of(job, settings)?).await?;
    let plan = Planner::new(plugins, settings).plan(job).await?;
    plan.source.release().await;
    let drift = plan.relations.iter().zip(expected).map(|(relation, expected)| {
        let schema = relation.loaded.clone();
        let url = expected.as_ref().map(|expected| target.url(&expected.name));
        let expectation = expected.map(|expected| expected.expectation);
        RelationDrift {
            relation: relation.relation.name.clone(),
            target: url,
            columns: ColumnRecord::of_schema(&schema),
            alignment: expectation
                .as_ref()
                .map(|expected| expected.align_seen(&schema, &relation.untyped)),
            expectation,
            schema,
        }
    });
    Ok(drift.collect())
}

impl RelationDrift {
    /// Whether the columns differ from those of the target.
    pub fn is_drifted(&self) -> bool {
        self.alignment.as_ref().is_some_and(|aligned| !aligned.changes.is_empty())
    }

    /// Accepts the columns; gives how they go with those of the target then.
    pub fn accept(&self, job: &Job, ledger: &Ledger) -> Result<Alignment> {
        let (Some(expectation), Some(url)) = (&self.expectation, &self.target) else {
            return Err(Error::config(format!("{}: nothing is published yet", self.relation))
                .with_hint("run the job: the first run takes the columns as they are"));
        };
        let digest = schema_digest(&self.columns);
        let expectation = Expectation { accepted: Some(digest.clone()), ..expectation.clone() };
        let alignment = expectation.align(&self.schema);
        check_columns(url, job.target.mode, Some(&alignment))?;
        let accepted = AcceptedSchema {
            relation: self.relation.clone(),
            digest,
            columns: self.columns.clone(),
        };
        ledger.accept_schema(&job.name, &accepted)?;
        Ok(alignment)
    }
}
