//! What letting go of old ticks tells of its progress.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::Expired;
use crate::model::Millis;

#[derive(Debug, Default)]
pub(in crate::sqlite) struct Metrics {
    ticks: Counter,
    rows: Counter,
    series: Counter,
    freed: Counter,
    failures: Counter,
    last_success: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(in crate::sqlite) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("retention");
        registry.register("deleted_ticks", "Records of old ticks that were deleted", self.ticks.clone());
        registry.register("deleted_rows", "Rows that were deleted with their ticks", self.rows.clone());
        registry.register("deleted_series", "Series deleted because no row was left", self.series.clone());
        registry.register_with_unit(
            "freed",
            "What was given back to the file system",
            Unit::Bytes,
            self.freed.clone(),
        );
        registry.register("failures", "Passes that could not be finished", self.failures.clone());
        registry.register_with_unit(
            "last_success_timestamp",
            "When the latest pass was finished, since the Unix epoch; 0 before the first",
            Unit::Seconds,
            self.last_success.clone(),
        );
    }

    /// So much more is gone.
    pub(super) fn add(&self, more: Expired) {
        self.ticks.inc_by(more.ticks);
        self.rows.inc_by(more.rows);
        self.series.inc_by(more.series);
        self.freed.inc_by(more.bytes);
    }

    /// A pass has ended.
    pub(super) fn ended(&self, succeeded: bool, now: Millis) {
        if succeeded {
            self.last_success.set(now as f64 / 1000.0);
        } else {
            self.failures.inc();
        }
    }
}
