//! The strict level: what a careful exporter serves, rather than what the server puts up with.

mod histogram;
mod openmetrics;
mod prometheus;
mod rule;

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;
use core::iter::FusedIterator;

use crate::entries::Lines;
use crate::entry::Entry;
use crate::error::{ParseError, Place};
use crate::format::Format;

pub use rule::Rule;

/// Reads the entries of a body as [`entries`](crate::entries) does, and holds them to the rules of their format: for whoever
/// writes an exporter and tests what it serves.
///
/// - OpenMetrics is held to its specification, as the specification's own test suite understands it: families and
///   metrics in one piece, names that do not clash, the suffixes and values of each type, histograms that add up,
///   timestamps in order, exemplars where they belong. Each rule is a [`Rule`].
/// - Prometheus 0.0.4 is held to the parser that Prometheus has for clients (`expfmt.TextParser` of its Go library).
///   Against the server this one insists on the newline at the end, on the escapes `\\`, `\"` and `\n` alone, on commas
///   between labels and on lines without blanks at the end; and on few rules: one HELP and one TYPE for a family, the
///   latter before its samples, numbers in `le` and `quantile`, no negative counts in a histogram.
///
/// Strict is not a subset. A few texts pass here that the server refuses: in 0.0.4 timestamps below zero, a type in
/// capitals or left out, `gaugehistogram`, more than one blank after `HELP` or `TYPE`, a HELP line without a name or that
/// is not UTF-8, and a name in quotes before the braces; in OpenMetrics a value beyond the largest double, which reads
/// as an infinity. Whoever wants both walks [`entries`](crate::entries) too.
///
/// The rules keep the names of all families and the labels of the current family's metrics in memory.
///
/// ```
/// use prom_parse::{Format, Rule, strict};
///
/// let body = b"# TYPE hits counter\nhits_total -1\n# EOF\n";
/// let error = strict(body, Format::OpenMetrics).find_map(Result::err).unwrap();
/// assert_eq!(error.rule(), Some(Rule::NotNegative));
/// assert_eq!(
///     error.to_string(),
///     "line 2, column 1, offset 20: expected a value of zero or more, found `hits_total -1`"
/// );
/// ```
pub fn strict(body: &[u8], format: Format) -> Strict<'_> {
    let rules = match format {
        Format::Prometheus => Rules::Prometheus(prometheus::Rules::default()),
        Format::OpenMetrics => Rules::OpenMetrics(openmetrics::Rules::default()),
    };
    Strict { lines: Lines::strict(body, format), rules, broken: false }
}

/// The entries of a body that keep the rules, in its order. After the first error there are no more.
///
/// Made by [`strict`].
#[derive(Clone, Debug)]
#[must_use = "an iterator does nothing until it is walked"]
pub struct Strict<'a> {
    lines: Lines<'a>,
    rules: Rules<'a>,
    broken: bool,
}

#[derive(Clone, Debug)]
enum Rules<'a> {
    Prometheus(prometheus::Rules<'a>),
    OpenMetrics(openmetrics::Rules<'a>),
}

impl<'a> Iterator for Strict<'a> {
    type Item = Result<Entry<'a>, StrictError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let entry = match self.lines.next_by_grammar()? {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error.into())),
        };
        let at = self.lines.start;
        let checked = match &mut self.rules {
            Rules::Prometheus(rules) => rules.check(&entry, at),
            Rules::OpenMetrics(rules) => rules.check(&entry, at),
        };
        self.broken = checked.is_err();
        Some(match checked {
            Ok(()) => Ok(entry),
            Err(broken) => Err(StrictError::broken(self.lines.blocks.body, broken)),
        })
    }
}

impl FusedIterator for Strict<'_> {}

/// A rule that is broken, and the offset of the line that breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Broken {
    rule: Rule,
    at: usize,
}

impl Rule {
    /// An error unless the condition holds.
    fn ensure(self, holds: bool, at: usize) -> Result<(), Broken> {
        if holds { Ok(()) } else { Err(Broken { rule: self, at }) }
    }
}

/// Why a body does not pass [`strict`]: it does not parse, or it breaks a rule.
///
/// Its `Display` form is that of [`ParseError`]: `line L, column C, offset O: expected …, found …`. Of a broken rule, the
/// place is the start of the line that breaks it; where lines break it together, such as a histogram that does not add
/// up, that of the first of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictError(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Parse(ParseError),
    Rule(Rule, Box<Place>),
}

impl StrictError {
    fn broken(body: &[u8], broken: Broken) -> Self {
        Self(Reason::Rule(broken.rule, Box::new(Place::new(body, broken.at))))
    }

    /// The rule that is broken, or `None` where a line does not parse.
    pub fn rule(&self) -> Option<Rule> {
        match self.0 {
            Reason::Parse(_) => None,
            Reason::Rule(rule, _) => Some(rule),
        }
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.place().line
    }

    /// The column in bytes, counted from 1.
    pub fn column(&self) -> usize {
        self.place().column
    }

    /// The offset in bytes from the start of the body, counted from 0.
    pub fn offset(&self) -> usize {
        self.place().offset
    }

    /// What would have been right there, in words.
    pub fn expected(&self) -> &'static str {
        match &self.0 {
            Reason::Parse(error) => error.expected(),
            Reason::Rule(rule, _) => rule.as_str(),
        }
    }

    /// What stood there, as [`ParseError::excerpt`] shows it.
    pub fn excerpt(&self) -> &str {
        &self.place().excerpt
    }

    pub(crate) fn place(&self) -> &Place {
        match &self.0 {
            Reason::Parse(error) => error.place(),
            Reason::Rule(_, place) => place,
        }
    }
}

impl From<ParseError> for StrictError {
    fn from(error: ParseError) -> Self {
        Self(Reason::Parse(error))
    }
}

impl fmt::Display for StrictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place().write(f, self.expected())
    }
}

impl Error for StrictError {}

#[cfg(test)]
mod tests;
