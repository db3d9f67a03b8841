//! The questions of a run: checks that need all rows at once, asked of the rows in its scratch folder.

use arrow::datatypes::SchemaRef;
use longshore_engine::check::{KeptRows, Measure, QuestionRelation, ask};
use longshore_engine::plan::RunPlan;
use longshore_engine::transform::SpillingSession;
use longshore_model::config::job::JobRelation;
use longshore_model::error::Result;
use longshore_model::memory::Share;
use tokio::task::JoinSet;

use crate::manifest::RelationOutput;
use crate::retry::computed;
use crate::runner::ActiveRun;
use crate::scratch::Scratch;

/// What the questions of a relation found, each with the position of its check.
pub(super) type Answers = Vec<(usize, Measure)>;

/// All that questions need.
struct Questions {
    relations: Vec<(JobRelation, SchemaRef)>,
    tables: Vec<KeptRows>,
    scratch: Scratch,
}

impl ActiveRun<'_> {
    /// Asks the questions of all relations.
    pub(super) async fn ask(
        &self,
        plan: &RunPlan,
        finished: &[RelationOutput],
    ) -> Result<Vec<Answers>> {
        let mut checks = plan.relations.iter().flat_map(|plan| &plan.relation.checks);
        if !checks.any(|check| check.rule.needs_all_rows()) {
            return Ok(vec![Answers::new(); plan.relations.len()]);
        }
        let relations = plan.relations.iter();
        let relations = relations.map(|plan| (plan.relation.clone(), plan.physical.schema()));
        let tables = plan.relations.iter().zip(finished).map(|(plan, output)| {
            let kept = output.measures.values().flat_map(|found| &found.kept);
            let files = kept.map(|file| self.scratch.path().join(&file.name)).collect();
            KeptRows::new(plan.physical.schema(), plan.kept.clone(), files)
        });
        let tables = tables.collect();
        let scratch = self.scratch.clone();
        let questions = Questions { relations: relations.collect(), tables, scratch };
        computed(questions.ask(), &mut JoinSet::new(), self.runner.compute, "checking").await
    }
}

impl Questions {
    async fn ask(self) -> Result<Vec<Answers>> {
        let session = SpillingSession::new(self.scratch.path(), Share::Checks.bytes())?;
        let asked =
            self.relations.iter().map(|(relation, schema)| QuestionRelation { relation, schema });
        let asked: Vec<QuestionRelation<'_>> = asked.collect();
        let mut answers = Vec::new();
        for position in 0..asked.len() {
            answers.push(ask(position, &asked, &self.tables, &session).await?);
        }
        Ok(answers)
    }
}
