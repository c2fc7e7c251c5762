//! What waits for the writer, and which of it shares a round.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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

/// A job, and whoever waits for what it returns.
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

/// What waits for the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    siblings: Arc<Siblings>,
    linger: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
    writer: Sleep,
}

/// What the writer is to be woken up for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Sleep {
    /// It works, and looks for jobs by itself.
    #[default]
    Awake,
    /// Any job.
    UntilOneComes,
    /// Jobs that do not wait, and the last of those that are about to come.
    UntilAllHaveCome,
}

impl Queue {
    /// The ends of ticks wait at most for so long, and only for these siblings.
    pub(super) fn new(siblings: Arc<Siblings>, linger: Duration) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), siblings, linger }
    }

    /// Puts a job last, unless nobody will do it any more: then it is dropped.
    pub(super) fn put(&self, job: Box<dyn Job>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.jobs.push_back(job);
        let wakes = match state.writer {
            Sleep::Awake => false,
            Sleep::UntilOneComes => true,
            Sleep::UntilAllHaveCome => !self.lingers(&state),
        };
        if wakes {
            state.writer = Sleep::Awake;
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Takes no more jobs. Those that wait are still to be done.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        (state.closed, state.writer) = (true, Sleep::Awake);
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the jobs of the next round. There are none when there will be no more.
    pub(super) fn next_round(&self) -> Vec<Box<dyn Job>> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.closed {
            state.writer = Sleep::UntilOneComes;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let begun = Instant::now();
        while self.lingers(&state)
            && let Some(left) = self.linger.checked_sub(begun.elapsed())
        {
            state.writer = Sleep::UntilAllHaveCome;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.writer = Sleep::Awake;
        let round = state.jobs.len().min(ROUND);
        state.jobs.drain(..round).collect()
    }

    /// Whether what waits is better done together with what is about to come.
    fn lingers(&self, state: &State) -> bool {
        !state.closed
            && state.jobs.len() < ROUND
            && state.jobs.iter().all(|job| job.waits())
            && self.siblings.are_expected()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.lock().jobs.len()).finish_non_exhaustive()
    }
}

/// Ends a queue together with the one who takes from it: what waits then is dropped, and so answered.
pub(super) struct Taker(pub(super) Arc<Queue>);

impl Drop for Taker {
    fn drop(&mut self) {
        self.0.close();
        let abandoned = std::mem::take(&mut self.0.lock().jobs);
        drop(abandoned);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Uuid = Uuid::from_u128(1);

    fn queue(linger: Duration) -> Queue {
        Queue::new(Arc::new(Siblings::within(HOUR)), linger)
    }

    fn put(queue: &Queue, waits: bool) -> oneshot::Receiver<Result<(), StoreError>> {
        let (reply, answer) = oneshot::channel();
        let work = |_: &mut Round<'_>| Ok(());
        queue.put(Box::new(Typed::new(work, Durability::Process, waits, reply)));
        answer
    }

    #[test]
    fn what_waits_already_shares_a_round() {
        let queue = queue(HOUR);
        for _ in 0..ROUND + 2 {
            put(&queue, true);
        }
        assert_eq!(queue.next_round().len(), ROUND);
        assert_eq!(queue.next_round().len(), 2);
        queue.close();
        assert_eq!(queue.next_round().len(), 0);
    }

    #[test]
    fn ends_of_ticks_wait_for_those_that_are_about_to_come_and_nothing_else_does() {
        let queue = queue(HOUR);
        queue.siblings.begins(TICK);
        put(&queue, false);
        assert_eq!(queue.next_round().len(), 1, "a claim does not wait");
        std::thread::scope(|scope| {
            put(&queue, true);
            scope.spawn(|| {
                put(&queue, true);
                put(&queue, false);
            });
            assert_eq!(queue.next_round().len(), 3, "a claim ends the wait of others");
        });
        queue.siblings.ended(TICK);
        put(&queue, true);
        assert_eq!(queue.next_round().len(), 1, "none is about to come");
    }

    #[test]
    fn the_last_sibling_ends_the_wait() {
        let queue = queue(HOUR);
        let ticks: Vec<Uuid> = (0..20).map(Uuid::from_u128).collect();
        ticks.iter().for_each(|tick| queue.siblings.begins(*tick));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for tick in &ticks {
                    queue.siblings.ended(*tick);
                    put(&queue, true);
                }
            });
            assert_eq!(queue.next_round().len(), ticks.len());
        });
    }

    #[test]
    fn nothing_waits_for_ever() {
        for linger in [Duration::ZERO, Duration::from_millis(1)] {
            let queue = queue(linger);
            queue.siblings.begins(TICK);
            put(&queue, true);
            assert_eq!(queue.next_round().len(), 1);
        }
    }

    #[test]
    fn what_is_left_behind_is_answered() {
        let queue = Arc::new(queue(HOUR));
        let taker = Taker(Arc::clone(&queue));
        let before = put(&queue, true);
        drop(taker);
        let after = put(&queue, true);
        assert!(before.blocking_recv().is_err());
        assert!(after.blocking_recv().is_err());
        assert_eq!(queue.next_round().len(), 0);
    }
}
