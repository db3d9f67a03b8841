//! The checks of a run: judged when all is read, before anything is published.

mod judgement;
mod result;

use chrono::{DateTime, Utc};
use longshore_engine::check::ChunkChecks;
use longshore_engine::plan::RelationPlan;
use longshore_model::config::checks::{CheckOutcome, Severity};
use longshore_model::error::{Error, Result};
use longshore_model::figures::figures;
use longshore_model::format::counted;

use super::manifest::RelationOutput;
use super::preparation::Preparation;
use super::run_end::RunEnd;
use super::runner::ActiveRun;
use judgement::{Circumstances, judge};

pub use result::{CheckReport, CheckResult};

/// The code of an error that tells of checks that failed.
const CHECK: &str = "check";

impl ActiveRun<'_> {
    /// Judges all checks of all relations. The run fails if one of them does, and is to make it fail.
    pub(super) fn check(
        &self,
        Preparation { plan, .. }: &Preparation,
        finished: &mut [RelationOutput],
    ) -> Result<(), RunEnd> {
        let mut reports = Vec::new();
        for (relation, output) in plan.relations.iter().zip(&mut *finished) {
            output.checks = self.check_relation(relation, output)?;
            let name = &relation.relation.name;
            reports.extend(output.checks.iter().map(|result| CheckReport::new(name, result)));
        }
        for report in reports.iter().filter(|report| report.result.outcome != CheckOutcome::Passed)
        {
            tracing::warn!("run {}: {report}", self.id);
            self.ledger().event(self.id, &report.to_string())?;
        }
        let failed = failure(&reports);
        self.keep_checks(reports);
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn check_relation(
        &self,
        relation: &RelationPlan,
        output: &RelationOutput,
    ) -> Result<Vec<CheckResult>> {
        let mut found = ChunkChecks::default();
        output.measures.values().for_each(|chunk| found.merge(chunk.clone()));
        let name = &relation.relation.name;
        let circumstances = Circumstances {
            rows: found.rows,
            last_rows: self.ledger().last_rows(&self.job.name, name, self.id)?,
            time: self.reference_time(),
        };
        let checks = relation.relation.checks.iter().zip(found.measures);
        let results = checks.map(|(check, measure)| judge(check, measure, &circumstances));
        let results: Vec<CheckResult> = results.collect();
        results.iter().for_each(|result| figures().checks.count(result.severity, result.outcome));
        Ok(results)
    }

    /// The time that the run is for: its scheduled time, or else when it began.
    fn reference_time(&self) -> DateTime<Utc> {
        let scheduled = self.trigger.as_ref().and_then(|trigger| trigger.scheduled.as_deref());
        let scheduled = scheduled.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        scheduled.map_or(self.created, |time| time.to_utc())
    }
}

/// The error of a run of which checks fail that are to make it fail.
fn failure(reports: &[CheckReport]) -> Option<Error> {
    let is_fatal = |report: &&CheckReport| {
        report.result.severity != Severity::Warn && report.result.outcome == CheckOutcome::Failed
    };
    let fatal: Vec<String> =
        reports.iter().filter(is_fatal).map(|report| report.to_string()).collect();
    if fatal.is_empty() {
        return None;
    }
    let text = format!("{} failed: {}", counted(fatal.len() as u64, "check"), fatal.join("; "));
    Some(Error::data(text).with_code(Some(CHECK.to_owned())).with_hint(
        "nothing is published; correct the rows at the source, or give the check `allow` or `severity: warn`",
    ))
}
