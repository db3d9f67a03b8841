//! Notices: what webhooks are told of a run or a schedule, as JSON. They are written into the outbox, in the
//! transaction of what they tell.

use chrono::Utc;
use longshore_model::config::{NotifyEvent, Webhook};
use longshore_model::error::ErrorReport;
use serde::Serialize;

use super::drift::DRIFT;
use super::report::{RunReport, Status, rfc3339};
use super::trigger::{Trigger, TriggerKind};
use crate::ledger::{MessageKind, NewMessage};

/// The version of a notice's form.
pub const NOTICE_VERSION: u32 = 1;

/// An event that webhooks are told of.
#[derive(Clone, Debug, Serialize)]
pub struct Notice<'a> {
    /// The version of this form.
    pub version: u32,
    /// What happened.
    pub event: NotifyEvent,
    /// When, in RFC 3339.
    pub at: String,
    /// The job's name.
    pub job: &'a str,
    /// The run, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// How the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<NoticeError<'a>>,
    /// Why a schedule is paused, or why a scheduled time was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// Rows published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long the run took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The time that the run is for, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<&'a str>,
    /// What asked for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerKind>,
    /// A page about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<&'a str>,
}

/// An error, as webhooks are told it.
#[derive(Clone, Debug, Serialize)]
pub struct NoticeError<'a> {
    /// Its class.
    pub class: &'static str,
    /// Who must act.
    pub owner: &'a str,
    /// What happened.
    pub message: &'a str,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<&'a str>,
}

impl<'a> From<&'a ErrorReport> for NoticeError<'a> {
    fn from(error: &'a ErrorReport) -> Self {
        Self {
            class: error.class.name(),
            owner: &error.who_must_act,
            message: &error.message,
            next_step: error.next_step.as_deref(),
        }
    }
}

impl<'a> Notice<'a> {
    /// An event of a job, of which nothing else is known.
    pub fn new(event: NotifyEvent, job: &'a str) -> Self {
        Self {
            version: NOTICE_VERSION,
            event,
            at: rfc3339(Utc::now()),
            job,
            run: None,
            status: None,
            error: None,
            reason: None,
            rows: None,
            bytes: None,
            seconds: None,
            scheduled: None,
            trigger: None,
            link: None,
        }
    }

    /// The messages to the webhooks that want to be told.
    pub fn messages<'w>(&self, webhooks: impl IntoIterator<Item = &'w Webhook>) -> Vec<NewMessage> {
        let Ok(body) = serde_json::to_string(self) else { return Vec::new() };
        let wanted = webhooks.into_iter().filter(|webhook| webhook.on.contains(&self.event));
        let message = |webhook: &Webhook| {
            let destination = serde_json::to_string(webhook).ok()?;
            Some(NewMessage { kind: MessageKind::Webhook, destination, body: body.clone() })
        };
        wanted.filter_map(message).collect()
    }
}

/// The messages about a run that has ended. One that was cancelled or that resumes is no event.
pub(super) fn of_report<'w>(
    report: &RunReport,
    webhooks: impl Iterator<Item = &'w Webhook> + Clone,
) -> Vec<NewMessage> {
    let has_drifted =
        report.error.as_ref().is_some_and(|error| error.code.as_deref() == Some(DRIFT));
    let events: &[NotifyEvent] = match report.status {
        Status::Succeeded => &[NotifyEvent::Succeeded],
        Status::Failed if has_drifted => &[NotifyEvent::Failed, NotifyEvent::Drifted],
        Status::Failed => &[NotifyEvent::Failed],
        Status::Cancelled | Status::Interrupted => &[],
    };
    let trigger = report.trigger.as_ref();
    let notice = |event: &NotifyEvent| Notice {
        run: Some(&report.run),
        status: Some(report.status),
        error: report.error.as_ref().map(NoticeError::from),
        rows: Some(report.rows),
        bytes: Some(report.bytes),
        seconds: Some(report.seconds),
        scheduled: trigger.and_then(|trigger| trigger.scheduled.as_deref()),
        trigger: trigger.map(|trigger: &Trigger| trigger.kind),
        ..Notice::new(*event, &report.job)
    };
    events.iter().flat_map(|event| notice(event).messages(webhooks.clone())).collect()
}

#[cfg(test)]
mod tests {
    use longshore_model::error::Error;
    use serde_json::{Value, json};

    use super::*;

    fn webhook(on: &[NotifyEvent]) -> Webhook {
        let written = json!({ "url": "https://hooks.internal/", "secret": { "secret": "key" } });
        Webhook { on: on.to_vec(), ..serde_json::from_value(written).unwrap() }
    }

    fn report(status: Status, error: Option<&Error>) -> RunReport {
        let report = json!({
            "run": "r1", "job": "shop", "status": status, "started": "", "seconds": 1.5, "rows": 3, "bytes": 9,
            "consistency": null, "relations": [], "interruptions": [], "manifest": null,
            "error": error.map(Error::report),
        });
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn a_webhook_is_told_what_it_asked_for() {
        use NotifyEvent::{Drifted, Failed, Succeeded};
        let (all, some) = (webhook(&[Failed, Succeeded, Drifted]), webhook(&[Succeeded]));
        let told = |report: &RunReport| -> Vec<String> {
            let messages = of_report(report, [&all, &some].into_iter());
            let body = |message: NewMessage| serde_json::from_str::<Value>(&message.body).unwrap();
            messages.into_iter().map(|m| body(m)["event"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(told(&report(Status::Succeeded, None)), ["succeeded", "succeeded"]);
        assert_eq!(told(&report(Status::Failed, Some(&Error::data("bad")))), ["failed"]);
        let drifted = Error::config("other columns").with_code(Some(DRIFT.into()));
        assert_eq!(told(&report(Status::Failed, Some(&drifted))), ["failed", "drifted"]);
        assert!(told(&report(Status::Interrupted, Some(&Error::connection("away")))).is_empty());
        assert!(told(&report(Status::Cancelled, None)).is_empty());
    }

    #[test]
    fn a_notice_has_the_documented_form_and_its_destination_no_secret() {
        let error = Error::data("bad value").with_hint("correct it");
        let report = report(Status::Failed, Some(&error));
        let messages = of_report(&report, [&webhook(&[NotifyEvent::Failed])].into_iter());
        let mut body: Value = serde_json::from_str(&messages[0].body).unwrap();
        assert!(body["at"].take().is_string());
        assert_eq!(
            body,
            json!({
                "version": 1, "event": "failed", "at": null, "job": "shop", "run": "r1", "status": "failed",
                "error": { "class": "data", "owner": "the job's owner", "message": "bad value",
                           "next_step": "correct it" },
                "rows": 3, "bytes": 9, "seconds": 1.5,
            })
        );
        let destination: Value = serde_json::from_str(&messages[0].destination).unwrap();
        assert_eq!(destination["secret"], json!({ "secret": "key" }));
    }
}
