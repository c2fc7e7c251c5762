//! Runs ticks: waits until they are due, claims them, runs them, lands their rows.
//!
//! Permits come before claims: no more is claimed than there are free slots, so nothing is leased that cannot start.

mod agenda;
mod clock;
mod metrics;
#[cfg(test)]
mod tests;
mod tick;

use std::collections::HashSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use connector_core::{ConfigError, Registry, ResolveSecret, chain};
use futures_util::FutureExt as _;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use uuid::Uuid;

use crate::model::Millis;
use crate::schedule;
use crate::store::{Change, Changes, Claim, Claimed, RENEW_EVERY, Revision, Store};
use agenda::Agenda;
use clock::{TimeOfDay, WallClock};
use metrics::Metrics;
use tick::{End, InFlight, SpareRows, TickTask};

/// How long a stop waits for ticks in flight before it gives them back.
const FINISH_WITHIN: Duration = Duration::from_secs(8);
/// How long giving back may take.
const GIVE_BACK_WITHIN: Duration = Duration::from_millis(1500);
/// How long to leave a store alone that has failed.
const STORE_RETRY: Millis = 500;

/// How a runner runs.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// At most so many ticks in flight at once. Default: 64.
    pub slots: usize,
    /// The runner's name in the records of its ticks. Default: `runner-` and a random part.
    pub name: String,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { slots: 64, name: format!("runner-{}", &Uuid::new_v4().simple().to_string()[..8]) }
    }
}

/// Runs the ticks of all connectors in a store, beside any number of other runners on the same store.
pub struct Runner {
    store: Arc<dyn Store>,
    registry: Registry,
    secrets: Arc<dyn ResolveSecret>,
    options: RunnerOptions,
    owner: Uuid,
    time: TimeOfDay,
    spare: Arc<SpareRows>,
    metrics: Arc<Metrics>,
}

impl Runner {
    /// A runner for the connectors in `store` whose types are in `registry`.
    pub fn new(
        store: Arc<dyn Store>,
        registry: Registry,
        secrets: Arc<dyn ResolveSecret>,
        options: RunnerOptions,
    ) -> Self {
        let (owner, time, spare, metrics) =
            (Uuid::new_v4(), TimeOfDay::system(), Arc::default(), Arc::default());
        Self { store, registry, secrets, options, owner, time, spare, metrics }
    }

    /// Adds what this runner counts and times to a registry, for whoever scrapes this process: its ticks by outcome, the
    /// rows that landed, how long ticks and their commits take, how late they start, and what was skipped or lost.
    pub fn register(&self, registry: &mut MetricsRegistry) {
        self.metrics.register(registry);
    }

    /// Runs ticks until `shutdown` resolves. Then claims nothing more, waits for what is in flight, gives back what
    /// does not end in time, and returns within 10 s.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let (mut shutdown, store) = (pin!(shutdown), Arc::clone(&self.store));
        let in_flight = Arc::new(InFlight::new(self.metrics.in_flight.clone()));
        let mut ticks = JoinSet::new();
        let mut agenda = Agenda::new(self.options.slots, self.metrics.skipped_buckets.clone());
        let mut clock = WallClock::start(self.time.clone());
        let mut revision = Revision::default();
        let mut renewal = interval(RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);

        let mut refused = HashSet::new();
        // Ready at once, so that the first turn reads everything.
        let mut changed: Pin<Box<dyn Future<Output = ()> + Send + '_>> = Box::pin(async {});
        loop {
            if clock.has_jumped() {
                tracing::warn!("the system clock has jumped: planning anew");
                agenda.replan(clock.now());
            }
            let free = self.options.slots.saturating_sub(in_flight.len());
            if free == 0 {
                in_flight.give_way(&agenda.ask_to_give_way(clock.now()));
            }
            let due = agenda.take_due(clock.now(), free);
            if !due.is_empty() {
                let stale = self.claim(&due, &mut agenda, &mut ticks, &in_flight, &clock).await;
                if stale {
                    revision = self.refresh(revision, &mut agenda, &mut refused, &clock).await;
                }
                continue;
            }
            let next = if free > 0 { agenda.next_at() } else { agenda.next_to_give_way_at() };
            let wait = next.map_or(clock::LONGEST_SLEEP, |at| clock.until(at));
            tokio::select! {
                () = &mut shutdown => break,
                () = &mut changed => {
                    revision = self.refresh(revision, &mut agenda, &mut refused, &clock).await;
                    changed = store.changed(revision);
                }
                Some(ended) = ticks.join_next() => {
                    match ended {
                        Ok((claim, End::GaveWay)) => agenda.gave_way(claim, clock.now()),
                        Ok((claim, end)) => agenda.ended(claim, end == End::Committed, clock.now()),
                        Err(_) => {}
                    }
                }
                _ = renewal.tick() => in_flight.renew(&self.store),
                () = sleep(wait) => {}
            }
        }
        tracing::info!(in_flight = in_flight.len(), "stopping: no more ticks are claimed");
        // Those who get these ticks need not wait for what will most likely fail again.
        in_flight.give_back(&agenda.failing_again());
        self.drain(ticks, &in_flight).await;
    }

    /// Claims what is due and starts what was granted. Says whether the agenda is behind the store.
    async fn claim(
        &self,
        due: &[Claim],
        agenda: &mut Agenda,
        ticks: &mut JoinSet<(Claim, End)>,
        in_flight: &Arc<InFlight>,
        clock: &WallClock,
    ) -> bool {
        let answers = match self.store.claim(self.owner, &self.options.name, due).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::error!(error = chain(&error), "could not claim ticks");
                let now = clock.now();
                due.iter().for_each(|claim| agenda.again(*claim, now + STORE_RETRY, now));
                return false;
            }
        };
        fail_point!("claimed");
        let mut stale = false;
        let now = clock.now();
        for (claim, answer) in due.iter().copied().zip(answers) {
            match answer {
                Claimed::Held(left) => agenda.held(claim, left, now),
                Claimed::Done => agenda.done(claim, now),
                Claimed::Stale => {
                    stale = true;
                    agenda.again(claim, now + STORE_RETRY, now);
                }
                Claimed::Granted(lease) => {
                    let Some((assignment, source, next_due)) = agenda.granted(claim, now) else { continue };
                    if !claim.triggered {
                        let offset = schedule::offset(claim.connector, assignment.spec.schedule_ms);
                        self.metrics.started(now - claim.scheduled_for - offset);
                    }
                    let task = TickTask {
                        store: Arc::clone(&self.store),
                        secrets: Arc::clone(&self.secrets),
                        runner: self.options.name.clone(),
                        lease,
                        assignment,
                        source,
                        next_due,
                        time: self.time.clone(),
                        started_at: now,
                        spare: Arc::clone(&self.spare),
                        metrics: Arc::clone(&self.metrics),
                    };
                    let running = in_flight.enter(lease);
                    ticks.spawn(async move {
                        let end = AssertUnwindSafe(task.run(running)).catch_unwind().await;
                        let end = end.unwrap_or_else(|_| {
                            tracing::error!(connector = %claim.connector, "a tick panicked: its lease has to expire");
                            End::Failed
                        });
                        (claim, end)
                    });
                }
            }
        }
        stale
    }

    /// Brings the agenda up to date with the store.
    async fn refresh(
        &self,
        since: Revision,
        agenda: &mut Agenda,
        refused: &mut HashSet<Uuid>,
        clock: &WallClock,
    ) -> Revision {
        let Changes { revision, connectors } = match self.store.changes(since).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(error = chain(&error), "could not read what has changed");
                sleep(Duration::from_millis(STORE_RETRY.unsigned_abs())).await;
                return since;
            }
        };
        let now = clock.now();
        for change in connectors {
            match change {
                Change::Gone(id) => {
                    agenda.remove(id);
                    refused.remove(&id);
                }
                Change::Present(assignment) => {
                    let spec = &assignment.spec;
                    refused.remove(&assignment.id);
                    match self.registry.configure(&spec.type_id, &spec.config) {
                        Ok(source) => agenda.put(*assignment, source, now),
                        Err(error) => {
                            let unknown = matches!(error, ConfigError::UnknownType(_));
                            let error = error.to_string();
                            tracing::error!(connector = %spec.name, unknown, error, "cannot run this connector here");
                            agenda.remove(assignment.id);
                            refused.insert(assignment.id);
                        }
                    }
                }
            }
        }
        self.metrics.refused_connectors.set(i64::try_from(refused.len()).unwrap_or(i64::MAX));
        revision
    }

    /// Waits for the ticks in flight, and gives back those that do not end in time.
    async fn drain(&self, mut ticks: JoinSet<(Claim, End)>, in_flight: &Arc<InFlight>) {
        let all_ended = async |ticks: &mut JoinSet<(Claim, End)>| while ticks.join_next().await.is_some() {};
        let renewing = async {
            let mut renewal = interval(RENEW_EVERY);
            loop {
                renewal.tick().await;
                in_flight.renew(&self.store);
            }
        };
        tokio::select! {
            () = all_ended(&mut ticks) => return,
            () = sleep(FINISH_WITHIN) => {}
            () = renewing => {}
        }
        tracing::warn!(in_flight = in_flight.len(), "giving back the ticks that did not end in time");
        in_flight.cancel_all();
        if timeout(GIVE_BACK_WITHIN, all_ended(&mut ticks)).await.is_err() {
            tracing::error!("ticks could not be given back: their leases have to expire");
        }
    }
}
