//! The rules of OpenMetrics: families, the metrics in them, the samples in those.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::histogram::Point;
use super::{Broken, Rule};
use crate::entry::{Entry, MetricType, Sample, Timestamp};
use crate::format::Format;
use crate::number;

/// What is kept of a body: the names that are taken, and the family that the lines are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules<'a> {
    /// The names of all families and of all samples that they can have; whether a family is named so.
    names: BTreeMap<Cow<'a, str>, bool>,
    family: Option<Family<'a>>,
}

#[derive(Clone, Debug)]
struct Family<'a> {
    name: Cow<'a, str>,
    kind: Option<MetricType>,
    has_help: bool,
    unit: Option<&'a str>,
    /// The metrics so far; empty before the first sample.
    metrics: BTreeSet<Labels<'a>>,
    current: Option<Metric<'a>>,
}

/// The labels that tell one metric of a family from another, sorted.
type Labels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The metric that the latest sample belongs to.
#[derive(Clone, Debug)]
struct Metric<'a> {
    labels: Labels<'a>,
    /// Of its latest sample, in seconds.
    timestamp: Option<f64>,
    /// Of a histogram, what the latest timestamp has.
    point: Option<Point>,
}

impl<'a> Rules<'a> {
    pub(super) fn check(&mut self, entry: &Entry<'a>, at: usize) -> Result<(), Broken> {
        match entry {
            Entry::Help { name, .. } => {
                let family = self.metadata(name, at)?;
                Rule::OneHelp.ensure(!family.has_help, at)?;
                family.has_help = true;
            }
            Entry::Type { name, kind } => {
                let family = self.metadata(name, at)?;
                Rule::OneType.ensure(family.kind.is_none(), at)?;
                family.kind = Some(*kind);
                family.check_unit(at)?;
                for suffix in kind.suffixes(Format::OpenMetrics).iter().filter(|suffix| !suffix.is_empty()) {
                    let taken = self.names.insert(format!("{name}{suffix}").into(), false);
                    Rule::FreeName.ensure(taken.is_none(), at)?;
                }
            }
            Entry::Unit { name, unit } => {
                let family = self.metadata(name, at)?;
                Rule::OneUnit.ensure(family.unit.is_none(), at)?;
                family.unit = Some(unit);
                family.check_unit(at)?;
            }
            Entry::Sample(sample) => {
                let name = sample.name();
                let suffix = match self.family.as_ref().and_then(|family| family.suffix(&name)) {
                    Some(suffix) => suffix,
                    None => {
                        self.open_for_sample(name.clone(), at)?;
                        ""
                    }
                };
                if let Some(family) = &mut self.family {
                    family.sample(sample, suffix, at)?;
                }
            }
            Entry::Eof => self.close()?,
            Entry::Comment(_) => (),
        }
        Ok(())
    }

    /// The family that a line of metadata is about.
    fn metadata(&mut self, name: &Cow<'a, str>, at: usize) -> Result<&mut Family<'a>, Broken> {
        let family = match self.family.take() {
            Some(family) if family.name == *name => {
                Rule::MetadataFirst.ensure(family.metrics.is_empty(), at)?;
                family
            }
            other => {
                self.family = other;
                self.open(name.clone(), at)?
            }
        };
        Ok(self.family.insert(family))
    }

    /// Opens the family that a sample without metadata makes up by itself.
    fn open_for_sample(&mut self, name: Cow<'a, str>, at: usize) -> Result<(), Broken> {
        let misnamed = self.family.as_ref().is_some_and(|family| family.seems_to_own(&name));
        let family = self.open(name, at).map_err(|broken| match broken.rule {
            Rule::FamilyTogether | Rule::FreeName if misnamed => Broken { rule: Rule::SampleName, ..broken },
            _ => broken,
        })?;
        self.family = Some(family);
        Ok(())
    }

    fn open(&mut self, name: Cow<'a, str>, at: usize) -> Result<Family<'a>, Broken> {
        self.close()?;
        match self.names.insert(name.clone(), true) {
            None => Ok(Family {
                name,
                kind: None,
                has_help: false,
                unit: None,
                metrics: BTreeSet::new(),
                current: None,
            }),
            Some(true) => Err(Broken { rule: Rule::FamilyTogether, at }),
            Some(false) => Err(Broken { rule: Rule::FreeName, at }),
        }
    }

    fn close(&mut self) -> Result<(), Broken> {
        let metric = self.family.as_ref().and_then(|family| family.current.as_ref());
        metric.and_then(|metric| metric.point.as_ref()).map_or(Ok(()), Point::check)
    }
}

impl<'a> Family<'a> {
    fn kind(&self) -> MetricType {
        self.kind.unwrap_or(MetricType::Unknown)
    }

    /// What a sample's name has after the family's, if that is what the type demands.
    fn suffix(&self, sample: &str) -> Option<&'static str> {
        let suffix = sample.strip_prefix(&*self.name)?;
        self.kind().suffixes(Format::OpenMetrics).iter().copied().find(|allowed| *allowed == suffix)
    }

    /// Whether a sample's name would suit the family if its type were another.
    fn seems_to_own(&self, sample: &str) -> bool {
        sample.strip_prefix(&*self.name).is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('_'))
    }

    fn check_unit(&self, at: usize) -> Result<(), Broken> {
        let unitless = matches!(self.kind, Some(MetricType::Info | MetricType::StateSet));
        Rule::NoUnit.ensure(!unitless || self.unit.is_none_or(str::is_empty), at)
    }

    fn sample(&mut self, sample: &Sample<'a>, suffix: &'static str, at: usize) -> Result<(), Broken> {
        let kind = self.kind();
        value(kind, suffix, sample.value(), at)?;
        exemplar(kind, suffix, sample, at)?;
        let mut labels: Labels<'a> = sample.labels().collect();
        let special = self.take_special_label(&mut labels, suffix, at)?;
        labels.sort_unstable();
        self.metric(labels, sample.timestamp().map(Timestamp::as_seconds), at)?;
        if let (Some(metric), MetricType::Histogram | MetricType::GaugeHistogram) = (&mut self.current, kind)
        {
            let bound = special.and_then(|bound| number::float(bound.as_bytes()).ok());
            metric.point.get_or_insert_with(|| Point::new(at)).add(suffix, bound, sample.value(), at)?;
        }
        Ok(())
    }

    /// Takes the label out that tells samples of one metric apart: `le`, `quantile` or a state's.
    fn take_special_label(
        &self,
        labels: &mut Labels<'a>,
        suffix: &str,
        at: usize,
    ) -> Result<Option<Cow<'a, str>>, Broken> {
        let (name, rule) = match (self.kind(), suffix) {
            // All infos of a family are one metric to the rules: no label of theirs is known to identify them.
            (MetricType::Info, _) => {
                labels.clear();
                return Ok(None);
            }
            (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket") => ("le", Rule::BucketBound),
            (MetricType::Summary, "") => ("quantile", Rule::Quantile),
            (MetricType::StateSet, _) => (&*self.name, Rule::StateLabel),
            _ => return Ok(None),
        };
        let found = labels.iter().position(|(label, _)| label == name);
        let value = found.map(|found| labels.swap_remove(found).1);
        let number = value.as_ref().and_then(|value| number::float(value.as_bytes()).ok());
        let holds = match rule {
            Rule::BucketBound => number.is_some_and(|bound| {
                !bound.is_nan() && (bound != f64::INFINITY || value.as_deref() == Some("+Inf"))
            }),
            Rule::Quantile => number.is_some_and(|quantile| (0.0..=1.0).contains(&quantile)),
            _ => value.is_some(),
        };
        rule.ensure(holds, at)?;
        Ok(value)
    }

    /// Makes a metric the current one.
    fn metric(&mut self, labels: Labels<'a>, timestamp: Option<f64>, at: usize) -> Result<(), Broken> {
        let previous = match self.current.take() {
            Some(previous) if previous.labels == labels => previous,
            other => {
                other.and_then(|other| other.point).as_ref().map_or(Ok(()), Point::check)?;
                Rule::MetricTogether.ensure(self.metrics.insert(labels.clone()), at)?;
                self.current = Some(Metric { labels, timestamp, point: None });
                return Ok(());
            }
        };
        Rule::TimestampOnAll.ensure(previous.timestamp.is_some() == timestamp.is_some(), at)?;
        let in_order = self.kind() == MetricType::Info || previous.timestamp <= timestamp;
        Rule::TimestampOrder.ensure(in_order, at)?;
        let point = match previous.point {
            Some(point) if previous.timestamp != timestamp => {
                point.check()?;
                None
            }
            point => point,
        };
        self.current = Some(Metric { labels, timestamp, point });
        Ok(())
    }
}

/// What a sample's value may be.
fn value(kind: MetricType, suffix: &str, value: f64, at: usize) -> Result<(), Broken> {
    match (kind, suffix) {
        (MetricType::Info, _) => Rule::InfoValue.ensure(value == 1.0, at),
        (MetricType::StateSet, _) => Rule::StateValue.ensure(value == 0.0 || value == 1.0, at),
        (MetricType::Summary, "") => Rule::NotNegative.ensure(value >= 0.0 || value.is_nan(), at),
        (_, "_gsum") => Rule::NotNan.ensure(!value.is_nan(), at),
        (_, "_total" | "_sum" | "_bucket" | "_count" | "_gcount") => {
            Rule::NotNan.ensure(!value.is_nan(), at)?;
            Rule::NotNegative.ensure(value >= 0.0, at)?;
            let counts = !matches!(suffix, "_total" | "_sum");
            Rule::WholeCount.ensure(!counts || is_whole(value), at)
        }
        _ => Ok(()),
    }
}

fn is_whole(value: f64) -> bool {
    // From here on there are no fractions.
    const LARGE: f64 = (1_u64 << 53) as f64;
    value.abs() >= LARGE || value as i64 as f64 == value
}

fn exemplar(kind: MetricType, suffix: &str, sample: &Sample<'_>, at: usize) -> Result<(), Broken> {
    /// In characters.
    const LONGEST: usize = 128;
    let Some(exemplar) = sample.exemplar() else { return Ok(()) };
    let in_place = matches!(
        (kind, suffix),
        (MetricType::Counter, "_total") | (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket")
    );
    Rule::ExemplarPlace.ensure(in_place, at)?;
    let length: usize =
        exemplar.labels().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
    Rule::ExemplarLength.ensure(length <= LONGEST, at)
}
