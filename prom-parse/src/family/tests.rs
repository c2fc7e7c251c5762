//! What the families of small bodies come to.

use super::{Family, MetricValue, families};
use crate::entry::{MetricType, Timestamp};
use crate::format::Format::{self, OpenMetrics, Prometheus};

fn read(body: &str, format: Format) -> Vec<Family<'_>> {
    families(body.as_bytes(), format).collect::<Result<_, _>>().unwrap()
}

/// A family in short: name, type, and `labels: value` of each metric.
fn short(family: &Family<'_>) -> (String, MetricType, Vec<String>) {
    let metric = |metric: &super::Metric<'_>| {
        let labels: Vec<_> = metric.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let value = match &metric.value {
            MetricValue::Unknown(number) | MetricValue::Gauge(number) => number.value.to_string(),
            MetricValue::Counter(counter) => format!("{:?} since {:?}", counter.total, counter.created),
            MetricValue::Histogram(histogram) | MetricValue::GaugeHistogram(histogram) => {
                let buckets: Vec<_> =
                    histogram.buckets.iter().map(|bucket| (bucket.upper_bound, bucket.count)).collect();
                format!("{buckets:?} {:?} {:?} since {:?}", histogram.count, histogram.sum, histogram.created)
            }
            MetricValue::Summary(summary) => {
                let quantiles: Vec<_> =
                    summary.quantiles.iter().map(|quantile| (quantile.quantile, quantile.value)).collect();
                format!("{quantiles:?} {:?} {:?} since {:?}", summary.count, summary.sum, summary.created)
            }
            MetricValue::Info => "info".to_owned(),
            MetricValue::StateSet(states) => {
                let states: Vec<_> = states.iter().map(|state| (&*state.name, state.enabled)).collect();
                format!("{states:?}")
            }
        };
        format!("{}: {value}", labels.join(","))
    };
    (family.name.to_string(), family.kind, family.metrics.iter().map(metric).collect())
}

fn shorts(body: &str, format: Format) -> Vec<(String, MetricType, Vec<String>)> {
    read(body, format).iter().map(short).collect()
}

fn family(name: &str, kind: MetricType, metrics: &[&str]) -> (String, MetricType, Vec<String>) {
    (name.to_owned(), kind, metrics.iter().map(|&metric| metric.to_owned()).collect())
}

#[test]
fn all_types_of_openmetrics() {
    let body = "\
# HELP c Things.
# TYPE c counter
c_total{a=\"1\"} 3
c_created{a=\"1\"} 9
c_total{a=\"2\"} 4
# TYPE g gauge
g 5
# TYPE h histogram
h_bucket{le=\"1\",a=\"1\"} 2
h_bucket{le=\"+Inf\",a=\"1\"} 3
h_count{a=\"1\"} 3
h_sum{a=\"1\"} 7
h_created{a=\"1\"} 9
# TYPE gh gaugehistogram
gh_bucket{le=\"+Inf\"} 3
gh_gcount 3
gh_gsum -7
# TYPE i info
i_info{v=\"1\"} 1
# TYPE q summary
q{a=\"1\",quantile=\"0.5\"} 1
q_count{a=\"1\"} 3
q_sum{a=\"1\"} 7
q_created{a=\"1\"} 9
# TYPE s stateset
s{s=\"on\",a=\"1\"} 1
s{s=\"off\",a=\"1\"} 0
# TYPE u_m unknown
# UNIT u_m m
u_m 8
bare 9
# EOF
";
    let read = read(body, OpenMetrics);
    assert_eq!(
        read.iter().map(short).collect::<Vec<_>>(),
        [
            family(
                "c",
                MetricType::Counter,
                &["a=1: Some(3.0) since Some(9.0)", "a=2: Some(4.0) since None"]
            ),
            family("g", MetricType::Gauge, &[": 5"]),
            family(
                "h",
                MetricType::Histogram,
                &["a=1: [(1.0, 2.0), (inf, 3.0)] Some(3.0) Some(7.0) since Some(9.0)"]
            ),
            family("gh", MetricType::GaugeHistogram, &[": [(inf, 3.0)] Some(3.0) Some(-7.0) since None"]),
            family("i", MetricType::Info, &["v=1: info"]),
            family("q", MetricType::Summary, &["a=1: [(0.5, 1.0)] Some(3.0) Some(7.0) since Some(9.0)"]),
            family("s", MetricType::StateSet, &["a=1: [(\"on\", true), (\"off\", false)]"]),
            family("u_m", MetricType::Unknown, &[": 8"]),
            family("bare", MetricType::Unknown, &[": 9"]),
        ]
    );
    assert_eq!(read[0].help.as_deref(), Some("Things."));
    assert_eq!((&read[1].help, read[1].unit), (&None, None));
    assert_eq!(read[7].unit, Some("m"));
    assert!(read.iter().all(|family| family.others.is_empty()));
}

#[test]
fn prometheus_names_counters_in_full() {
    let body = "# TYPE a_total counter\na_total 1\n# TYPE a_created gauge\na_created 2\n\
        # TYPE b counter\nb_total 3\n";
    assert_eq!(
        shorts(body, Prometheus),
        [
            family("a_total", MetricType::Counter, &[": Some(1.0) since None"]),
            family("a_created", MetricType::Gauge, &[": 2"]),
            family("b", MetricType::Counter, &[]),
            family("b_total", MetricType::Unknown, &[": 3"]),
        ]
    );
}

#[test]
fn samples_of_a_metric_need_not_stand_together() {
    let body = "# TYPE q summary\nq{a=\"1\",quantile=\"0.5\"} 1\nq{a=\"2\",quantile=\"0.5\"} 2\n\
        q_sum{a=\"1\"} 3\nq_sum{a=\"2\"} 4\nq_count{a=\"1\"} 5\nq{quantile=\"0.9\",a=\"1\"} 6\n";
    let metrics = [
        "a=1: [(0.5, 1.0), (0.9, 6.0)] Some(5.0) Some(3.0) since None",
        "a=2: [(0.5, 2.0)] None Some(4.0) since None",
    ];
    assert_eq!(shorts(body, Prometheus), [family("q", MetricType::Summary, &metrics)]);
    // Nor need labels stand in the same order.
    let body = "# TYPE h histogram\nh_sum{a=\"1\",b=\"2\"} 3\nh_count{b=\"2\",a=\"1\"} 4\n";
    assert_eq!(
        shorts(body, Prometheus),
        [family("h", MetricType::Histogram, &["a=1,b=2: [] Some(4.0) Some(3.0) since None"])]
    );
}

#[test]
fn points_in_time_and_repetitions_are_metrics_of_their_own() {
    let body = "# TYPE c counter\nc_total 1 5\nc_total 2 6\nc_total 3 6\nc_created 1 6\n# EOF\n";
    let read = read(body, OpenMetrics);
    let metrics = [": Some(1.0) since None", ": Some(2.0) since None", ": Some(3.0) since Some(1.0)"];
    assert_eq!(short(&read[0]), family("c", MetricType::Counter, &metrics));
    assert_eq!(read[0].metrics[0].timestamp, Some(Timestamp::Seconds(5.0)));
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 2\n# TYPE s summary\ns{quantile=\"1\"} 1\ns{quantile=\"1\"} 2\n";
    let read = self::read(body, Prometheus);
    assert_eq!(read.iter().map(|family| family.metrics.len()).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn what_does_not_fit_is_kept_apart() {
    for (body, format) in [
        ("# TYPE a histogram\na_bucket 1\n", Prometheus),
        ("# TYPE a histogram\na_bucket{le=\"x\"} 1\n", Prometheus),
        ("# TYPE a summary\na{b=\"c\"} 1\n", Prometheus),
        ("# TYPE a info\na_info{b=\"c\"} 2\n# EOF\n", OpenMetrics),
        ("# TYPE a stateset\na{b=\"c\"} 1\n# EOF\n", OpenMetrics),
        ("# TYPE a stateset\na{a=\"c\"} 0.5\n# EOF\n", OpenMetrics),
    ] {
        let read = read(body, format);
        assert_eq!((read.len(), read[0].metrics.len(), read[0].others.len()), (1, 0, 1), "{body}");
    }
}

#[test]
fn what_stands_apart_is_a_family_each() {
    let body = "# TYPE h histogram\nh_sum 1\nother 2\nh_count 3\n";
    assert_eq!(
        shorts(body, Prometheus),
        [
            family("h", MetricType::Histogram, &[": [] None Some(1.0) since None"]),
            family("other", MetricType::Unknown, &[": 2"]),
            family("h_count", MetricType::Unknown, &[": 3"]),
        ]
    );
    let body = "a 1\n# TYPE a gauge\n# a comment\n\n# HELP a x\n# TYPE b gauge\na 2\n";
    let [unknown, gauge, empty, again] = &read(body, Prometheus)[..] else { panic!() };
    assert_eq!(short(unknown), family("a", MetricType::Unknown, &[": 1"]));
    assert_eq!(short(gauge), family("a", MetricType::Gauge, &[]));
    assert_eq!(gauge.help.as_deref(), Some("x"));
    assert_eq!(short(empty), family("b", MetricType::Gauge, &[]));
    assert_eq!(short(again), family("a", MetricType::Unknown, &[": 2"]));
}

#[test]
fn exemplars_stay_where_they_stand() {
    let body = "# TYPE c counter\nc_total 1 # {t=\"1\"} 2\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 # {t=\"3\"} 4 5\n\
        # TYPE g gauge\ng 1 # {} 6\n# EOF\n";
    let read = read(body, OpenMetrics);
    let exemplars: Vec<_> = read
        .iter()
        .map(|family| match &family.metrics[0].value {
            MetricValue::Counter(counter) => counter.exemplar.unwrap().value(),
            MetricValue::Histogram(histogram) => histogram.buckets[0].exemplar.unwrap().value(),
            MetricValue::Gauge(number) => number.exemplar.unwrap().value(),
            _ => panic!(),
        })
        .collect();
    assert_eq!(exemplars, [2.0, 4.0, 6.0]);
}

#[test]
fn half_a_family_is_none() {
    let mut families = families(b"# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\nb x\n", Prometheus);
    assert_eq!(families.next().unwrap().unwrap().name, "a");
    assert!(families.next().unwrap().is_err());
    assert!(families.next().is_none());
}
