//! What an exposition consists of, borrowed from its body.

use alloc::borrow::Cow;
use core::fmt;

use crate::format::Format;
use crate::grammar;
use crate::labels::{LabelSet, Labels, unquoted};

/// One line of an exposition. Empty lines are no entries.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Entry<'a> {
    /// `# HELP name text`
    Help {
        /// The metric family.
        name: Cow<'a, str>,
        /// What the family is about, unescaped.
        text: Cow<'a, str>,
    },
    /// `# TYPE name kind`
    Type {
        /// The metric family.
        name: Cow<'a, str>,
        /// The type of its metrics.
        kind: MetricType,
    },
    /// `# UNIT name unit`, in OpenMetrics only.
    Unit {
        /// The metric family.
        name: Cow<'a, str>,
        /// The unit: empty, or what the name ends in after an underscore.
        unit: &'a str,
    },
    /// Any other line that begins with `#`, in 0.0.4 only: the bytes after the `#`, which may be anything.
    Comment(#[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::lossy"))] &'a [u8]),
    /// One measurement.
    Sample(Sample<'a>),
    /// `# EOF`, which ends an OpenMetrics body and says that it is whole.
    Eof,
}

/// The type of a metric family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum MetricType {
    /// Not known; `untyped` in 0.0.4.
    Unknown,
    /// A total that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Cumulative counts by upper bound.
    Histogram,
    /// A histogram whose counts go up and down; OpenMetrics only.
    GaugeHistogram,
    /// Quantiles, a count and a sum.
    Summary,
    /// Facts that do not change while the process lives; OpenMetrics only.
    Info,
    /// A set of booleans; OpenMetrics only.
    StateSet,
}

impl MetricType {
    /// What the names of its samples have after the family's name.
    pub(crate) const fn suffixes(self, format: Format) -> &'static [&'static str] {
        match (format, self) {
            (Format::OpenMetrics, Self::Counter) => &["_total", "_created"],
            (Format::OpenMetrics, Self::Histogram) => &["_bucket", "_count", "_sum", "_created"],
            (Format::OpenMetrics, Self::GaugeHistogram) => &["_bucket", "_gcount", "_gsum"],
            (Format::OpenMetrics, Self::Summary) => &["", "_count", "_sum", "_created"],
            (Format::OpenMetrics, Self::Info) => &["_info"],
            (Format::Prometheus, Self::Histogram | Self::GaugeHistogram) => &["_bucket", "_count", "_sum"],
            (Format::Prometheus, Self::Summary) => &["", "_count", "_sum"],
            _ => &[""],
        }
    }

    /// The type's name in OpenMetrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

impl fmt::Display for MetricType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a sample was taken, as its source says and in the unit of its format.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Timestamp {
    /// Milliseconds since the Unix epoch: 0.0.4.
    Millis(i64),
    /// Seconds since the Unix epoch, finite: OpenMetrics.
    Seconds(f64),
}

impl Timestamp {
    /// Seconds since the Unix epoch.
    pub fn as_seconds(self) -> f64 {
        match self {
            Self::Millis(millis) => millis as f64 / 1e3,
            Self::Seconds(seconds) => seconds,
        }
    }
}

/// One measurement: a name, labels and a value.
#[derive(Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// The name; after its opening quote, if it stood in quotes.
    pub(crate) name: &'a str,
    pub(crate) labels: LabelSet<'a>,
    pub(crate) value: f64,
    pub(crate) timestamp: Option<Timestamp>,
    /// From the exemplar's brace to the end of the line, or empty.
    pub(crate) exemplar: &'a str,
}

impl<'a> Sample<'a> {
    /// The metric's name, never empty. Borrowed unless it holds escapes.
    #[inline]
    pub fn name(&self) -> Cow<'a, str> {
        unquoted(self.name)
    }

    /// The labels in the order of the text. No name comes twice, is empty or is `__name__`.
    #[inline]
    pub fn labels(&self) -> Labels<'a> {
        self.labels.iter()
    }

    /// The value: the double nearest to what is written, an infinity only where one is written.
    #[inline]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The timestamp, where one is written.
    #[inline]
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The exemplar, where one is written.
    pub fn exemplar(&self) -> Option<Exemplar<'a>> {
        grammar::exemplar(self.exemplar)
    }
}

impl fmt::Debug for Sample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("name", &self.name())
            .field("labels", &self.labels())
            .field("value", &self.value)
            .field("timestamp", &self.timestamp)
            .field("exemplar", &self.exemplar())
            .finish()
    }
}

/// An example of what a sample counted, such as a trace.
#[derive(Clone, Copy, PartialEq)]
pub struct Exemplar<'a> {
    pub(crate) labels: LabelSet<'a>,
    pub(crate) value: f64,
    pub(crate) timestamp: Option<f64>,
}

impl<'a> Exemplar<'a> {
    /// The labels in the order of the text.
    pub fn labels(&self) -> Labels<'a> {
        self.labels.iter()
    }

    /// The value of the example.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// When it was taken, in seconds since the Unix epoch.
    pub fn timestamp(&self) -> Option<f64> {
        self.timestamp
    }
}

impl fmt::Debug for Exemplar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exemplar")
            .field("labels", &self.labels())
            .field("value", &self.value)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}
