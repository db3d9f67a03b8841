//! What a run tells of drift: events, the log, and the figures.

use longshore_engine::plan::RunPlan;
use longshore_model::error::Result;
use longshore_model::figures::figures;

use crate::runner::ActiveRun;

impl ActiveRun<'_> {
    /// Tells of the changes that a new plan has found.
    pub(crate) fn tell_drift(&self, plan: &RunPlan) -> Result<()> {
        for relation in &plan.relations {
            let changes = relation.alignment.iter().flat_map(|aligned| &aligned.changes);
            for change in changes {
                let text = format!("{}: schema change: {change}", relation.relation.name);
                tracing::info!("run {}: {text}", self.id);
                self.ledger().schema_change(self.id, &text)?;
                figures().schema_changes.count(change.kind);
            }
        }
        Ok(())
    }
}
