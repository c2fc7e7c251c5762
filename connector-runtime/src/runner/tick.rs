//! One tick, from its claim to its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use connector_core::{
    Cancellation, ColumnData, Configured, ResolveSecret, Rows, Schema, TickContext, TickError, chain,
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::clock::TimeOfDay;
use super::metrics::Metrics;
use crate::model::{Millis, Outcome, TickRecord};
use crate::store::{Assignment, FinishedTick, LEASE, Lease, Store, StoreError};

/// How long to wait before rows that could not be written are tried again, at first and at most.
const WRITE_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Rows are tried again at least so long, even when the next tick is due before.
const WRITE_FOR_AT_LEAST: Duration = Duration::from_secs(2);

/// How many bytes of an error are kept with the record of a tick: its source has a say in how long it is.
const LONGEST_ERROR: usize = 4 << 10;

/// What a tick that is in flight may be told.
#[derive(Clone, Default)]
struct Signals {
    /// Its source is not to go on.
    end_early: Cancellation,
    /// Nor is what has come of it to be written again and again.
    give_up: Cancellation,
}

impl Signals {
    fn cancel(&self) {
        self.give_up.cancel();
        self.end_early.cancel();
    }
}

/// How a tick left its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its source gave rows.
    Committed,
    /// It did not.
    Failed,
    /// Others needed it.
    GaveWay,
}

/// The leases that a runner holds, and how to stop the ticks that run under them.
pub(super) struct InFlight {
    ticks: Mutex<HashMap<Lease, Signals>>,
    count: Gauge,
}

impl InFlight {
    /// None yet. `count` follows how many there are.
    pub(super) fn new(count: Gauge) -> Self {
        Self { ticks: Mutex::default(), count }
    }

    /// Takes a tick in, until the returned guard is dropped.
    pub(super) fn enter(self: &Arc<Self>, lease: Lease) -> Running {
        let signals = Signals::default();
        self.lock().insert(lease, signals.clone());
        self.count.inc();
        Running { in_flight: Arc::clone(self), lease, signals }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn cancel_all(&self) {
        self.lock().values().for_each(Signals::cancel);
    }

    /// Tells the ticks of some connectors to leave their slots to others, unless their sources have done their part.
    pub(super) fn give_way(&self, connectors: &[Uuid]) {
        self.tell(connectors, |signals| signals.end_early.cancel());
    }

    /// Tells the ticks of some connectors to end, so that another runner may have them.
    pub(super) fn give_back(&self, connectors: &[Uuid]) {
        self.tell(connectors, Signals::cancel);
    }

    fn tell(&self, connectors: &[Uuid], what: impl Fn(&Signals)) {
        if connectors.is_empty() {
            return;
        }
        let ticks = self.lock();
        let told = ticks.iter().filter(|(lease, _)| connectors.contains(&lease.connector));
        told.for_each(|(_, signals)| what(signals));
    }

    /// Renews all leases, in the background, and stops the ticks whose lease is lost.
    pub(super) fn renew(self: &Arc<Self>, store: &Arc<dyn Store>) {
        let leases: Vec<Lease> = self.lock().keys().copied().collect();
        if leases.is_empty() {
            return;
        }
        let (in_flight, store) = (Arc::clone(self), Arc::clone(store));
        tokio::spawn(async move {
            match store.renew(&leases).await {
                Ok(held) => {
                    let ticks = in_flight.lock();
                    for (lease, _) in leases.iter().zip(held).filter(|(_, held)| !held) {
                        if let Some(signals) = ticks.get(lease) {
                            signals.cancel();
                        }
                    }
                }
                Err(error) => tracing::error!(error = chain(&error), "could not renew leases"),
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lease, Signals>> {
        self.ticks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tick that is in flight for as long as this lives.
pub(super) struct Running {
    in_flight: Arc<InFlight>,
    lease: Lease,
    signals: Signals,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.lease);
        self.in_flight.count.dec();
    }
}

/// Rows of earlier ticks, whose memory the next ones use.
#[derive(Default)]
pub(super) struct SpareRows(Mutex<Vec<(Arc<Schema>, Rows)>>);

impl SpareRows {
    /// No more than ticks end at about the same time.
    const MOST: usize = 8;

    /// In bytes, each. What is larger is given back, so that one long exposition does not hold memory for ever.
    const LARGEST: usize = 4 << 20;

    fn take(&self, schema: &Arc<Schema>) -> Rows {
        let mut spare = self.lock();
        let found = spare.iter().rposition(|(shape, _)| Arc::ptr_eq(shape, schema) || shape == schema);
        found.map_or_else(|| Rows::new(schema), |i| spare.swap_remove(i).1)
    }

    /// Keeps the memory of rows, unless somebody has them yet.
    fn put(&self, (schema, rows): (Arc<Schema>, Arc<Rows>)) {
        let Ok(mut rows) = Arc::try_unwrap(rows) else { return };
        if size(&rows) > Self::LARGEST {
            return;
        }
        rows.clear();
        let mut spare = self.lock();
        if spare.len() < Self::MOST {
            spare.push((schema, rows));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Arc<Schema>, Rows)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many bytes the values of rows take.
fn size(rows: &Rows) -> usize {
    let of = |column: &ColumnData| match column {
        ColumnData::Time => 0,
        ColumnData::String(strings) => strings.text().len(),
        ColumnData::Dynamic(maps) => maps.keys().0.len() + maps.values().0.len(),
        _ => 8 * rows.len(),
    };
    rows.columns().iter().map(of).sum()
}

/// A tick that was granted.
pub(super) struct TickTask {
    pub(super) store: Arc<dyn Store>,
    pub(super) secrets: Arc<dyn ResolveSecret>,
    pub(super) runner: String,
    pub(super) lease: Lease,
    pub(super) assignment: Assignment,
    pub(super) source: Configured,
    /// How long until the connector's next tick is due.
    pub(super) next_due: Duration,
    pub(super) time: TimeOfDay,
    pub(super) started_at: Millis,
    pub(super) spare: Arc<SpareRows>,
    pub(super) metrics: Arc<Metrics>,
}

impl TickTask {
    /// Runs the tick and lands what comes of it.
    pub(super) async fn run(self, running: Running) -> End {
        let give_up_at = Instant::now() + self.next_due.max(WRITE_FOR_AT_LEAST);
        let scheduled_for =
            DateTime::<Utc>::from_timestamp_millis(self.lease.scheduled_for).unwrap_or_default();
        let Signals { end_early, give_up } = running.signals.clone();
        let context =
            TickContext::new(scheduled_for, self.next_due, Arc::clone(&self.secrets), end_early.clone());
        let mut rows = self.spare.take(self.source.schema());
        let result = tokio::select! {
            biased;
            result = self.source.tick(&context, &mut rows) => result.map_err(Some),
            () = end_early.cancelled() => Err(None),
        };
        let (outcome, error) = match result {
            Ok(()) => (Outcome::Committed, None),
            Err(Some(error)) => (class(&error), Some(clipped(chain(&error)))),
            Err(None) if give_up.is_cancelled() => {
                (Outcome::Abandoned, Some("the runner gave the tick back before it ended".to_owned()))
            }
            Err(None) => {
                let error = "it took long, and others waited for its slot: it begins again when one is free";
                (Outcome::Abandoned, Some(error.to_owned()))
            }
        };
        let end = match outcome {
            Outcome::Committed => End::Committed,
            Outcome::Abandoned if !give_up.is_cancelled() => End::GaveWay,
            _ => End::Failed,
        };
        let (landed, rows) = match outcome {
            Outcome::Committed => {
                (rows.len() as u64, Some((Arc::clone(self.source.schema()), Arc::new(rows))))
            }
            _ => (0, None),
        };
        let record = TickRecord {
            scheduled_for: self.lease.scheduled_for,
            started_at: self.started_at,
            finished_at: self.time.now(),
            outcome,
            rows: landed,
            attempts: context.attempts(),
            error,
            runner: self.runner.clone(),
        };
        fail_point!("ticked");
        self.land(FinishedTick { lease: self.lease, record, rows }, &give_up, give_up_at).await;
        end
    }

    /// Writes the tick's end. Rows that could not be written are tried again rather than fetched again.
    /// When they are given up, the reason is what is written, for as long as a lease may last.
    async fn land(&self, mut tick: FinishedTick, give_up: &Cancellation, mut give_up_at: Instant) {
        let connector = &self.assignment.spec.name;
        let (mut pause, longest) = WRITE_RETRY;
        loop {
            let begun = Instant::now();
            let error = match self.store.finish(tick.clone()).await {
                Ok(()) => {
                    let TickRecord { outcome, rows, started_at, finished_at, .. } = tick.record;
                    self.metrics.ended(outcome, rows, finished_at - started_at, begun.elapsed());
                    self.log(&tick.record);
                    return tick.rows.into_iter().for_each(|rows| self.spare.put(rows));
                }
                Err(StoreError::LeaseLost) => {
                    self.metrics.lost_leases.inc();
                    return tracing::warn!(%connector, "the lease was lost: another runner has this connector now");
                }
                Err(error) => chain(&error),
            };
            tracing::error!(%connector, error, "could not write the tick");
            if Instant::now() + pause >= give_up_at || give_up.is_cancelled() {
                if tick.rows.is_none() {
                    return;
                }
                tick.rows = None;
                tick.record.rows = 0;
                tick.record.outcome = Outcome::Transient;
                tick.record.error = Some(format!("the rows could not be written: {error}"));
                tick.record.finished_at = self.time.now();
                (pause, give_up_at) = (WRITE_RETRY.0, Instant::now() + LEASE);
                continue;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = give_up.cancelled() => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    fn log(&self, record: &TickRecord) {
        let (connector, bucket) =
            (&self.assignment.spec.name, crate::model::format_millis(record.scheduled_for));
        let outcome = record.outcome.as_str();
        match &record.error {
            None => tracing::debug!(%connector, bucket, outcome, rows = record.rows, "tick"),
            Some(error) => {
                tracing::warn!(%connector, bucket, outcome, attempts = record.attempts, error, "tick");
            }
        }
    }
}

fn class(error: &TickError) -> Outcome {
    match error {
        TickError::Transient(_) => Outcome::Transient,
        TickError::Permanent(_) => Outcome::Permanent,
        TickError::Config(_) => Outcome::Config,
    }
}

fn clipped(mut text: String) -> String {
    if text.len() > LONGEST_ERROR {
        text.truncate(text.floor_char_boundary(LONGEST_ERROR));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use connector_core::{Column, ColumnType};

    use super::*;

    fn schema(column: &str) -> Arc<Schema> {
        Arc::new(Schema::new([Column::time("t"), Column::key(column, ColumnType::String)]).unwrap())
    }

    fn rows(schema: &Schema, text: &str) -> Arc<Rows> {
        let mut rows = Rows::new(schema);
        rows.string(1, text).end_row();
        Arc::new(rows)
    }

    #[test]
    fn rows_that_landed_come_back_empty_and_for_their_shape_alone() {
        let (spare, schema, other) = (SpareRows::default(), schema("a"), schema("b"));
        spare.put((Arc::clone(&schema), rows(&schema, "x")));
        assert_eq!(spare.lock().len(), 1);
        spare.take(&other);
        assert_eq!(spare.lock().len(), 1);
        assert!(spare.take(&schema).is_empty());
        assert!(spare.lock().is_empty());
    }

    #[test]
    fn a_long_error_is_clipped_between_characters() {
        let longest = "x".repeat(LONGEST_ERROR);
        assert_eq!(clipped(longest.clone()), longest);
        assert_eq!(clipped(format!("{longest}x")), format!("{longest}…"));
        assert_eq!(
            clipped(format!("y{}", "é".repeat(LONGEST_ERROR))).len(),
            LONGEST_ERROR - 1 + '…'.len_utf8()
        );
    }

    #[test]
    fn neither_long_rows_nor_those_in_use_are_kept() {
        let (spare, schema) = (SpareRows::default(), schema("a"));
        let in_use = rows(&schema, "x");
        spare.put((Arc::clone(&schema), Arc::clone(&in_use)));
        spare.put((Arc::clone(&schema), rows(&schema, &"x".repeat(SpareRows::LARGEST + 1))));
        assert!(spare.lock().is_empty());
        for _ in 0..2 * SpareRows::MOST {
            spare.put((Arc::clone(&schema), rows(&schema, "x")));
        }
        assert_eq!(spare.lock().len(), SpareRows::MOST);
    }
}
