//! What a runner tells of its work.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::model::{Millis, Outcome};

#[derive(Clone, Debug)]
pub(super) struct Metrics {
    ticks: Family<Ended, Counter>,
    rows: Counter,
    duration: Histogram,
    delay: Histogram,
    write_duration: Histogram,
    pub(super) in_flight: Gauge,
    pub(super) skipped_buckets: Counter,
    pub(super) lost_leases: Counter,
    pub(super) refused_connectors: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        // From a millisecond to half a minute.
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let metrics = Self {
            ticks: Family::default(),
            rows: Counter::default(),
            duration: seconds(),
            delay: seconds(),
            write_duration: seconds(),
            in_flight: Gauge::default(),
            skipped_buckets: Counter::default(),
            lost_leases: Counter::default(),
            refused_connectors: Gauge::default(),
        };
        // All of them from the start, so that the first failure is an increase.
        for outcome in Outcome::ALL {
            drop(metrics.ticks.get_or_create(&Ended { outcome: outcome.as_str() }));
        }
        metrics
    }
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("ticks", "Ticks that ended, by how they ended", self.ticks.clone());
        registry.register("rows", "Rows that landed in tables", self.rows.clone());
        registry.register_with_unit(
            "tick_duration",
            "From the start of a tick to the end of its work at the source, whether it succeeded or not",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register_with_unit(
            "tick_delay",
            "From when a scheduled tick is due to its start",
            Unit::Seconds,
            self.delay.clone(),
        );
        registry.register_with_unit(
            "write_duration",
            "What the store takes to commit the end of a tick, rows included",
            Unit::Seconds,
            self.write_duration.clone(),
        );
        registry.register("ticks_in_flight", "Ticks that are running", self.in_flight.clone());
        registry.register(
            "skipped_buckets",
            "Buckets that had passed before they could be run",
            self.skipped_buckets.clone(),
        );
        registry.register(
            "lost_leases",
            "Ticks that wrote nothing because another runner has their connector now",
            self.lost_leases.clone(),
        );
        registry.register(
            "refused_connectors",
            "Connectors that cannot be run here: their type is not known, or does not take their config",
            self.refused_connectors.clone(),
        );
    }

    /// A scheduled tick starts so long after it was due, in milliseconds, or before.
    pub(super) fn started(&self, delay: Millis) {
        self.delay.observe(seconds(delay.max(0)));
    }

    /// A tick has ended: the work at the source took so long, in milliseconds, and writing the end `write`.
    pub(super) fn ended(&self, outcome: Outcome, rows: u64, duration: Millis, write: Duration) {
        self.ticks.get_or_create(&Ended { outcome: outcome.as_str() }).inc();
        self.rows.inc_by(rows);
        self.duration.observe(seconds(duration));
        self.write_duration.observe(write.as_secs_f64());
    }
}

/// The clock may be set back meanwhile.
fn seconds(ms: Millis) -> f64 {
    ms.max(0) as f64 / 1000.0
}
