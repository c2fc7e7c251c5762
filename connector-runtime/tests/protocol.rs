//! All that a few runners can do to a store and to each other, in every order, up to a number of steps: a bucket never
//! commits twice, nothing commits without its lease, and no order leads to where nobody gets on.
//!
//! The store is the real one in memory. A runner that is paused is one that takes no step while others do; one that
//! crashes comes back with another random id; an answer that is lost leads to the same call again.

// A test's own set-up may panic: that fails the test, and says where.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use connector_core::{Column, ColumnType, Rows, Schema};
use connector_runtime::memory::MemoryStore;
use connector_runtime::model::{ConnectorSpec, Millis, Outcome, TickRecord};
use connector_runtime::store::{
    Cell, Change, Claim, Claimed, FinishedTick, LEASE, Lease, Revision, RowQuery, Store, StoreError, is_done,
};
use uuid::Uuid;

const BUCKETS: [Millis; 2] = [0, 60_000];
const ROWS: usize = 2;
const HALF_A_LEASE: Duration = Duration::from_millis(LEASE.as_millis() as u64 / 2);

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Whoever does nothing meanwhile is paused.
    HalfALeasePasses,
    Trigger(Millis),
    Claim {
        runner: usize,
        bucket: Millis,
        triggered: bool,
    },
    Renew(usize),
    /// The tick's rows are written. When the answer is lost, the runner takes this step again.
    Commit {
        runner: usize,
        answered: bool,
    },
    /// The tick ends without rows.
    End(usize, Outcome),
    Crash(usize),
}

/// Whether leases are looked at when a tick ends, as they are, or whoever holds one counts as whoever ends a tick.
#[derive(Clone, Copy, PartialEq)]
enum Fence {
    Up,
    Down,
}

/// The store, the runners, and what ought to be so.
struct World {
    store: MemoryStore,
    connector: Uuid,
    fence: Fence,
    owners: u128,
    runners: Vec<Runner>,
    /// The latest lease that was granted, and how long it lasts yet.
    latest: Option<(Lease, Duration)>,
    /// The fence of the lease under which each bucket committed.
    committed: BTreeMap<Millis, u64>,
}

struct Runner {
    owner: Uuid,
    lease: Option<Lease>,
}

/// All that matters for what can happen from here on. Runners are alike, so their order does not matter.
type Situation = (
    Vec<Option<(u64, Millis)>>,
    Option<(Millis, Duration)>,
    Option<(u64, Duration)>,
    BTreeSet<(Millis, &'static str)>,
    Vec<Millis>,
);

impl World {
    async fn new(runners: usize, fence: Fence) -> Self {
        let spec = ConnectorSpec {
            name: "c".to_owned(),
            type_id: "t".to_owned(),
            target_database: "d".to_owned(),
            target_table: "t".to_owned(),
            schedule_ms: BUCKETS[1],
            config: serde_json::Value::Null,
        };
        let store = MemoryStore::new();
        let connector = store.create(spec, &schema()).await.unwrap().id;
        let mut world = Self {
            store,
            connector,
            fence,
            owners: 0,
            runners: Vec::new(),
            latest: None,
            committed: BTreeMap::new(),
        };
        for _ in 0..runners {
            let owner = world.new_owner();
            world.runners.push(Runner { owner, lease: None });
        }
        world
    }

    fn new_owner(&mut self) -> Uuid {
        self.owners += 1;
        Uuid::from_u128(self.owners)
    }

    /// The lease that is live, by the test's own account.
    fn live(&self) -> Option<(Lease, Duration)> {
        self.latest.filter(|(_, left)| !left.is_zero())
    }

    fn is_live(&self, lease: Lease) -> bool {
        self.live().is_some_and(|(live, _)| live == lease)
    }

    /// What can happen now.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::HalfALeasePasses];
        steps.extend(BUCKETS.map(Step::Trigger));
        for (runner, Runner { lease, .. }) in self.runners.iter().enumerate() {
            if lease.is_some() {
                steps.extend([Step::Renew(runner), Step::Crash(runner)]);
                steps.extend([true, false].map(|answered| Step::Commit { runner, answered }));
                steps.extend([Outcome::Transient, Outcome::Abandoned].map(|end| Step::End(runner, end)));
            } else {
                for bucket in BUCKETS {
                    steps.extend([true, false].map(|triggered| Step::Claim { runner, bucket, triggered }));
                }
            }
        }
        steps
    }

    /// Takes a step, and says what should not have been.
    async fn take(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::HalfALeasePasses => {
                tokio::time::advance(HALF_A_LEASE).await;
                if let Some((_, left)) = &mut self.latest {
                    *left = left.saturating_sub(HALF_A_LEASE);
                }
            }
            Step::Trigger(bucket) => drop(self.store.trigger(self.connector, bucket).await.unwrap()),
            Step::Claim { runner, bucket, triggered } => self.claim(runner, bucket, triggered).await?,
            Step::Renew(runner) => {
                let Some(lease) = self.runners[runner].lease else { return Ok(()) };
                let held = self.store.renew(&[lease]).await.unwrap() == [true];
                if held != self.is_live(lease) {
                    return Err(format!("renewing was answered with {held}"));
                }
                match &mut self.latest {
                    Some((_, left)) if held => *left = LEASE,
                    _ => self.runners[runner].lease = None,
                }
            }
            Step::Commit { runner, answered } => self.end(runner, Outcome::Committed, answered).await?,
            Step::End(runner, outcome) => self.end(runner, outcome, true).await?,
            Step::Crash(runner) => {
                self.runners[runner] = Runner { owner: self.new_owner(), lease: None };
            }
        }
        Ok(())
    }

    async fn claim(&mut self, runner: usize, bucket: Millis, triggered: bool) -> Result<(), String> {
        let owner = self.runners[runner].owner;
        let was_asked_for = self.triggers().await.contains(&bucket);
        match self.ask(owner, bucket, triggered).await {
            Claimed::Granted(lease) => {
                if let Some((live, _)) = self.live() {
                    return Err(format!("{lease:?} was granted beside {live:?}"));
                }
                if self.latest.is_some_and(|(latest, _)| lease.fence <= latest.fence) {
                    return Err(format!("the fence of {lease:?} did not grow"));
                }
                if self.committed.contains_key(&bucket) {
                    return Err(format!("{lease:?} is for a bucket that has committed"));
                }
                self.latest = Some((lease, LEASE));
                self.runners[runner].lease = Some(lease);
            }
            Claimed::Held(left) => {
                if self.live().map(|(_, left)| left) != Some(left) {
                    return Err(format!("a claim was refused for {left:?}"));
                }
            }
            Claimed::Done => {
                let ended = self.ledger().await.into_iter().find(|(ended, _)| *ended == bucket);
                if !ended.is_some_and(|(_, outcome)| is_done(outcome, triggered && was_asked_for)) {
                    return Err(format!("a claim was answered with done after {ended:?}"));
                }
            }
            Claimed::Stale => return Err("a claim was stale".to_owned()),
        }
        Ok(())
    }

    async fn end(&mut self, runner: usize, outcome: Outcome, answered: bool) -> Result<(), String> {
        let Some(lease) = self.runners[runner].lease else { return Ok(()) };
        let rows = (outcome == Outcome::Committed).then(|| rows(lease.fence));
        let shown = match self.live() {
            Some((live, _)) if self.fence == Fence::Down => live,
            _ => lease,
        };
        let record = TickRecord {
            scheduled_for: lease.scheduled_for,
            started_at: 0,
            finished_at: 0,
            outcome,
            rows: rows.as_ref().map_or(0, |_| ROWS as u64),
            attempts: 1,
            error: None,
            runner: String::new(),
        };
        match self.store.finish(FinishedTick { lease: shown, record, rows }).await {
            Ok(()) => {
                if !self.is_live(lease) {
                    return Err(format!("{outcome:?} was written without {lease:?}"));
                }
                if outcome == Outcome::Committed
                    && self.committed.insert(lease.scheduled_for, lease.fence).is_some()
                {
                    return Err(format!("{lease:?} committed a bucket again"));
                }
                self.latest = Some((lease, Duration::ZERO));
            }
            Err(StoreError::LeaseLost) => {
                if self.is_live(lease) {
                    return Err(format!("{lease:?} was lost too soon"));
                }
            }
            Err(error) => return Err(error.to_string()),
        }
        if answered {
            self.runners[runner].lease = None;
        }
        Ok(())
    }

    /// The ledger and the rows hold what committed, once and whole, and nothing else.
    async fn check(&self) -> Result<(), String> {
        let ledger = self.ledger().await;
        let committed = ledger.iter().filter(|(_, outcome)| **outcome == Outcome::Committed);
        if !committed.map(|(bucket, _)| bucket).eq(self.committed.keys()) {
            return Err(format!("the ledger holds {ledger:?}, and {:?} committed", self.committed));
        }
        let query = RowQuery {
            database: "d".to_owned(),
            table: "t".to_owned(),
            limit: usize::MAX,
            since: None,
            until: None,
            filters: Vec::new(),
        };
        let mut stream = self.store.rows(query).await.unwrap();
        let mut found = Vec::new();
        while let Some(batch) = stream.batches.recv().await {
            found.extend(batch.unwrap());
        }
        let expected = self.committed.iter().rev().flat_map(|(bucket, fence)| {
            std::iter::repeat_n(vec![Cell::Timestamp(*bucket), Cell::Real(*fence as f64)], ROWS)
        });
        if !expected.eq(found.iter().cloned()) {
            return Err(format!("the table holds {found:?}, and {:?} committed", self.committed));
        }
        Ok(())
    }

    /// Whatever happened: when all leases have run out, each bucket is done or anybody's.
    async fn get_on(&mut self) -> Result<(), String> {
        tokio::time::advance(LEASE).await;
        for bucket in BUCKETS {
            let owner = self.new_owner();
            match self.ask(owner, bucket, false).await {
                Claimed::Granted(lease) => {
                    let record = TickRecord {
                        scheduled_for: bucket,
                        started_at: 0,
                        finished_at: 0,
                        outcome: Outcome::Committed,
                        rows: ROWS as u64,
                        attempts: 1,
                        error: None,
                        runner: String::new(),
                    };
                    let tick = FinishedTick { lease, record, rows: Some(rows(lease.fence)) };
                    self.store.finish(tick).await.map_err(|error| format!("stuck: {error}"))?;
                    self.committed.insert(bucket, lease.fence);
                }
                Claimed::Done => {}
                answer => return Err(format!("stuck: bucket {bucket} is answered with {answer:?}")),
            }
        }
        self.check().await
    }

    async fn ask(&self, owner: Uuid, bucket: Millis, triggered: bool) -> Claimed {
        let claim = Claim { connector: self.connector, generation: 0, scheduled_for: bucket, triggered };
        self.store.claim(owner, "", &[claim]).await.unwrap()[0]
    }

    async fn ledger(&self) -> BTreeMap<Millis, Outcome> {
        let ticks = self.store.ticks(self.connector, usize::MAX).await.unwrap();
        ticks.into_iter().map(|tick| (tick.scheduled_for, tick.outcome)).collect()
    }

    async fn triggers(&self) -> Vec<Millis> {
        self.assignment().await.0
    }

    async fn assignment(&self) -> (Vec<Millis>, Option<(Millis, Duration)>) {
        let changes = self.store.changes(Revision::default()).await.unwrap();
        let Change::Present(assignment) = &changes.connectors[0] else { panic!("it is not deleted") };
        (assignment.triggers.clone(), assignment.leased)
    }

    async fn situation(&self) -> Situation {
        let lease = |runner: &Runner| runner.lease.map(|lease| (lease.fence, lease.scheduled_for));
        let mut runners: Vec<_> = self.runners.iter().map(lease).collect();
        runners.sort_unstable();
        let (triggers, leased) = self.assignment().await;
        let ledger = self.ledger().await.into_iter().map(|(bucket, outcome)| (bucket, outcome.as_str()));
        let latest = self.latest.map(|(lease, left)| (lease.fence, left));
        (runners, leased, latest, ledger.collect(), triggers)
    }
}

fn schema() -> Schema {
    Schema::new([Column::time("at"), Column::value("fence", ColumnType::Real)]).unwrap()
}

fn rows(fence: u64) -> (Arc<Schema>, Arc<Rows>) {
    let mut rows = Rows::new(&schema());
    for _ in 0..ROWS {
        rows.real(1, fence as f64).end_row();
    }
    (Arc::new(schema()), Arc::new(rows))
}

/// Takes all orders of up to so many steps, and returns how many situations there are, or an order that goes wrong.
async fn search(runners: usize, depth: usize, fence: Fence) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut open = VecDeque::from([Vec::new()]);
    while let Some(path) = open.pop_front() {
        let steps = replay(&path, runners, fence).await?.steps();
        for step in steps {
            let mut longer = path.clone();
            longer.push(step);
            let mut world = replay(&longer, runners, fence).await?;
            world.check().await.map_err(|wrong| format!("{longer:?}: {wrong}"))?;
            if seen.insert(world.situation().await) {
                world.get_on().await.map_err(|wrong| format!("{longer:?}: {wrong}"))?;
                if longer.len() < depth {
                    open.push_back(longer);
                }
            }
        }
    }
    Ok(seen.len())
}

async fn replay(path: &[Step], runners: usize, fence: Fence) -> Result<World, String> {
    let mut world = World::new(runners, fence).await;
    for step in path {
        world.take(*step).await.map_err(|wrong| format!("{path:?}: {wrong}"))?;
    }
    Ok(world)
}

#[tokio::test(start_paused = true)]
async fn whatever_two_runners_do_a_bucket_commits_once_and_under_its_lease() {
    let situations = search(2, 7, Fence::Up).await.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{situations} situations");
    assert!(situations > 1_000);
}

#[tokio::test(start_paused = true)]
#[ignore = "takes a minute"]
async fn whatever_three_runners_do_a_bucket_commits_once_and_under_its_lease() {
    let situations = search(3, 10, Fence::Up).await.unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{situations} situations");
    assert!(situations > 4_000);
}

#[tokio::test(start_paused = true)]
async fn without_the_fence_the_search_finds_a_commit_that_should_not_be() {
    let wrong = search(2, 7, Fence::Down).await.unwrap_err();
    assert!(wrong.contains("was written without"), "{wrong}");
}
