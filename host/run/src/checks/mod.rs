//! The checks of a run: judged when all is read, before anything is published.

mod judgement;
mod questions;
mod source_sums;

use chrono::{DateTime, Utc};
use longshore_engine::check::ChunkChecks;
use longshore_engine::plan::RelationPlan;
use longshore_model::config::checks::{Check, CheckOutcome, Rule, Severity};
use longshore_model::error::{Error, Result};
use longshore_model::figures::figures;
use longshore_model::format::counted;

use super::check_result::{CheckReport, CheckResult};
use super::manifest::RelationOutput;
use super::preparation::Preparation;
use super::run_end::RunEnd;
use super::runner::ActiveRun;
use judgement::{Circumstances, judge};
use questions::Answers;

/// The code of an error that tells of checks that failed.
const CHECK: &str = "check";

impl ActiveRun<'_> {
    /// Judges all checks of all relations. The run fails if one of them does, and is to make it fail.
    pub(super) async fn check(
        &self,
        Preparation { plan, .. }: &Preparation,
        finished: &mut [RelationOutput],
    ) -> Result<(), RunEnd> {
        let answers = self.ask(plan, finished).await?;
        let sums = self.ledger().source_sums(self.id)?;
        let mut reports = Vec::new();
        let relations = plan.relations.iter().zip(answers).enumerate();
        for ((index, (relation, answers)), output) in relations.zip(&mut *finished) {
            let sums = |position| sums.get(&(index, position)).map(String::as_str);
            output.checks = self.check_relation(relation, output, answers, sums)?;
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

    /// Judges the checks of a relation; `sums` gives what the source said of the check at a position.
    fn check_relation<'s>(
        &self,
        relation: &RelationPlan,
        output: &RelationOutput,
        answers: Answers,
        sums: impl Fn(usize) -> Option<&'s str>,
    ) -> Result<Vec<CheckResult>> {
        let checks = &relation.relation.checks;
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = ChunkChecks::default();
        output.measures.values().try_for_each(|chunk| found.merge(chunk.clone()))?;
        for (position, answer) in answers {
            found.measures[position] = answer;
        }
        let is_compared = |check: &Check| matches!(check.rule, Rule::Rows { change: Some(_), .. });
        let last_rows = if checks.iter().any(is_compared) {
            self.ledger().last_rows(&self.job.name, &relation.relation.name, self.id)?
        } else {
            None
        };
        let circumstances = Circumstances {
            rows: found.rows,
            quarantined: found.quarantined,
            last_rows,
            time: self.reference_time(),
        };
        let measured = checks.iter().zip(found.measures).enumerate();
        let results = measured.map(|(position, (check, measure))| {
            judge(check, measure, sums(position), &circumstances)
        });
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
    let fatal: Vec<String> = reports.iter().filter(is_fatal).map(CheckReport::to_string).collect();
    if fatal.is_empty() {
        return None;
    }
    let text = format!("{} failed: {}", counted(fatal.len() as u64, "check"), fatal.join("; "));
    Some(Error::data(text).with_code(Some(CHECK.to_owned())).with_hint(
        "nothing is published; correct the rows at the source, or give the check other limits or `severity: warn`",
    ))
}
