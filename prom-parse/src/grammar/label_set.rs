//! The braces of a sample or exemplar, and what may stand between them.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;

use super::{Dialect, Name, Parsed, bare_label_name, blanks, byte, fault, quoted};
use crate::error::Expected;
use crate::format::Format;
use crate::labels::unescape;

/// How many label names are compared each with each; the names of a larger set are sorted.
const FEW: usize = 32;

/// Whose label set it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A sample whose name stands before the braces.
    NamedSample,
    /// A sample whose name stands between the braces.
    NamelessSample,
    /// An exemplar.
    Exemplar,
}

/// What stands between the braces, and the metric's name where that stands there too.
pub(super) struct LabelSet<'a> {
    pub(super) between_braces: &'a [u8],
    pub(super) metric_name: Option<Name<'a>>,
}

/// `{…}`
pub(super) fn label_set(dialect: Dialect, owner: Owner, input: &[u8]) -> Parsed<'_, LabelSet<'_>> {
    let format = dialect.format;
    let (inside, ()) = byte(b'{', Expected::MetricName)(input)?;
    let (mut rest, _) = blanks(format).parse_complete(inside)?;
    let (mut metric_name, mut names) = (None, Names::default());
    let mut expected = Expected::LabelOrEnd;
    while rest.first() != Some(&b'}') || expected == Expected::LabelName {
        let (after, Item { name, is_label }) = item(dialect, owner, expected, rest)?;
        if is_label {
            if owner != Owner::Exemplar {
                names.add(name).or_else(|expected| fault(rest, expected).map(|_: (_, ())| ()))?;
            }
        } else if owner == Owner::NamedSample || metric_name.is_some() {
            return fault(rest, Expected::OneMetricName);
        } else {
            metric_name = Some(Name(name));
        }
        (rest, expected) = match after.first() {
            // Its grammar has commas between labels only.
            Some(b',') if dialect.is_strict(Format::OpenMetrics) => (&after[1..], Expected::LabelName),
            Some(b',') => (blanks(format).parse_complete(&after[1..])?.0, Expected::LabelOrEnd),
            Some(b'}') => (after, Expected::LabelOrEnd),
            // Prometheus reads 0.0.4 so: the comma between two labels may be missing.
            _ if dialect == Dialect::PROMETHEUS => (after, Expected::CommaOrEnd),
            _ => return fault(after, Expected::CommaOrEnd),
        };
    }
    match names.duplicate() {
        Some(name) => fault(name, Expected::NewLabelName),
        None => {
            let between_braces = &inside[..inside.len() - rest.len()];
            Ok((&rest[1..], LabelSet { between_braces, metric_name }))
        }
    }
}

struct Item<'a> {
    /// A metric's comes after its opening quote.
    name: &'a [u8],
    is_label: bool,
}

/// `name="value"`, or the metric's name in quotes; and the blanks after it.
fn item(dialect: Dialect, owner: Owner, expected: Expected, input: &[u8]) -> Parsed<'_, Item<'_>> {
    let format = dialect.format;
    let in_quotes = input.first() == Some(&b'"');
    let (rest, name) = match in_quotes {
        true => quoted(dialect, input, expected)?,
        false => bare_label_name(input).or_else(|_| fault(input, expected))?,
    };
    let (rest, _) = blanks(format).parse_complete(rest)?;
    match rest.first() {
        Some(b'=') if name.is_empty() => fault(input, Expected::LabelName),
        Some(b'=') => {
            let (rest, _) = blanks(format).parse_complete(&rest[1..])?;
            let (rest, _) = quoted(dialect, rest, Expected::LabelValue)?;
            let (rest, _) = blanks(format).parse_complete(rest)?;
            Ok((rest, Item { name, is_label: true }))
        }
        Some(b',' | b'}') if in_quotes && owner != Owner::Exemplar => match name.is_empty() {
            true => fault(input, Expected::MetricName),
            false => Ok((rest, Item { name: &input[..=name.len()], is_label: false })),
        },
        _ => fault(rest, Expected::Equals),
    }
}

/// The label names of one sample, to find one that comes twice.
#[derive(Default)]
struct Names<'a> {
    few: [&'a [u8]; FEW],
    len: usize,
    more: Vec<&'a [u8]>,
}

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a [u8]) -> Result<(), Expected> {
        if same(name, b"__name__") {
            return Err(Expected::FreeLabelName);
        }
        if self.len == FEW {
            self.more.push(name);
            return Ok(());
        }
        if self.few[..self.len].iter().any(|other| same(other, name)) {
            return Err(Expected::NewLabelName);
        }
        self.few[self.len] = name;
        self.len += 1;
        Ok(())
    }

    /// In a large set, the name that comes a second time, if any; of several, the one that stands first.
    fn duplicate(&self) -> Option<&'a [u8]> {
        if self.more.is_empty() {
            return None;
        }
        let mut names: Vec<_> =
            self.few.iter().chain(&self.more).map(|name| (decoded(name), *name)).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.as_ptr().cmp(&b.1.as_ptr())));
        let again = names.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1);
        again.min_by_key(|name| name.as_ptr())
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || ((a.contains(&b'\\') || b.contains(&b'\\')) && decoded(a) == decoded(b))
}

/// A name without its escapes; `item` has found it to be UTF-8.
fn decoded(name: &[u8]) -> Cow<'_, str> {
    unescape(core::str::from_utf8(name).unwrap_or_default())
}
