//! The optimistic path: the common line, read through windows.
//!
//! It knows the lines that nearly every exporter writes: no blanks but the needed ones, names without quotes. On any
//! surprise it gives up, having decided nothing, and the grammar reads the line again from its start; what this path
//! does read, it reads as the grammar would, which the tests hold it to. It works on text, so UTF-8 is no question.

mod label_set;
mod names;

use core::marker::PhantomData;

use crate::entry::{MetricType, Timestamp};
use crate::format::Format;
use crate::grammar;
use crate::labels::LabelSet;
use crate::number;
use crate::window::{TextWindow, WIDTH, Window, part};

use label_set::label_set;

/// A line that was read.
pub(crate) enum FastLine<'a> {
    Help { name: &'a str, text: &'a str },
    Type { name: &'a str, kind: MetricType },
    Sample(FastSample<'a>),
}

/// The parts of a sample's line.
pub(crate) struct FastSample<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: LabelSet<'a>,
    pub(crate) value: f64,
    pub(crate) timestamp: Option<Timestamp>,
    /// From the exemplar's brace to the end of the line, or empty.
    pub(crate) exemplar: &'a str,
}

/// Who is told of labels as they are found.
pub(crate) trait TakeLabels<'a> {
    /// A label without escapes.
    fn label(&mut self, name: &'a str, value: &'a str);

    /// A label whose value is long or holds escapes.
    fn long_label(&mut self, name: &'a str, value: &'a str);
}

/// Nobody.
impl TakeLabels<'_> for () {
    #[inline(always)]
    fn label(&mut self, _: &str, _: &str) {}

    #[inline(always)]
    fn long_label(&mut self, _: &str, _: &str) {}
}

/// Reads the line that starts at `start` and ends in a newline; returns it and where the next one starts. Labels are
/// handed over as they are found, before it is known whether the rest of the line holds no surprise.
#[inline(always)]
pub(crate) fn line<'a, W: Window>(
    text: &'a str,
    start: usize,
    format: Format,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(FastLine<'a>, usize)> {
    let span = Span::<W>::load(text, start)?;
    match span.byte(0) {
        b'#' => metadata(text, span, format),
        _ => sample(text, span, format, labels),
    }
}

/// A window somewhere in the text, and what the reading of a line asks of it.
#[derive(Clone, Copy)]
struct Span<'a, W> {
    start: usize,
    text: TextWindow<'a>,
    not_name: u64,
    quotes: u64,
    special: u64,
    kind: PhantomData<W>,
}

impl<'a, W: Window> Span<'a, W> {
    #[inline(always)]
    fn load(text: &'a str, start: usize) -> Option<Self> {
        let text = TextWindow::of(text, start)?;
        let window = W::load(text.bytes());
        let (not_name, quotes) = (window.not_name(), window.equal(b'"'));
        Some(Self {
            start,
            text,
            not_name,
            quotes,
            special: window.backslash_or_control(),
            kind: PhantomData,
        })
    }

    /// A byte of the window; the offset is below 64.
    #[inline(always)]
    fn byte(&self, at: usize) -> u8 {
        self.text.bytes()[at % WIDTH]
    }

    /// Where the name ends that begins at offset `from`, which is below 64. Colons are left to the grammar.
    #[inline(always)]
    fn name_end(&self, from: usize) -> Option<usize> {
        let end = (self.not_name >> from << from).trailing_zeros() as usize;
        (end > from && end < WIDTH && !self.byte(from).is_ascii_digit()).then_some(end)
    }
}

#[inline(always)]
fn metadata<'a, W: Window>(
    text: &'a str,
    span: Span<'a, W>,
    format: Format,
) -> Option<(FastLine<'a>, usize)> {
    const KEYWORD: usize = "# HELP ".len();
    let is_help = span.text.bytes().starts_with(b"# HELP ");
    if !is_help && !span.text.bytes().starts_with(b"# TYPE ") {
        return None;
    }
    let name_end = span.name_end(KEYWORD)?;
    if span.byte(name_end) != b' ' {
        return None;
    }
    let name = part(text, span.start + KEYWORD..span.start + name_end)?;
    let rest = span.start + name_end + 1;
    let end = match span.special & (!0 << name_end) {
        // Within this window, if what comes first is the newline and no other control byte.
        special if special != 0 && span.byte(special.trailing_zeros() as usize) == b'\n' => {
            span.start + special.trailing_zeros() as usize
        }
        _ => rest + memchr::memchr(b'\n', &text.as_bytes()[rest..])?,
    };
    let line = match is_help {
        true => FastLine::Help { name, text: part(text, rest..end)? },
        false => FastLine::Type { name, kind: grammar::metric_type(format, &text.as_bytes()[rest..end])? },
    };
    Some((line, end + 1))
}

#[inline(always)]
fn sample<'a, W: Window>(
    text: &'a str,
    span: Span<'a, W>,
    format: Format,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(FastLine<'a>, usize)> {
    let bytes = text.as_bytes();
    let name_end = span.name_end(0)?;
    let (start, end) = (span.start, span.start + name_end);
    let has_labels = span.byte(name_end) == b'{';
    let (set, at) = match has_labels {
        true => {
            let close = label_set(text, span, name_end + 1, true, labels)?;
            (end + 1..close, close + 1)
        }
        false => (end..end, end),
    };
    if bytes.get(at) != Some(&b' ') {
        return None;
    }
    let (value, at) = number(bytes, at + 1)?;
    let (mut timestamp, mut exemplar) = (None, "");
    let next = match (bytes[at], format) {
        (b'\n', _) => at + 1,
        (_, Format::Prometheus) => millis(bytes, at + 1, &mut timestamp)?,
        (_, Format::OpenMetrics) => after_value::<W>(text, at, &mut timestamp, &mut exemplar)?,
    };
    let name = part(text, start..end)?;
    let labels = LabelSet::tight(text.get(set.start..)?, set.len());
    Some((FastLine::Sample(FastSample { name, labels, value, timestamp, exemplar }), next))
}

/// A number that a blank or the end of the line follows, and where that stands.
#[inline(always)]
fn number(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let (value, length) = match number::short(bytes.get(at..)?.first_chunk()?) {
        Some(short) => short,
        None => number::token(&bytes[at..])?,
    };
    let end = at + length;
    matches!(bytes.get(end), Some(b' ' | b'\n')).then_some((value, end))
}

/// A timestamp of 0.0.4 up to the end of the line; where the next line starts.
#[inline(always)]
fn millis(bytes: &[u8], at: usize, timestamp: &mut Option<Timestamp>) -> Option<usize> {
    let digits = bytes[at..].first_chunk::<19>()?.iter().position(|byte| !byte.is_ascii_digit())?;
    let end = at + digits;
    if digits == 0 || bytes[end] != b'\n' {
        return None;
    }
    *timestamp = Some(Timestamp::Millis(number::millis(&bytes[at..end])?));
    Some(end + 1)
}

/// What OpenMetrics may have after a sample's value, from the blank on; where the next line starts.
#[inline(always)]
fn after_value<'a, W: Window>(
    text: &'a str,
    mut at: usize,
    timestamp: &mut Option<Timestamp>,
    exemplar: &mut &'a str,
) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.get(at + 1) != Some(&b'#') {
        let (seconds, end) = finite(bytes, at + 1)?;
        *timestamp = Some(Timestamp::Seconds(seconds));
        if bytes[end] == b'\n' {
            return Some(end + 1);
        }
        at = end;
    }
    if !bytes[at..].starts_with(b" # {") {
        return None;
    }
    let start = at + 3;
    let close = label_set(text, Span::<W>::load(text, start)?, 1, false, &mut ())?;
    if bytes.get(close + 1) != Some(&b' ') {
        return None;
    }
    let (_, mut end) = number(bytes, close + 2)?;
    if bytes[end] == b' ' {
        (_, end) = finite(bytes, end + 1)?;
    }
    *exemplar = part(text, start..end)?;
    (bytes[end] == b'\n').then_some(end + 1)
}

#[inline(always)]
fn finite(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    number(bytes, at).filter(|(seconds, _)| seconds.is_finite())
}
