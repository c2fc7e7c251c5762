//! What the system knows of this process, under the names that exporters in all languages use.

use std::fmt;

use procfs::WithCurrentSystemInfo as _;
use procfs::process::LimitValue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

/// Adds CPU time, memory, open files and the time of the start to a registry.
pub(crate) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    /// What cannot be read is left out.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Ok(process) = procfs::process::Process::myself() else { return Ok(()) };
        let mut tell = |name: &str, help: &str, unit: Option<Unit>, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), metric.metric_type())?)
        };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second() as f64;
            let cpu = ConstCounter::new((stat.utime + stat.stime) as f64 / ticks);
            tell("process_cpu", "CPU time, user and system.", Some(Unit::Seconds), &cpu)?;
            let resident = ConstGauge::new(stat.rss_bytes().get().cast_signed());
            tell("process_resident_memory", "Memory that is resident.", Some(Unit::Bytes), &resident)?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let start = ConstGauge::new(boot as f64 + stat.starttime as f64 / ticks);
                tell(
                    "process_start_time",
                    "When it started, since the Unix epoch.",
                    Some(Unit::Seconds),
                    &start,
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            let open = ConstGauge::new(i64::try_from(open).unwrap_or(i64::MAX));
            tell("process_open_fds", "File descriptors that are open.", None, &open)?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            let most = ConstGauge::new(i64::try_from(most).unwrap_or(i64::MAX));
            tell("process_max_fds", "How many file descriptors may be open.", None, &most)?;
        }
        Ok(())
    }
}
