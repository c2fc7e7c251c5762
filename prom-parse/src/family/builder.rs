//! A family while its samples come in.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Bucket, Counter, Family, Histogram, Metric, MetricValue, Number, Quantile, State, Summary};
use crate::entry::{MetricType, Sample};
use crate::format::Format;
use crate::number;

type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

#[derive(Clone, Debug)]
pub(super) struct Builder<'a> {
    pub(super) family: Family<'a>,
    format: Format,
    /// For metrics of several samples, where the latest one with the given labels, sorted, stands.
    latest: BTreeMap<Labels<'a>, usize>,
}

/// What a sample says of a metric, beside its labels and timestamp.
enum Part<'a> {
    Total,
    Bucket(f64),
    Quantile(f64),
    State(Cow<'a, str>),
    Count,
    Sum,
    Created,
}

impl<'a> Builder<'a> {
    pub(super) fn new(name: Cow<'a, str>, format: Format) -> Self {
        let kind = MetricType::Unknown;
        let (metrics, others) = (Vec::new(), Vec::new());
        let family = Family { name, kind, help: None, unit: None, metrics, others };
        Self { family, format, latest: BTreeMap::new() }
    }

    pub(super) fn finish(self) -> Family<'a> {
        self.family
    }

    /// Whether there is no sample yet.
    pub(super) fn is_empty(&self) -> bool {
        self.family.metrics.is_empty() && self.family.others.is_empty()
    }

    /// What a sample's name has after the family's, if it belongs here.
    pub(super) fn suffix(&self, sample: &str) -> Option<&'static str> {
        let suffix = sample.strip_prefix(&*self.family.name)?;
        self.family.kind.suffixes(self.format).iter().copied().find(|known| *known == suffix)
    }

    /// Adds a sample that belongs here.
    pub(super) fn add(&mut self, sample: &Sample<'a>, suffix: &'static str) {
        let mut labels: Labels<'a> = sample.labels().collect();
        let single = Number { value: sample.value(), exemplar: sample.exemplar() };
        let value = match self.family.kind {
            MetricType::Unknown => MetricValue::Unknown(single),
            MetricType::Gauge => MetricValue::Gauge(single),
            MetricType::Counter if self.format == Format::Prometheus => {
                let (total, exemplar) = (Some(single.value), single.exemplar);
                MetricValue::Counter(Counter { total, exemplar, created: None })
            }
            MetricType::Info if single.value == 1.0 => MetricValue::Info,
            _ => {
                match self.part(&mut labels, suffix, sample.value()) {
                    Some(part) => self.add_part(labels, sample, &part),
                    None => self.family.others.push(*sample),
                }
                return;
            }
        };
        self.family.metrics.push(Metric { labels, timestamp: sample.timestamp(), value });
    }

    /// Which part of a metric a sample is, if any; takes the label out that says so.
    fn part(&self, labels: &mut Labels<'a>, suffix: &str, value: f64) -> Option<Part<'a>> {
        let mut take = |name: &str| {
            let found = labels.iter().position(|(label, _)| label == name)?;
            Some(labels.remove(found).1)
        };
        let number = |text: Cow<'_, str>| number::float(text.as_bytes()).ok();
        Some(match (self.family.kind, suffix) {
            (MetricType::Counter, "_total") => Part::Total,
            (MetricType::StateSet, _) if value == 0.0 || value == 1.0 => {
                Part::State(take(&self.family.name)?)
            }
            (MetricType::Summary, "") => Part::Quantile(number(take("quantile")?)?),
            (_, "_bucket") => Part::Bucket(number(take("le")?)?),
            (_, "_count" | "_gcount") => Part::Count,
            (_, "_sum" | "_gsum") => Part::Sum,
            (_, "_created") => Part::Created,
            _ => return None,
        })
    }

    fn add_part(&mut self, labels: Labels<'a>, sample: &Sample<'a>, part: &Part<'a>) {
        let fill = |metric: &mut Metric<'a>| {
            metric.timestamp == sample.timestamp() && metric.value.fill(part, sample)
        };
        let metrics = &mut self.family.metrics;
        // The samples of a metric nearly always follow each other, their labels in one order. Then no key is needed.
        if metrics.last_mut().filter(|last| last.labels == labels).is_some_and(fill) {
            return;
        }
        let mut key = labels.clone();
        key.sort_unstable();
        let latest = self.latest.get(&key).and_then(|latest| metrics.get_mut(*latest));
        if latest.is_some_and(fill) {
            return;
        }
        let mut value = match self.family.kind {
            MetricType::Counter => MetricValue::Counter(Counter::default()),
            MetricType::Histogram => MetricValue::Histogram(Histogram::default()),
            MetricType::GaugeHistogram => MetricValue::GaugeHistogram(Histogram::default()),
            MetricType::StateSet => MetricValue::StateSet(Vec::new()),
            _ => MetricValue::Summary(Summary::default()),
        };
        // There is room for anything in an empty one.
        value.fill(part, sample);
        self.latest.insert(key, metrics.len());
        metrics.push(Metric { labels, timestamp: sample.timestamp(), value });
    }
}

impl<'a> MetricValue<'a> {
    /// Puts a part in its place; false where that is taken.
    fn fill(&mut self, part: &Part<'a>, sample: &Sample<'a>) -> bool {
        match (self, part) {
            (Self::Counter(counter), Part::Total) => {
                let is_free = set(&mut counter.total, sample);
                if is_free {
                    counter.exemplar = sample.exemplar();
                }
                is_free
            }
            (Self::Counter(counter), _) => set(&mut counter.created, sample),
            (Self::Histogram(histogram) | Self::GaugeHistogram(histogram), part) => match part {
                Part::Bucket(bound) => {
                    let (upper_bound, count) = (*bound, sample.value());
                    let bucket = Bucket { upper_bound, count, exemplar: sample.exemplar() };
                    push(&mut histogram.buckets, bucket, |bucket| bucket.upper_bound == *bound)
                }
                Part::Count => set(&mut histogram.count, sample),
                Part::Sum => set(&mut histogram.sum, sample),
                _ => set(&mut histogram.created, sample),
            },
            (Self::Summary(summary), part) => match part {
                Part::Quantile(quantile) => {
                    let new = Quantile { quantile: *quantile, value: sample.value() };
                    push(&mut summary.quantiles, new, |known| known.quantile == *quantile)
                }
                Part::Count => set(&mut summary.count, sample),
                Part::Sum => set(&mut summary.sum, sample),
                _ => set(&mut summary.created, sample),
            },
            (Self::StateSet(states), Part::State(name)) => {
                let state = State { name: name.clone(), enabled: sample.value() == 1.0 };
                push(states, state, |state| state.name == *name)
            }
            // `Builder::part` gives a type no other parts.
            _ => false,
        }
    }
}

fn set(place: &mut Option<f64>, sample: &Sample<'_>) -> bool {
    let is_free = place.is_none();
    place.get_or_insert(sample.value());
    is_free
}

/// Adds an item unless it is there. Only the first and the last are looked at: a metric that is repeated begins like that,
/// and to look at all of them would take time without end.
fn push<T>(items: &mut Vec<T>, item: T, is_same: impl Fn(&T) -> bool) -> bool {
    let is_new = !items.first().is_some_and(&is_same) && !items.last().is_some_and(is_same);
    if is_new {
        items.push(item);
    }
    is_new
}
