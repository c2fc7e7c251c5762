//! The optimistic path: the common line, read by what the index tells of its bytes.
//!
//! It knows the lines that nearly every exporter writes: no blanks but the needed ones, names without quotes. On any
//! surprise it gives up, having decided nothing, and the grammar reads the line again from its start; what this path
//! does read, it reads as the grammar would, which the tests hold it to. It works on text, so UTF-8 is no question.

mod label_set;
mod names;

use crate::entry::{MetricType, Timestamp};
use crate::format::Format;
use crate::grammar;
use crate::index::{Index, VIEW, View};
use crate::labels::LabelSet;
use crate::number;
use crate::window::part;

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

/// A block of whole lines, and what is known of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a, 'i> {
    pub(crate) text: &'a str,
    /// Where in the body the text starts.
    pub(crate) start: usize,
    pub(crate) index: &'i Index,
}

impl<'a> Lines<'a, '_> {
    #[inline(always)]
    fn bytes(self) -> &'a [u8] {
        self.text.as_bytes()
    }

    #[inline(always)]
    fn view(self, at: usize) -> Option<View> {
        self.index.view(self.start + at)
    }

    /// Where the name ends that begins at a place. Colons are left to the grammar.
    #[inline(always)]
    fn name_end(self, at: usize) -> Option<usize> {
        let mut end = at;
        loop {
            let length = self.view(end)?.not_name.trailing_zeros() as usize;
            if length < VIEW {
                end += length;
                // Of the name bytes only digits come before `A`.
                return (end > at && *self.bytes().get(at)? >= b'A').then_some(end);
            }
            end += VIEW;
        }
    }

    /// Where the line ends.
    #[inline(always)]
    fn newline(self, mut at: usize) -> Option<usize> {
        loop {
            let length = self.view(at)?.stops.trailing_zeros() as usize;
            if length >= VIEW {
                at += VIEW;
                continue;
            }
            at += length;
            if *self.bytes().get(at)? == b'\n' {
                return Some(at);
            }
            at += 1;
        }
    }
}

/// Reads the line that starts at `start` and ends in a newline; returns it and where the next one starts. Labels are
/// handed over as they are found, before it is known whether the rest of the line holds no surprise.
#[inline(always)]
pub(crate) fn line<'a>(
    lines: Lines<'a, '_>,
    start: usize,
    format: Format,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(FastLine<'a>, usize)> {
    match lines.bytes().get(start)? {
        b'#' => metadata(lines, start, format),
        _ => sample(lines, start, format, labels),
    }
}

#[inline(always)]
fn metadata<'a>(lines: Lines<'a, '_>, start: usize, format: Format) -> Option<(FastLine<'a>, usize)> {
    let bytes = lines.bytes();
    let keyword: &[u8; 7] = bytes[start..].first_chunk()?;
    let is_help = keyword == b"# HELP ";
    if !is_help && keyword != b"# TYPE " {
        return None;
    }
    let name_start = start + keyword.len();
    let name_end = lines.name_end(name_start)?;
    if *bytes.get(name_end)? != b' ' {
        return None;
    }
    let name = part(lines.text, name_start..name_end)?;
    let rest = name_end + 1;
    let end = lines.newline(rest)?;
    let line = match is_help {
        true => FastLine::Help { name, text: part(lines.text, rest..end)? },
        false => FastLine::Type { name, kind: grammar::metric_type(format, &bytes[rest..end])? },
    };
    Some((line, end + 1))
}

#[inline(always)]
fn sample<'a>(
    lines: Lines<'a, '_>,
    start: usize,
    format: Format,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(FastLine<'a>, usize)> {
    let (text, bytes) = (lines.text, lines.bytes());
    let end = lines.name_end(start)?;
    let (set, at) = match *bytes.get(end)? {
        b'{' => {
            let close = label_set(lines, end + 1, true, labels)?;
            (end + 1..close, close + 1)
        }
        _ => (end..end, end),
    };
    if bytes.get(at) != Some(&b' ') {
        return None;
    }
    // Where the next line starts is found without the number, which then holds nothing up.
    let newline = lines.newline(at + 1)?;
    let (value, at) = number(bytes, at + 1)?;
    let (mut timestamp, mut exemplar) = (None, "");
    if at != newline {
        let end = match format {
            Format::Prometheus => millis(bytes, at + 1, &mut timestamp)?,
            Format::OpenMetrics => after_value(lines, at, &mut timestamp, &mut exemplar)?,
        };
        if end != newline + 1 {
            return None;
        }
    }
    let name = part(text, start..end)?;
    let labels = LabelSet::tight(text.get(set.start..)?, set.len());
    Some((FastLine::Sample(FastSample { name, labels, value, timestamp, exemplar }), newline + 1))
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
fn after_value<'a>(
    lines: Lines<'a, '_>,
    mut at: usize,
    timestamp: &mut Option<Timestamp>,
    exemplar: &mut &'a str,
) -> Option<usize> {
    let bytes = lines.bytes();
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
    let close = label_set(lines, start + 1, false, &mut ())?;
    if bytes.get(close + 1) != Some(&b' ') {
        return None;
    }
    let (_, mut end) = number(bytes, close + 2)?;
    if bytes[end] == b' ' {
        (_, end) = finite(bytes, end + 1)?;
    }
    *exemplar = part(lines.text, start..end)?;
    (bytes[end] == b'\n').then_some(end + 1)
}

#[inline(always)]
fn finite(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    number(bytes, at).filter(|(seconds, _)| seconds.is_finite())
}
