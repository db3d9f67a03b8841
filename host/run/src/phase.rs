//! The phases of a run: the transitions between them, and what a run does in each of them when it is
//! resumed or stopped. The ledger stores the phase and changes it only through this module.
//!
//! ```text
//!      ┌──── restart: what was planned is gone ────┐
//!      v                 │                         │
//!  planning ────────> reading ────────────> committing ──> succeeded
//!      │                 │                         │
//!      ├─────────────────┼─────────────────────────┴─────> failed
//!      └─────────────────┴───────────────────────────────> cancelled
//! ```
//!
//! An interruption is no transition. A run that is interrupted stays in its phase, and resumes there.

use std::fmt;

use longshore_model::error::Error;

/// What a run is doing, or did last before it was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reserves its targets and plans. Nothing of the source is read.
    Planning,
    /// Reads chunks and writes parts, by the plan in the ledger. Nothing is visible.
    Reading,
    /// Publishes what the commit in the ledger says. Some of it may be visible.
    Committing,
    /// Is over.
    Done(Outcome),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is published.
    Succeeded,
    /// Nothing is published.
    Failed,
    /// Nothing is published: somebody cancelled it.
    Cancelled,
}

/// What moves a run from one phase to another. The ledger records it in the same transaction as its
/// data: the plan, the commit, the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The plan is recorded.
    Plan,
    /// The commit is recorded, or changed: another name, or the step that registers tables.
    Commit,
    /// The plan and everything read by it are forgotten.
    Restart,
    /// The run ends.
    Finish(Outcome),
}

/// What a process does first with a run that it takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Plan. A run that another process began may be published already: its manifest says so.
    Plan,
    /// Read what is left, by the plan in the ledger.
    Read,
    /// Complete the commit in the ledger.
    RollForward,
    /// Nothing: the run is over.
    Nothing,
}

/// A request to stop, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Finish the chunks that are being read, and stay resumable.
    Drain,
    /// Stop at once, and stay resumable.
    Interrupt,
    /// Stop at once, and leave nothing.
    Cancel,
}

/// What a run does when it is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAction {
    /// End when the attempts that are running have ended. No other attempt starts.
    FinishAttempts,
    /// End at once. The run resumes later.
    Leave,
    /// End at once, and remove what the run has in its target.
    Discard,
    /// Go on: half of a commit must not stay.
    Complete,
}

/// A transition that no run makes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {from} refuses {event:?}")]
pub struct IllegalTransition {
    from: Phase,
    event: Event,
}

impl From<IllegalTransition> for Error {
    fn from(error: IllegalTransition) -> Self {
        Self::internal(error.to_string())
    }
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 6] = [
        Self::Planning,
        Self::Reading,
        Self::Committing,
        Self::Done(Outcome::Succeeded),
        Self::Done(Outcome::Failed),
        Self::Done(Outcome::Cancelled),
    ];

    /// The phase after an event.
    pub fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        use Outcome::{Cancelled, Failed, Succeeded};
        match (self, event) {
            (Self::Planning, Event::Plan) => Ok(Self::Reading),
            (Self::Reading | Self::Committing, Event::Commit) => Ok(Self::Committing),
            (Self::Planning | Self::Reading, Event::Restart) => Ok(Self::Planning),
            // The commit failed, and was taken back.
            (Self::Committing, Event::Restart) => Ok(Self::Planning),
            // A manifest that a process with another ledger wrote ends a run that plans.
            (Self::Planning | Self::Committing, Event::Finish(Succeeded)) => {
                Ok(Self::Done(Succeeded))
            }
            (Self::Planning | Self::Reading | Self::Committing, Event::Finish(Failed)) => {
                Ok(Self::Done(Failed))
            }
            (Self::Planning | Self::Reading, Event::Finish(Cancelled)) => Ok(Self::Done(Cancelled)),
            _ => Err(IllegalTransition { from: self, event }),
        }
    }

    /// What a process does first with a run in this phase.
    pub fn resume(self) -> Resume {
        match self {
            Self::Planning => Resume::Plan,
            Self::Reading => Resume::Read,
            Self::Committing => Resume::RollForward,
            Self::Done(_) => Resume::Nothing,
        }
    }

    /// What a run in this phase does when it is asked to stop.
    pub fn on_stop(self, stop: Stop) -> StopAction {
        match (self, stop) {
            (Self::Committing | Self::Done(_), _) => StopAction::Complete,
            (Self::Planning | Self::Reading, Stop::Cancel) => StopAction::Discard,
            (Self::Planning | Self::Reading, Stop::Interrupt) => StopAction::Leave,
            (Self::Planning, Stop::Drain) => StopAction::Leave,
            (Self::Reading, Stop::Drain) => StopAction::FinishAttempts,
        }
    }

    /// Whether a run in this phase can be cancelled, also when no process works on it.
    pub fn is_cancellable(self) -> bool {
        self.on_stop(Stop::Cancel) == StopAction::Discard
    }

    /// Whether nothing more happens.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Its name, as the ledger stores it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Reading => "reading",
            Self::Committing => "committing",
            Self::Done(Outcome::Succeeded) => "succeeded",
            Self::Done(Outcome::Failed) => "failed",
            Self::Done(Outcome::Cancelled) => "cancelled",
        }
    }

    /// The phase of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// The state that people and scripts see: a run that plans or reads is `running`.
    pub fn state(self) -> &'static str {
        match self {
            Self::Planning | Self::Reading => "running",
            _ => self.name(),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [Event; 6] = [
        Event::Plan,
        Event::Commit,
        Event::Restart,
        Event::Finish(Outcome::Succeeded),
        Event::Finish(Outcome::Failed),
        Event::Finish(Outcome::Cancelled),
    ];

    #[test]
    fn every_phase_answers_every_event() {
        #[rustfmt::skip]
        let table = [
            // phase       plan       commit        restart     succeeded    failed    cancelled
            ("planning",   "reading", "-",          "planning", "succeeded", "failed", "cancelled"),
            ("reading",    "-",       "committing", "planning", "-",         "failed", "cancelled"),
            ("committing", "-",       "committing", "planning", "succeeded", "failed", "-"),
            ("succeeded",  "-",       "-",          "-",        "-",         "-",      "-"),
            ("failed",     "-",       "-",          "-",        "-",         "-",      "-"),
            ("cancelled",  "-",       "-",          "-",        "-",         "-",      "-"),
        ];
        for (phase, plan, commit, restart, succeeded, failed, cancelled) in table {
            let phase = Phase::from_name(phase).unwrap();
            let expected = [plan, commit, restart, succeeded, failed, cancelled];
            for (event, expected) in EVENTS.into_iter().zip(expected) {
                let after = phase.after(event).map_or("-", Phase::name);
                assert_eq!(after, expected, "{phase} after {event:?}");
            }
        }
    }

    #[test]
    fn every_phase_answers_every_stop() {
        use StopAction::{Complete, Discard, FinishAttempts, Leave};
        for (phase, drain, interrupt, cancel) in [
            ("planning", Leave, Leave, Discard),
            ("reading", FinishAttempts, Leave, Discard),
            ("committing", Complete, Complete, Complete),
            ("succeeded", Complete, Complete, Complete),
            ("failed", Complete, Complete, Complete),
            ("cancelled", Complete, Complete, Complete),
        ] {
            let phase = Phase::from_name(phase).unwrap();
            let actions = [Stop::Drain, Stop::Interrupt, Stop::Cancel].map(|s| phase.on_stop(s));
            assert_eq!(actions, [drain, interrupt, cancel], "{phase}");
        }
    }

    #[test]
    fn a_run_resumes_in_the_phase_that_it_was_in() {
        let resume = Phase::ALL.map(Phase::resume);
        use Resume::{Nothing, Plan, Read, RollForward};
        assert_eq!(resume, [Plan, Read, RollForward, Nothing, Nothing, Nothing]);
    }

    #[test]
    fn names_and_states_are_what_the_ledger_and_scripts_know() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_name(phase.name()), Some(phase));
        }
        assert_eq!(Phase::from_name("running"), None);
        let states = Phase::ALL.map(Phase::state);
        let expected = ["running", "running", "committing", "succeeded", "failed", "cancelled"];
        assert_eq!(states, expected);
    }

    /// The reference: what a run has, and which events that allows.
    #[derive(Default)]
    struct Reference {
        has_plan: bool,
        has_commit: bool,
        outcome: Option<Outcome>,
    }

    impl Reference {
        /// Applies an event, if what is there allows it.
        fn apply(&mut self, event: Event) -> bool {
            let allowed = self.outcome.is_none()
                && match event {
                    Event::Plan => !self.has_plan,
                    Event::Commit => self.has_plan,
                    Event::Restart | Event::Finish(Outcome::Failed) => true,
                    Event::Finish(Outcome::Succeeded) => self.has_plan == self.has_commit,
                    Event::Finish(Outcome::Cancelled) => !self.has_commit,
                };
            match event {
                _ if !allowed => {}
                Event::Plan => self.has_plan = true,
                Event::Commit => self.has_commit = true,
                Event::Restart => (self.has_plan, self.has_commit) = (false, false),
                Event::Finish(outcome) => self.outcome = Some(outcome),
            }
            allowed
        }
    }

    proptest! {
        /// Whatever happens in whatever order: a plan comes before a commit, only a whole commit
        /// succeeds, a commit is never cancelled, and the end is final.
        #[test]
        fn a_run_goes_where_what_it_has_allows(
            events in proptest::collection::vec(proptest::sample::select(&EVENTS[..]), 0..20)
        ) {
            let (mut phase, mut reference) = (Phase::Planning, Reference::default());
            for event in events {
                let after = phase.after(event);
                prop_assert_eq!(after.is_ok(), reference.apply(event), "{} after {:?}", phase, event);
                phase = after.unwrap_or(phase);
                prop_assert_eq!(phase.is_done(), reference.outcome.is_some());
                prop_assert_eq!(phase == Phase::Committing, reference.has_commit && !phase.is_done());
            }
        }
    }
}
