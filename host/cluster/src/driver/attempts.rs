//! The attempts of a run that executors were asked for, and what was heard of each.

use std::collections::HashMap;
use std::time::Instant;

use longshore_engine::scan::{PlacedLeftOut, ReadAmount};
use longshore_model::error::ErrorReport;
use longshore_run::cluster::AttemptOrder;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::message::{AttemptMessage, News, Outcome, ReaderNews, Step, WriterNews};

/// The attempts that are waited for.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<AttemptOrder, Attempt>>);

struct Attempt {
    /// Who writes its partitions.
    claims: HashMap<usize, Claim>,
    heard: UnboundedSender<Heard>,
}

/// An executor that has begun a partition.
#[derive(Clone)]
pub(super) struct Claim {
    id: String,
    /// Its name.
    pub(super) executor: String,
    /// When it last said something.
    pub(super) last_heard: Instant,
    /// Whether the partition is written.
    is_over: bool,
}

/// What whoever waits for an attempt is told.
pub(super) enum Heard {
    /// An executor of this name has begun a partition.
    Begun(String),
    /// So much more is read.
    Read(ReadAmount),
    /// These rows of a fragment that others write were left out.
    LeftOut(usize, PlacedLeftOut),
    /// A partition is over.
    Ended(usize, Outcome),
    /// The attempt has failed.
    Broken(ErrorReport),
}

/// An attempt is no longer wanted when this is dropped.
pub(super) struct AttemptWait<'a> {
    attempts: &'a Attempts,
    order: AttemptOrder,
    pub(super) heard: UnboundedReceiver<Heard>,
}

/// An attempt that nobody waits for, or that somebody else carries out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotWanted;

impl Attempts {
    /// From now on, what is heard of an attempt is passed on.
    pub(super) fn wait_for(&self, order: AttemptOrder) -> AttemptWait<'_> {
        let (sender, heard) = unbounded_channel();
        self.0.lock().insert(order, Attempt { claims: HashMap::new(), heard: sender });
        AttemptWait { attempts: self, order, heard }
    }

    /// Takes what an executor says.
    pub(super) fn hear(&self, message: AttemptMessage) -> Result<(), NotWanted> {
        let mut attempts = self.0.lock();
        let attempt = attempts.get_mut(&message.order).ok_or(NotWanted)?;
        let heard = match message.news {
            News::Reading(read) => vec![Heard::Read(read)],
            News::Read(ReaderNews { fragment, read, left_out }) => {
                vec![Heard::Read(read), Heard::LeftOut(fragment, left_out)]
            }
            News::Broken(error) => vec![Heard::Broken(error)],
            News::Writing(news) => attempt.hear(news)?,
        };
        // Whoever waited may just have gone.
        for one in heard {
            attempt.heard.send(one).map_err(|_| NotWanted)?;
        }
        Ok(())
    }
}

impl Attempt {
    fn hear(&mut self, news: WriterNews) -> Result<Vec<Heard>, NotWanted> {
        let WriterNews { partition, claim: id, read, step } = news;
        let last_heard = Instant::now();
        if let (Step::Begun(executor), false) = (&step, self.claims.contains_key(&partition)) {
            let (id, executor) = (id.clone(), executor.clone());
            self.claims.insert(partition, Claim { id, executor, last_heard, is_over: false });
        }
        let claim = self.claims.get_mut(&partition).filter(|claim| claim.id == id);
        let claim = claim.ok_or(NotWanted)?;
        claim.last_heard = last_heard;
        match step {
            Step::Begun(executor) => Ok(vec![Heard::Begun(executor)]),
            Step::Running => Ok(vec![Heard::Read(read)]),
            // Its answer was lost, and it says so again.
            Step::Ended(_) if claim.is_over => Ok(Vec::new()),
            Step::Ended(outcome) => {
                claim.is_over = true;
                Ok(vec![Heard::Read(read), Heard::Ended(partition, outcome)])
            }
        }
    }
}

impl AttemptWait<'_> {
    /// Who writes partitions that are not over.
    pub(super) fn writers(&self) -> Vec<Claim> {
        let attempts = self.attempts.0.lock();
        let claims = attempts.get(&self.order).into_iter().flat_map(|own| own.claims.values());
        claims.filter(|claim| !claim.is_over).cloned().collect()
    }

    /// How many partitions somebody has begun.
    pub(super) fn begun(&self) -> usize {
        self.attempts.0.lock().get(&self.order).map_or(0, |attempt| attempt.claims.len())
    }
}

impl Drop for AttemptWait<'_> {
    fn drop(&mut self) {
        self.attempts.0.lock().remove(&self.order);
    }
}

#[cfg(test)]
mod tests {
    use longshore_engine::scan::LeftOut;

    use super::*;

    const ORDER: AttemptOrder =
        AttemptOrder { relation: 0, chunk: 7, attempt: 1, is_frugal: false };

    fn say(attempts: &Attempts, claim: &str, rows: u64, step: Step) -> Result<(), NotWanted> {
        let read = ReadAmount { rows, bytes: 10 * rows };
        let news = WriterNews { partition: 0, claim: claim.into(), read, step };
        attempts.hear(AttemptMessage { order: ORDER, news: News::Writing(news) })
    }

    fn ended() -> Step {
        Step::Ended(Outcome::Written(Vec::new(), None, LeftOut::default()))
    }

    #[test]
    fn only_the_executor_that_began_a_partition_is_heard_of_it() {
        let attempts = Attempts::default();
        assert_eq!(say(&attempts, "a", 0, Step::Begun("one".into())), Err(NotWanted));
        let mut awaited = attempts.wait_for(ORDER);
        assert_eq!(awaited.begun(), 0);
        assert_eq!(say(&attempts, "a", 0, ended()), Err(NotWanted));
        // An answer may be lost: it says so again.
        for _ in 0..2 {
            assert_eq!(say(&attempts, "a", 0, Step::Begun("one".into())), Ok(()));
        }
        assert_eq!(say(&attempts, "b", 0, Step::Begun("two".into())), Err(NotWanted));
        assert_eq!(say(&attempts, "b", 0, ended()), Err(NotWanted));
        assert_eq!(awaited.writers()[0].executor, "one");
        assert_eq!(say(&attempts, "a", 3, Step::Running), Ok(()));
        for _ in 0..2 {
            assert_eq!(say(&attempts, "a", 4, ended()), Ok(()));
        }
        assert!(awaited.writers().is_empty() && awaited.begun() == 1);
        let (mut read, mut over) = (ReadAmount::default(), 0);
        while let Ok(heard) = awaited.heard.try_recv() {
            match heard {
                Heard::Read(more) => read = read.plus(more),
                Heard::Ended(..) => over += 1,
                Heard::Begun(executor) => assert_eq!(executor, "one"),
                Heard::LeftOut(..) => panic!("a writer tells what it left out at its end"),
                Heard::Broken(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((read, over), (ReadAmount { rows: 7, bytes: 70 }, 1));
        drop(awaited);
        assert_eq!(say(&attempts, "a", 3, Step::Running), Err(NotWanted));
    }
}
