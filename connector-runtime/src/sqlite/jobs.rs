//! What waits for the writer, and which of it shares a round.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{siblings::Siblings, writer::Round};
use crate::store::StoreError;

/// The most jobs that share a commit.
const ROUND: usize = 256;

/// How long ends of ticks wait for others that are about to come. A commit costs as much as some 500 rows.
pub(super) const LINGER: Duration = Duration::from_millis(5);

/// How much a job's change of `control.db` is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It may be lost with the power: a lease, or what the ledger knows too.
    Process,
    /// It outlives the loss of power: what an operator was told.
    Power,
}

/// Something to do within a round.
pub(super) trait Job: Send {
    fn durability(&self) -> Durability;
    /// Whether it waits for ticks that are about to end.
    fn waits(&self) -> bool;
    fn perform(&mut self, round: &mut Round<'_>) -> Result<(), &StoreError>;
    fn fail(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
}

/// A job, and who waits for what it returns.
pub(super) struct Typed<T, F> {
    work: F,
    durability: Durability,
    waits: bool,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Typed<T, F> {
    pub(super) fn new(
        work: F,
        durability: Durability,
        waits: bool,
        reply: oneshot::Sender<Result<T, StoreError>>,
    ) -> Self {
        Self { work, durability, waits, result: None, reply }
    }
}

impl<T: Send, F: FnMut(&mut Round<'_>) -> Result<T, StoreError> + Send> Job for Typed<T, F> {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn waits(&self) -> bool {
        self.waits
    }

    fn perform(&mut self, round: &mut Round<'_>) -> Result<(), &StoreError> {
        self.result.insert((self.work)(round)).as_ref().map(drop)
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        let Self { work, result, reply, .. } = *self;
        // Before the answer, so that who gets it is alone again with what was shared.
        drop(work);
        if let Some(result) = result {
            // Nobody may wait for it any more.
            let _ = reply.send(result);
        }
    }
}

/// The jobs of the next round, or none when there will be no more.
pub(super) fn gather(
    waiting: &Receiver<Box<dyn Job>>,
    siblings: &Siblings,
    linger: Duration,
) -> Vec<Box<dyn Job>> {
    let Ok(first) = waiting.recv() else { return Vec::new() };
    let mut jobs = vec![first];
    jobs.extend(waiting.try_iter().take(ROUND - 1));
    let begun = Instant::now();
    while jobs.len() < ROUND && jobs.iter().all(|job| job.waits()) && siblings.are_expected() {
        match waiting.recv_timeout(linger.saturating_sub(begun.elapsed())) {
            Ok(job) => jobs.push(job),
            Err(_) => break,
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use uuid::Uuid;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Uuid = Uuid::from_u128(1);

    fn send(jobs: &Sender<Box<dyn Job>>, waits: bool) {
        let work = |_: &mut Round<'_>| Ok(());
        jobs.send(Box::new(Typed::new(work, Durability::Process, waits, oneshot::channel().0))).unwrap();
    }

    /// How many jobs share the next round.
    fn gathered(waiting: &Receiver<Box<dyn Job>>, siblings: &Siblings, linger: Duration) -> usize {
        gather(waiting, siblings, linger).len()
    }

    #[test]
    fn what_waits_already_shares_a_round() {
        let (jobs, waiting) = channel();
        for _ in 0..ROUND + 2 {
            send(&jobs, true);
        }
        assert_eq!(gathered(&waiting, &Siblings::default(), HOUR), ROUND);
        assert_eq!(gathered(&waiting, &Siblings::default(), HOUR), 2);
        drop(jobs);
        assert_eq!(gathered(&waiting, &Siblings::default(), HOUR), 0);
    }

    #[test]
    fn ends_of_ticks_wait_for_those_that_are_about_to_come_and_nothing_else_does() {
        let ((jobs, waiting), siblings) = (channel(), Siblings::within(HOUR));
        siblings.begins(TICK);
        send(&jobs, false);
        assert_eq!(gathered(&waiting, &siblings, HOUR), 1, "a claim does not wait");
        send(&jobs, true);
        assert_eq!(gathered(&waiting, &siblings, Duration::ZERO), 1, "nothing waits for ever");
        std::thread::scope(|scope| {
            send(&jobs, true);
            scope.spawn(|| {
                send(&jobs, true);
                send(&jobs, false);
            });
            assert_eq!(gathered(&waiting, &siblings, HOUR), 3);
        });
        siblings.ended(TICK);
        send(&jobs, true);
        assert_eq!(gathered(&waiting, &siblings, HOUR), 1, "none is about to come");
    }
}
