//! What the samples of a histogram say together.

use super::{Broken, Rule};

/// A histogram or gaugehistogram at one time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// The offset of its first line.
    start: usize,
    /// The bound and count of the latest bucket.
    bucket: Option<(f64, f64)>,
    has_negative_bound: bool,
    count: Option<f64>,
    sum: Option<f64>,
    /// The sum of a gaugehistogram.
    gauge_sum: Option<f64>,
}

impl Point {
    pub(super) fn new(start: usize) -> Self {
        Self { start, bucket: None, has_negative_bound: false, count: None, sum: None, gauge_sum: None }
    }

    pub(super) fn add(
        &mut self,
        suffix: &str,
        bound: Option<f64>,
        value: f64,
        at: usize,
    ) -> Result<(), Broken> {
        match (suffix, bound) {
            ("_bucket", Some(bound)) => {
                let (last_bound, last_count) = self.bucket.unwrap_or((f64::NEG_INFINITY, 0.0));
                Rule::BucketOrder.ensure(self.bucket.is_none() || bound > last_bound, at)?;
                Rule::BucketCount.ensure(value >= last_count, at)?;
                self.bucket = Some((bound, value));
                self.has_negative_bound |= bound < 0.0;
            }
            ("_count" | "_gcount", _) => self.count = Some(value),
            ("_sum", _) => self.sum = Some(value),
            ("_gsum", _) => self.gauge_sum = Some(value),
            _ => (),
        }
        Ok(())
    }

    /// Whether it adds up, now that it is whole.
    pub(super) fn check(&self) -> Result<(), Broken> {
        let total = self.bucket.filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| count);
        Rule::InfBucket.ensure(total.is_some(), self.start)?;
        Rule::CountOfInf.ensure(self.count.is_none() || self.count == total, self.start)?;
        let has_sum = self.sum.is_some() || self.gauge_sum.is_some();
        Rule::CountAndSum.ensure(self.count.is_some() == has_sum, self.start)?;
        Rule::SumOfNegatives.ensure(!(self.has_negative_bound && self.sum.is_some()), self.start)?;
        let negative = self.gauge_sum.is_some_and(|sum| sum < 0.0);
        Rule::NegativeGaugeSum.ensure(self.has_negative_bound || !negative, self.start)
    }
}
