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
                    Some(part) => self.add_part(labels, sample, part),
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

    fn add_part(&mut self, labels: Labels<'a>, sample: &Sample<'a>, part: Part<'a>) {
        let mut key = labels.clone();
        key.sort_unstable();
        let metrics = &mut self.family.metrics;
        let latest = self.latest.get(&key).and_then(|latest| metrics.get_mut(*latest));
        let part = match latest.filter(|metric| metric.timestamp == sample.timestamp()) {
            Some(metric) => match metric.value.fill(part, sample) {
                None => return,
                Some(part) => part,
            },
            None => part,
        };
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
    /// Puts a part where it belongs. Returns it where its place is taken.
    fn fill(&mut self, part: Part<'a>, sample: &Sample<'a>) -> Option<Part<'a>> {
        let value = sample.value();
        let place = match (&mut *self, &part) {
            (Self::Counter(counter), Part::Total) => {
                if counter.total.is_none() {
                    counter.exemplar = sample.exemplar();
                }
                &mut counter.total
            }
            (Self::Counter(counter), _) => &mut counter.created,
            (Self::Histogram(histogram) | Self::GaugeHistogram(histogram), part) => match part {
                Part::Bucket(bound) => {
                    if repeats(&histogram.buckets, |bucket| bucket.upper_bound == *bound) {
                        return Some(Part::Bucket(*bound));
                    }
                    let exemplar = sample.exemplar();
                    histogram.buckets.push(Bucket { upper_bound: *bound, count: value, exemplar });
                    return None;
                }
                Part::Count => &mut histogram.count,
                Part::Sum => &mut histogram.sum,
                _ => &mut histogram.created,
            },
            (Self::Summary(summary), part) => match part {
                Part::Quantile(quantile) => {
                    if repeats(&summary.quantiles, |known| known.quantile == *quantile) {
                        return Some(Part::Quantile(*quantile));
                    }
                    summary.quantiles.push(Quantile { quantile: *quantile, value });
                    return None;
                }
                Part::Count => &mut summary.count,
                Part::Sum => &mut summary.sum,
                _ => &mut summary.created,
            },
            (Self::StateSet(states), Part::State(name)) => {
                if repeats(states, |state| state.name == *name) {
                    return Some(part);
                }
                states.push(State { name: name.clone(), enabled: value == 1.0 });
                return None;
            }
            _ => return None,
        };
        if place.is_some() {
            return Some(part);
        }
        *place = Some(value);
        None
    }
}

/// Whether the first or the last of some items is there again: a metric that is repeated begins like that, and to look at
/// all of them would take time without end.
fn repeats<T>(items: &[T], is_same: impl Fn(&T) -> bool) -> bool {
    items.first().is_some_and(&is_same) || items.last().is_some_and(is_same)
}
