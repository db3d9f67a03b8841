//! A second look at the target before a commit: another run may have published other columns meanwhile.

use longshore_engine::drift::{ColumnRecord, Rule};
use longshore_model::error::{Class, Error, Result};

use super::expected::ExpectedColumns;
use crate::manifest::RelationOutput;
use crate::retry::Work;
use crate::runner::ActiveRun;

impl ActiveRun<'_> {
    /// Starts the run again if the target has other columns now than its rows were aligned with, and than they
    /// have. The run holds its names there: nobody else publishes any others.
    pub(crate) async fn check_expected(&self, finished: &[RelationOutput]) -> Result<()> {
        if !self.job.target.mode.adds_beside() {
            return Ok(());
        }
        let look = || ExpectedColumns::of_job(self.job, self.target(), &[]);
        let now = self.retry().run(Work::Request, "looking at the target's columns", look).await?;
        let before = self.ledger().expected(self.id)?;
        for (position, (now, finished)) in now.into_iter().zip(finished).enumerate() {
            let Some(ExpectedColumns { name, expectation }) = now else { continue };
            let before = before.get(position).and_then(Option::as_ref);
            let is_as_before = before.is_some_and(|own| own.columns == expectation.columns);
            let is_alike = || ColumnRecord::of_schema(&finished.schema) == expectation.columns;
            if expectation.rule != Rule::Report && !is_as_before && !is_alike() {
                let url = self.target().url(&name);
                let text = format!("{url}: another run has published other columns");
                return Err(Error::new(Class::Stale, text));
            }
        }
        Ok(())
    }
}
