//! The family view of bodies in which everything seems to belong to one family.

use std::collections::HashSet;

use prom_parse::{Entry, Format, Metric, MetricType, MetricValue, entries, families, strict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Lines about `a`, as they should be or not.
fn crowd(format: Format) -> impl Strategy<Value = String> {
    let kinds = match format {
        Format::Prometheus => vec!["counter", "gauge", "histogram", "summary", "untyped"],
        Format::OpenMetrics => {
            vec!["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]
        }
    };
    let kind = select(kinds).prop_map(|kind| format!("# TYPE a {kind}\n"));
    let suffix = select(vec![
        "", "", "_bucket", "_bucket", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_total", "_created",
        "_info", "_x",
    ]);
    let labels = select(vec![
        "",
        "",
        "{b=\"1\"}",
        "{b=\"2\"}",
        "{le=\"1\"}",
        "{le=\"2\"}",
        "{le=\"+Inf\"}",
        "{le=\"+Inf\",b=\"1\"}",
        "{le=\"x\"}",
        "{quantile=\"0.5\"}",
        "{quantile=\"2\"}",
        "{a=\"on\"}",
        "{a=\"off\",b=\"1\"}",
    ]);
    let value = select(vec![" 0", " 1", " 1", " 1", " 2", " 0.5", " -1", " NaN"]);
    let time = select(vec!["", "", "", "", " 1", " 2"]);
    let sample = (suffix, labels, value, time)
        .prop_map(|(suffix, labels, value, time)| format!("a{suffix}{labels}{value}{time}\n"));
    let line = prop_oneof![1 => kind.clone(), 1 => Just("# HELP a x\n".to_owned()), 12 => sample];
    (kind, vec(line, 0..8)).prop_map(move |(kind, lines)| {
        let end = if format == Format::OpenMetrics { "# EOF\n" } else { "" };
        format!("{kind}{}{end}", lines.concat())
    })
}

/// How many samples a metric is made of.
fn size(metric: &Metric<'_>) -> usize {
    let some = |values: &[Option<f64>]| values.iter().flatten().count();
    match &metric.value {
        MetricValue::Counter(counter) => some(&[counter.total, counter.created]),
        MetricValue::Histogram(histogram) | MetricValue::GaugeHistogram(histogram) => {
            histogram.buckets.len() + some(&[histogram.count, histogram.sum, histogram.created])
        }
        MetricValue::Summary(summary) => {
            summary.quantiles.len() + some(&[summary.count, summary.sum, summary.created])
        }
        MetricValue::StateSet(states) => states.len(),
        _ => 1,
    }
}

/// The metrics of each family with their labels in order, as text, in which NaN equals itself.
fn sorted(text: &str, format: Format) -> Vec<String> {
    let metrics = families(text.as_bytes(), format).map(|family| {
        let mut metrics = family.unwrap().metrics;
        metrics.iter_mut().for_each(|metric| metric.labels.sort());
        format!("{metrics:?}")
    });
    metrics.collect()
}

fn any_crowd() -> impl Strategy<Value = (Format, String)> {
    select(vec![Format::Prometheus, Format::OpenMetrics])
        .prop_flat_map(|format| (Just(format), crowd(format)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn no_sample_is_lost((format, text) in any_crowd()) {
        let samples = entries(text.as_bytes(), format)
            .filter(|entry| matches!(entry, Ok(Entry::Sample(_))))
            .count();
        let sizes = families(text.as_bytes(), format).map(|family| {
            let family = family.unwrap();
            family.metrics.iter().map(size).sum::<usize>() + family.others.len()
        });
        prop_assert_eq!(sizes.sum::<usize>(), samples);
    }

    #[test]
    fn the_order_of_labels_makes_no_difference(
        (format, text) in any_crowd(), turned in vec(any::<bool>(), 10)
    ) {
        let two_more = |labels: [&str; 2]| {
            let labels = format!("{{{},{},", labels[0], labels[1]);
            move |line: &str| line.replacen('{', &labels, 1) + "\n"
        };
        let (as_it_is, the_other_way) = (two_more(["x=\"1\"", "y=\"2\""]), two_more(["y=\"2\"", "x=\"1\""]));
        let straight: String = text.lines().map(&as_it_is).collect();
        let mixed: String = text
            .lines()
            .zip(turned)
            .map(|(line, turn)| if turn { the_other_way(line) } else { as_it_is(line) })
            .collect();
        prop_assert_eq!(sorted(&straight, format), sorted(&mixed, format));
    }

    #[test]
    fn what_is_strict_makes_whole_families(text in crowd(Format::OpenMetrics)) {
        // About one in three is.
        if strict(text.as_bytes(), Format::OpenMetrics).any(|entry| entry.is_err()) {
            return Ok(());
        }
        let mut names = HashSet::new();
        for family in families(text.as_bytes(), Format::OpenMetrics) {
            let family = family.unwrap();
            prop_assert!(family.others.is_empty());
            prop_assert!(names.insert(family.name.clone()));
            for metric in &family.metrics {
                if let MetricValue::Histogram(histogram) = &metric.value {
                    let last = histogram.buckets.last().unwrap();
                    prop_assert_eq!(last.upper_bound, f64::INFINITY);
                    prop_assert_eq!(histogram.count.unwrap_or(last.count), last.count);
                    prop_assert!(histogram.buckets.is_sorted_by(|a, b| a.upper_bound < b.upper_bound));
                }
                prop_assert_eq!(matches!(metric.value, MetricValue::Info), family.kind == MetricType::Info);
            }
        }
    }
}
