//! Metrics rather than lines: the families of a body, their samples put together by type.

mod builder;

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::iter::FusedIterator;

use crate::entries::{Entries, entries};
use crate::entry::{Entry, Exemplar, MetricType, Sample, Timestamp};
use crate::error::ParseError;
use crate::format::Format;

use builder::Builder;

/// Reads the families of a body: each with its metadata and its metrics, whose names and labels borrow from the body.
///
/// A family is made of lines that stand together: those of metadata that name it, and the samples after them whose names
/// are the family's with a suffix of its type (`_bucket`, `_count` and `_sum` for a histogram; OpenMetrics has more of
/// them, 0.0.4 gives counters and gauges none). Samples of one family with the same labels, apart from `le`, `quantile` or
/// a state's name, and with the same timestamp are one [`Metric`].
///
/// Nothing is refused here that [`entries`] takes, and no sample is lost:
///
/// - A sample whose name is not the family's opens a family of its own, of type unknown and named like the sample. So it
///   is with samples that have no metadata at all, even where they look like those of a histogram.
/// - A sample whose name is the family's and that does not fit in otherwise stands in [`Family::others`].
/// - Where a family's lines stand apart, each group of lines is a family, and one without metadata has type unknown.
/// - Where a metric is repeated, another metric with the same labels begins: at a count or sum that is there already, or at
///   the first or last of its buckets, quantiles or states.
///
/// Whoever wants such a body refused asks [`strict`](crate::strict()). Of one family at a time everything is kept in memory, but
/// for exemplars that stand on a sum, a count or a quantile.
///
/// ```
/// use prom_parse::{Format, MetricValue, families};
///
/// let body = b"# TYPE t histogram\nt_bucket{le=\"1\"} 3\nt_bucket{le=\"+Inf\"} 4\nt_count 4\nt_sum 7.5\n";
/// for family in families(body, Format::Prometheus) {
///     let family = family?;
///     for metric in &family.metrics {
///         if let MetricValue::Histogram(histogram) = &metric.value {
///             assert_eq!(histogram.buckets[0].count, 3.0);
///             assert_eq!(histogram.sum, Some(7.5));
///         }
///     }
/// }
/// # Ok::<(), prom_parse::ParseError>(())
/// ```
pub fn families(body: &[u8], format: Format) -> Families<'_> {
    Families { entries: entries(body, format), format, current: None }
}

/// The families of a body, in its order. After the first error there are no more, and the family that it is found in is
/// left out.
///
/// Made by [`families`].
#[derive(Clone, Debug)]
#[must_use = "an iterator does nothing until it is walked"]
pub struct Families<'a> {
    entries: Entries<'a>,
    format: Format,
    current: Option<Builder<'a>>,
}

impl<'a> Iterator for Families<'a> {
    type Item = Result<Family<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let done = match self.entries.next() {
                None => return self.current.take().map(|family| Ok(family.finish())),
                Some(Err(error)) => {
                    self.current = None;
                    return Some(Err(error));
                }
                Some(Ok(Entry::Sample(sample))) => self.sample(&sample),
                Some(Ok(Entry::Help { name, text })) => {
                    let (family, done) = self.metadata(name);
                    family.help = Some(text);
                    done
                }
                Some(Ok(Entry::Type { name, kind })) => {
                    let (family, done) = self.metadata(name);
                    family.kind = kind;
                    done
                }
                Some(Ok(Entry::Unit { name, unit })) => {
                    let (family, done) = self.metadata(name);
                    family.unit = Some(unit);
                    done
                }
                Some(Ok(Entry::Comment(_) | Entry::Eof)) => None,
            };
            if let Some(family) = done {
                return Some(Ok(family.finish()));
            }
        }
    }
}

impl FusedIterator for Families<'_> {}

impl<'a> Families<'a> {
    /// Adds a sample to the family that it belongs to; returns the one before if that is another.
    fn sample(&mut self, sample: &Sample<'a>) -> Option<Builder<'a>> {
        let name = sample.name();
        if let Some((family, suffix)) =
            self.current.as_mut().and_then(|family| family.suffix(&name).map(|suffix| (family, suffix)))
        {
            family.add(sample, suffix);
            return None;
        }
        let mut family = Builder::new(name, self.format);
        family.add(sample, "");
        self.current.replace(family)
    }

    /// The family that a line of metadata is about, and the one before if that is another. After samples, it always is.
    fn metadata(&mut self, name: Cow<'a, str>) -> (&mut Family<'a>, Option<Builder<'a>>) {
        let done = match &self.current {
            Some(current) if current.family.name == name && current.is_empty() => None,
            _ => self.current.replace(Builder::new(name.clone(), self.format)),
        };
        let format = self.format;
        (&mut self.current.get_or_insert_with(|| Builder::new(name, format)).family, done)
    }
}

/// A metric family: a name, what is said of it, and its metrics.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Family<'a> {
    /// The name, never empty; that of its samples without the suffixes of its type.
    pub name: Cow<'a, str>,
    /// The type, unknown unless the body tells.
    pub kind: MetricType,
    /// What it is about, unescaped.
    pub help: Option<Cow<'a, str>>,
    /// The unit, in OpenMetrics only.
    pub unit: Option<&'a str>,
    /// The metrics, in the order of the text.
    pub metrics: Vec<Metric<'a>>,
    /// Samples by the names of this family that its type has no place for: a bucket without a number in `le`, a quantile
    /// without one in `quantile`, a state without its label or with a value other than 0 and 1, an info other than 1.
    pub others: Vec<Sample<'a>>,
}

/// What a family measures for one set of labels, at one time.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Metric<'a> {
    /// Names and values in the order of the text, without `le`, `quantile` or the name of a state.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::map"))]
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The timestamp, where one is written.
    pub timestamp: Option<Timestamp>,
    /// What was measured.
    pub value: MetricValue<'a>,
}

/// The value of a metric, by the type of its family.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum MetricValue<'a> {
    /// A value of which nothing is known.
    Unknown(Number<'a>),
    /// A value that goes up and down.
    Gauge(Number<'a>),
    /// A total that only grows.
    Counter(Counter<'a>),
    /// Cumulative counts by upper bound.
    Histogram(Histogram<'a>),
    /// The same with counts that go up and down.
    GaugeHistogram(Histogram<'a>),
    /// Quantiles, a count and a sum.
    Summary(Summary),
    /// Facts, all of which stand in the labels.
    Info,
    /// A set of booleans.
    StateSet(Vec<State<'a>>),
}

/// The value of a gauge or of an unknown metric.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Number<'a> {
    /// The value.
    pub value: f64,
    /// The exemplar, where one is written.
    pub exemplar: Option<Exemplar<'a>>,
}

/// A total.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counter<'a> {
    /// The total; missing where only the time of its creation is written.
    pub total: Option<f64>,
    /// When it began to count, in seconds since the Unix epoch; in OpenMetrics only.
    pub created: Option<f64>,
    /// The exemplar of the total, where one is written.
    pub exemplar: Option<Exemplar<'a>>,
}

/// How many observations were no larger than each of some bounds.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Histogram<'a> {
    /// The buckets, in the order of the text.
    pub buckets: Vec<Bucket<'a>>,
    /// How many observations there were.
    pub count: Option<f64>,
    /// What they add up to.
    pub sum: Option<f64>,
    /// When it began to count, in seconds since the Unix epoch; in OpenMetrics only.
    pub created: Option<f64>,
}

/// How many observations were no larger than a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Bucket<'a> {
    /// The bound, which belongs to the bucket.
    pub upper_bound: f64,
    /// The observations up to it.
    pub count: f64,
    /// One of them, where one is written.
    pub exemplar: Option<Exemplar<'a>>,
}

/// Quantiles of observations.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Summary {
    /// The quantiles, in the order of the text.
    pub quantiles: Vec<Quantile>,
    /// How many observations there were.
    pub count: Option<f64>,
    /// What they add up to.
    pub sum: Option<f64>,
    /// When it began to count, in seconds since the Unix epoch; in OpenMetrics only.
    pub created: Option<f64>,
}

/// The value that a share of the observations does not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Quantile {
    /// The share, from 0 to 1 where the source keeps to the formats.
    pub quantile: f64,
    /// The value.
    pub value: f64,
}

/// A boolean of a set.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct State<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Whether it is on.
    pub enabled: bool,
}

#[cfg(test)]
mod tests;
