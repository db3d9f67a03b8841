//! Lineage: what OpenLineage's collectors are told of runs, and of jobs that do not run yet. A run's events are
//! written into the outbox of the ledger, in the transaction of what they tell where there is one.

mod dataset;
mod event;
mod facet;
mod job_lineage;
mod name;
mod run_event;
mod run_uuid;

use longshore_engine::plan::RunPlan;
use longshore_model::config::lineage::{Lineage, Transport};
use longshore_model::config::{Job, ParentRun};
use longshore_model::error::{ErrorReport, Result};
use serde_json::{Value, json};

use crate::ledger::{Ledger, LineageStart, MessageKind, NewMessage};
use crate::report::{RunReport, Status};
use crate::trigger::Trigger;

pub use dataset::{DatasetName, FieldOrigin, InputDataset, OutputDataset};
pub use event::job_event;
pub use job_lineage::JobLineage;

use event::EventType;
use run_event::{FinalFacts, RunEvents};

/// What the events of a run are made of.
pub struct RunLineage<'a> {
    /// Where events are sent.
    pub settings: &'a Lineage,
    /// Where they are written.
    pub ledger: &'a Ledger,
}

impl RunLineage<'_> {
    /// What is told of a run that begins; nothing if nobody is told.
    pub(super) fn begun(
        &self,
        run: &str,
        job: &Job,
        trigger: Option<&Trigger>,
        parent: Option<&ParentRun>,
    ) -> Option<LineageStart> {
        let transport = self.settings.transport.as_ref().filter(|_| job.lineage)?;
        let events = RunEvents::begin(run, job, &self.settings.namespace, trigger, parent);
        let messages = vec![message(transport, events.event(EventType::Start))];
        Some(LineageStart { events: serde_json::to_string(&events).ok()?, messages })
    }

    /// Tells what a run will read and write. Nothing of it stops the run.
    pub(super) async fn tell_planned(&self, run: &str, job: &Job, plan: &RunPlan) {
        if let Err(error) = self.post_planned(run, job, plan).await {
            tracing::warn!("run {run}: no lineage of its plan: {error}");
        }
    }

    async fn post_planned(&self, run: &str, job: &Job, plan: &RunPlan) -> Result<()> {
        let Some(transport) = &self.settings.transport else { return Ok(()) };
        let Some(mut events) = self.ledger.lineage::<RunEvents>(run)? else { return Ok(()) };
        events.plan(&JobLineage::new(job, plan).await);
        let running = message(transport, events.event(EventType::Running));
        self.ledger.record_lineage(run, &events, &[running])
    }

    /// The message that a run has ended; none if nobody was told that it began.
    pub(super) fn ended(&self, report: &RunReport) -> Option<NewMessage> {
        let told = FinalFacts {
            error: report.error.as_ref(),
            published: &report.relations,
            checks: &report.checks,
        };
        self.end(&report.run, report.status, told)
    }

    /// The message that a run has ended whose job cannot be read any more.
    pub fn refused(&self, run: &str, status: Status, error: &ErrorReport) -> Option<NewMessage> {
        self.end(run, status, FinalFacts { error: Some(error), published: &[], checks: &[] })
    }

    fn end(&self, run: &str, status: Status, told: FinalFacts<'_>) -> Option<NewMessage> {
        let kind = match status {
            Status::Succeeded => EventType::Complete,
            Status::Failed => EventType::Fail,
            Status::Cancelled => EventType::Abort,
            Status::Interrupted => return None,
        };
        let transport = self.settings.transport.as_ref()?;
        let events = self.ledger.lineage::<RunEvents>(run).unwrap_or_else(|error| {
            tracing::warn!("run {run}: no lineage of its end: {error}");
            None
        });
        let mut events = events?;
        events.end(told);
        Some(message(transport, events.event(kind)))
    }
}

fn message(transport: &Transport, event: Value) -> NewMessage {
    NewMessage {
        kind: MessageKind::Lineage,
        destination: json!(transport).to_string(),
        body: event.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longshore_model::config::ParameterRecord;
    use longshore_model::error::Error;

    use super::*;
    use crate::ledger::{NewRun, Owner};
    use crate::phase::Outcome;
    use crate::trigger::TriggerKind;

    const RUN: &str = "20261129T020000Z-0a1b2c3d";

    fn begin(lineage: &RunLineage<'_>, job: &Job) {
        let trigger = Trigger {
            kind: TriggerKind::Schedule,
            key: "shop@2026-11-29T02:00:00Z".into(),
            scheduled: Some("2026-11-29T02:00:00Z".into()),
            requested: "2026-11-29T02:00:03Z".into(),
            requested_by: None,
        };
        let tell = lineage.begun(RUN, job, Some(&trigger), None);
        let new = NewRun {
            id: RUN,
            job: "shop",
            digest: "d",
            file: Path::new("/in/shop.yaml"),
            parameters: &ParameterRecord::default(),
            owner: Owner::Daemon,
        };
        lineage.ledger.begin_and_tell(&new, tell.as_ref()).unwrap();
    }

    fn event(message: &NewMessage) -> Value {
        assert_eq!(
            (message.kind, message.destination.as_str()),
            (MessageKind::Lineage, "\"console\"")
        );
        serde_json::from_str(&message.body).unwrap()
    }

    #[test]
    fn a_run_begins_once_and_ends_once() {
        let ledger = Ledger::in_memory().unwrap();
        let settings = Lineage { namespace: "n".into(), transport: Some(Transport::Console) };
        let lineage = RunLineage { settings: &settings, ledger: &ledger };
        let job = Job::of_files("shop", "file:///data/a.csv").unwrap();
        begin(&lineage, &job);
        // Another process takes it up.
        begin(&lineage, &job);
        assert_eq!(ledger.outbox_length().unwrap(), 1);
        let start = ledger.lease_message(std::time::Duration::from_secs(9)).unwrap().unwrap();
        let start: Value = serde_json::from_str(&start.body).unwrap();
        let nominal = &start["run"]["facets"]["nominalTime"]["nominalStartTime"];
        assert_eq!(
            (&start["eventType"], nominal),
            (&json!("START"), &json!("2026-11-29T02:00:00Z"))
        );
        let error = Error::data("bad").report();
        let failed = event(&lineage.refused(RUN, Status::Failed, &error).unwrap());
        assert_eq!(
            (&failed["eventType"], &failed["run"]["runId"]),
            (&json!("FAIL"), &start["run"]["runId"])
        );
        assert_eq!(failed["run"]["facets"]["errorMessage"]["message"], "bad");
        assert_eq!(lineage.refused(RUN, Status::Interrupted, &error), None);
        ledger.finish(RUN, Outcome::Failed, &json!({})).unwrap();
        assert_eq!(lineage.refused(RUN, Status::Failed, &error), None);
    }

    #[test]
    fn nobody_is_told_of_a_job_that_does_not_want_it() {
        let ledger = Ledger::in_memory().unwrap();
        let settings = Lineage { namespace: "n".into(), transport: Some(Transport::Console) };
        let lineage = RunLineage { settings: &settings, ledger: &ledger };
        let job = Job::of_files("shop", "file:///data/a.csv").unwrap();
        begin(&lineage, &Job { lineage: false, ..job });
        assert_eq!(ledger.outbox_length().unwrap(), 0);
        assert_eq!(lineage.refused(RUN, Status::Failed, &Error::data("bad").report()), None);
    }
}
