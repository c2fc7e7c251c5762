//! The rules by name.

use core::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A rule that [`strict`](crate::strict()) holds a body to. Its `Display` form says what is expected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
        #[non_exhaustive]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// What is expected, in words.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

rules! {
    /// Both formats: a family has one HELP line at most.
    OneHelp = "at most one HELP line for a family",
    /// Both formats: a family has one TYPE line at most.
    OneType = "at most one TYPE line for a family",
    /// A family has one UNIT line at most.
    OneUnit = "at most one UNIT line for a family",
    /// Metadata comes before samples; in 0.0.4 this holds for TYPE alone.
    MetadataFirst = "the metadata of a family before its samples",
    /// Families are not interleaved.
    FamilyTogether = "all lines of a family in one group",
    /// No two families have a sample's name in common, created or not: a counter `a` claims `a`, `a_total` and `a_created`.
    FreeName = "a name that no sample of another family can have",
    /// Within a family, samples have the suffixes of its type: `_total` for a counter, `_info` for an info.
    SampleName = "a sample name that ends as the family's type demands",
    /// An info and a stateset have no unit.
    NoUnit = "no unit for an info or a stateset",
    /// The metrics of a family are not interleaved.
    MetricTogether = "all samples of a metric in one group",
    /// Either all samples of a metric have a timestamp or none has.
    TimestampOnAll = "a timestamp on all samples of a metric or on none",
    /// The timestamps of a metric do not go backwards.
    TimestampOrder = "a timestamp no earlier than the one before in the same metric",
    /// The samples of a counter and the buckets, counts and sums of other types are not NaN.
    NotNan = "a value other than NaN",
    /// Both formats: counts and buckets are not negative. In OpenMetrics this holds for counters, quantiles and most sums too.
    NotNegative = "a value of zero or more",
    /// Counts and buckets count events.
    WholeCount = "a count that is a whole number",
    /// A bucket has a label `le`, a number; an infinite one is written `+Inf`.
    BucketBound = "a label `le` that is a number or `+Inf`",
    /// Buckets come in the order of their bounds.
    BucketOrder = "a bucket with a higher bound than the one before",
    /// Bucket counts are cumulative.
    BucketCount = "a bucket that counts no less than the one before",
    /// The last bucket is `+Inf`.
    InfBucket = "a last bucket with `le=\"+Inf\"` in each histogram",
    /// The count is that of the bucket `+Inf`.
    CountOfInf = "a count that equals the bucket `+Inf`",
    /// A histogram has a count and a sum or neither.
    CountAndSum = "both a count and a sum or neither",
    /// A histogram that observes negative values cannot have a sum, since that could fall.
    SumOfNegatives = "no sum beside a bucket with a negative bound",
    /// The sum of a gaugehistogram is negative only where values can be.
    NegativeGaugeSum = "no negative sum without a bucket with a negative bound",
    /// A quantile has a label `quantile` from 0 to 1.
    Quantile = "a label `quantile` from 0 to 1",
    /// 0.0.4: the labels `le` of a histogram and `quantile` of a summary are numbers.
    NumericLabel = "a number in the label `le` of a histogram or `quantile` of a summary",
    /// An info is always 1.
    InfoValue = "the value 1 for an info",
    /// A state's name stands in a label that is named like its family.
    StateLabel = "a label with the name of the stateset",
    /// A state is 0 or 1.
    StateValue = "the value 0 or 1 for a state",
    /// Only a counter's total and a histogram's bucket have exemplars.
    ExemplarPlace = "an exemplar on a counter's total or a histogram's bucket alone",
    /// The label names and values of an exemplar have 128 characters at most.
    ExemplarLength = "an exemplar with at most 128 characters of label names and values",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
