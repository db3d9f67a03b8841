//! Sums that the source knows, too. It is asked for them before anything is read, in the snapshot that is read.

use longshore_engine::check::Sum;
use longshore_engine::plan::{Planner, ResumeState, RunPlan};
use longshore_model::config::Job;
use longshore_model::config::checks::{Check, Rule};
use longshore_model::config::job::{Input, JobRelation};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::relation::Relation;

use crate::inspection::{first_rows, rows_as_texts};
use crate::runner::ActiveRun;

impl ActiveRun<'_> {
    /// Asks the source for the sums that it has not been asked for, and records them.
    pub(crate) async fn ask_for_sums(&self, plan: &RunPlan) -> Result<()> {
        let known = self.ledger().source_sums(self.id)?;
        for (relation, planned) in plan.relations.iter().enumerate() {
            for (position, check) in planned.relation.checks.iter().enumerate() {
                let Rule::Sum { query, .. } = &check.rule else { continue };
                if known.contains_key(&(relation, position)) {
                    continue;
                }
                let at = || format!("{}: check `{}`", planned.relation.name, check.name);
                let sum = self.ask_for_sum(plan, check, query).await.context(at())?;
                self.ledger().record_source_sum(self.id, relation, position, &sum.to_string())?;
            }
        }
        Ok(())
    }

    async fn ask_for_sum(&self, plan: &RunPlan, check: &Check, query: &str) -> Result<Sum> {
        let relation = Relation::Query(query.to_owned());
        let input = Input {
            name: check.rule.kind().to_owned(),
            relation,
            chunk_by: None,
            incremental: None,
        };
        let relations = vec![JobRelation::from(input)];
        let job = Job { relations, steps: Vec::new(), consistency: None, ..self.job.clone() };
        let resume = ResumeState { snapshot: Some(plan.snapshot.clone()), scans: None };
        let planner = Planner::new(self.plugins().await?.clone(), self.runner.settings);
        let planner = Planner { limit: Some(2), resume, ..planner };
        let asked = planner.plan_on_own_thread(&job, plan.source.clone()).await?;
        let batches = first_rows(&asked.relations[0], self.runner.compute).await?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(rows_as_texts(batch)?);
        }
        let wrong = |what: String| {
            Error::data(format!("`sum.query` gives {what}"))
                .with_hint("write a query of one exact number: SELECT sum(amount) FROM orders")
        };
        match rows.as_slice() {
            [row] => match row.as_slice() {
                // The sum of no rows.
                [None] => Ok(Sum::ZERO),
                [Some(text)] => Sum::read(text).ok_or_else(|| wrong(format!("`{text}`"))),
                _ => Err(wrong("several columns".into())),
            },
            [] => Err(wrong("no row".into())),
            _ => Err(wrong("several rows".into())),
        }
    }
}
