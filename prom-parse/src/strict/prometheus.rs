//! The rules of 0.0.4: few, since its metrics need not stand together.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;

use super::{Broken, Rule};
use crate::entry::{Entry, MetricType, Sample};
use crate::number;

/// The families so far, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules<'a> {
    families: BTreeMap<Cow<'a, str>, Family>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Family {
    has_help: bool,
    kind: Option<MetricType>,
    sampled: bool,
}

impl<'a> Rules<'a> {
    pub(super) fn check(&mut self, entry: &Entry<'a>, at: usize) -> Result<(), Broken> {
        match entry {
            Entry::Help { name, .. } => {
                let family = self.family(name.clone());
                Rule::OneHelp.ensure(!family.has_help, at)?;
                family.has_help = true;
            }
            Entry::Type { name, kind } => {
                let family = self.family(name.clone());
                let rule = if family.sampled { Rule::MetadataFirst } else { Rule::OneType };
                rule.ensure(family.kind.is_none(), at)?;
                family.kind = Some(*kind);
            }
            Entry::Sample(sample) => return self.sample(sample, at),
            Entry::Unit { .. } | Entry::Comment(_) | Entry::Eof => (),
        }
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'a>, at: usize) -> Result<(), Broken> {
        let name = sample.name();
        let (owner, suffix) = self.owner(&name);
        let family = self.families.entry(shortened(name, owner)).or_default();
        family.sampled = true;
        let label = match *family.kind.get_or_insert(MetricType::Unknown) {
            MetricType::Summary => "quantile",
            MetricType::Histogram | MetricType::GaugeHistogram => "le",
            _ => return Ok(()),
        };
        for (name, value) in sample.labels() {
            Rule::NumericLabel.ensure(name != label || number::float(value.as_bytes()).is_ok(), at)?;
        }
        let counts = label == "le" && matches!(suffix, "_bucket" | "_count");
        Rule::NotNegative.ensure(!(counts && sample.value() < 0.0), at)
    }

    fn family(&mut self, name: Cow<'a, str>) -> &mut Family {
        let (owner, _) = self.owner(&name);
        self.families.entry(shortened(name, owner)).or_default()
    }

    /// How much of a name is that of its family, and the suffix after that: some for the samples of a summary or histogram.
    fn owner(&self, name: &str) -> (usize, &'static str) {
        let is_owner = |owner: &str, suffix| match self.families.get(owner).and_then(|family| family.kind) {
            Some(MetricType::Summary) => suffix != "_bucket",
            Some(MetricType::Histogram | MetricType::GaugeHistogram) => true,
            _ => false,
        };
        let owned = ["_count", "_sum", "_bucket"].into_iter().find_map(|suffix| {
            let owner = name.strip_suffix(suffix)?;
            is_owner(owner, suffix).then_some((owner.len(), suffix))
        });
        match owned {
            Some(owned) if !self.families.contains_key(name) => owned,
            _ => (name.len(), ""),
        }
    }
}

fn shortened(name: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[..length]),
        Cow::Owned(mut name) => {
            name.truncate(length);
            Cow::Owned(name)
        }
    }
}
