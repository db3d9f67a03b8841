//! A look at a job without running it, for transfers and for the program.

use longshore_engine::plan::RunPlan;
use longshore_model::config::Job;
use longshore_model::error::Result;
use longshore_run::inspection::{self, ConnectionTest, ExistingFiles, RelationPreview};
use longshore_run::known_load_state;
use longshore_run::ledger::Ledger;

use crate::host::Host;

impl Host {
    /// Tells what a run would do, and what it would find in the target, without reading rows.
    pub async fn plan(&self, job: &Job) -> Result<(RunPlan, Vec<ExistingFiles>)> {
        let loads = match Ledger::open_existing(&self.settings.state)? {
            None => Default::default(),
            Some(ledger) => known_load_state(&ledger, job)?,
        };
        let plugins = self.resolve(job).await?;
        let plan = inspection::plan(job, plugins, &self.settings, loads).await?;
        let there = inspection::existing_files(job, &self.settings).await?;
        Ok((plan, there))
    }

    /// Reads the first rows of each relation.
    pub async fn preview(&self, job: &Job, rows: usize) -> Result<Vec<RelationPreview>> {
        let (plugins, compute) = (self.resolve(job).await?, self.threads.compute.handle());
        inspection::preview(job, rows, plugins, &self.settings, compute).await
    }

    /// Asks the source, the target and the catalog.
    pub async fn test_connection(&self, job: &Job) -> Result<ConnectionTest> {
        inspection::test_connection(job, self.resolve(job).await?, &self.settings).await
    }
}
