//! Whatever the bytes: no panic, and all that the documentation of entries and errors promises.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use prom_parse::{Entry, Format, MetricValue, ParseError, entries, families};

fuzz_target!(|body: &[u8]| {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let mut walk = entries(body, format);
        let (mut last, mut failed) = (None, false);
        while let Some(entry) = walk.next() {
            assert!(!failed, "an entry after an error");
            match entry {
                Ok(entry) => {
                    assert!(last <= Some(walk.offset()) && walk.offset() < body.len());
                    last = Some(walk.offset());
                    check(&entry);
                }
                Err(error) => {
                    failed = true;
                    check_error(body, &error);
                }
            }
        }
        if !failed {
            assert_eq!(samples_in_families(body, format), samples_in_entries(body, format));
        }
    }
});

fn samples_in_entries(body: &[u8], format: Format) -> usize {
    entries(body, format).filter(|entry| matches!(entry, Ok(Entry::Sample(_)))).count()
}

fn samples_in_families(body: &[u8], format: Format) -> usize {
    let some = |values: &[Option<f64>]| values.iter().flatten().count();
    let samples = |value: &MetricValue<'_>| match value {
        MetricValue::Counter(counter) => some(&[counter.total, counter.created]),
        MetricValue::Histogram(histogram) | MetricValue::GaugeHistogram(histogram) => {
            histogram.buckets.len() + some(&[histogram.count, histogram.sum, histogram.created])
        }
        MetricValue::Summary(summary) => {
            summary.quantiles.len() + some(&[summary.count, summary.sum, summary.created])
        }
        MetricValue::StateSet(states) => states.len(),
        _ => 1,
    };
    families(body, format)
        .flatten()
        .map(|family| {
            family.metrics.iter().map(|metric| samples(&metric.value)).sum::<usize>() + family.others.len()
        })
        .sum()
}

fn check(entry: &Entry<'_>) {
    let Entry::Sample(sample) = entry else { return };
    assert!(!sample.name().is_empty());
    let mut names = HashSet::new();
    for (name, _) in sample.labels() {
        assert!(!name.is_empty() && name != "__name__");
        assert!(names.insert(name), "a label name twice");
    }
    assert!(sample.timestamp().is_none_or(|timestamp| timestamp.as_seconds().is_finite()));
    if let Some(exemplar) = sample.exemplar() {
        assert!(exemplar.labels().all(|(name, _)| !name.is_empty()));
        assert!(exemplar.timestamp().is_none_or(f64::is_finite));
    }
}

fn check_error(body: &[u8], error: &ParseError) {
    let before = &body[..error.offset()];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    assert_eq!(error.line(), before.iter().filter(|byte| **byte == b'\n').count() + 1);
    assert_eq!(error.column(), error.offset() - line_start + 1);
    let text = error.to_string();
    assert!(!text.contains(|c: char| c.is_control()), "not printable: {text:?}");
    // Each of the 32 bytes may take an escape such as `\u{feff}`.
    assert!(error.excerpt().chars().count() <= 32 * 8 + 1);
}
