//! The optimistic path: the common line, read through windows.
//!
//! It knows the lines that nearly every exporter writes: no blanks but the needed ones, names without quotes. On any
//! surprise it gives up, having decided nothing, and the grammar reads the line again from its start; what this path
//! does read, it reads as the grammar would, which the tests hold it to. The body's UTF-8 has been checked before.

use std::marker::PhantomData;
use std::ops::Range;

use crate::entry::{MetricType, Timestamp};
use crate::format::Format;
use crate::grammar;
use crate::names::Names;
use crate::number;
use crate::window::{WIDTH, Window};

/// A line that was read, as ranges of the body.
pub(crate) enum FastLine {
    Help { name: Range<usize>, text: Range<usize> },
    Type { name: Range<usize>, kind: MetricType },
    Sample(FastSample),
}

/// The parts of a sample's line.
pub(crate) struct FastSample {
    pub(crate) name: Range<usize>,
    /// What stands between the braces.
    pub(crate) labels: Range<usize>,
    pub(crate) value: f64,
    pub(crate) timestamp: Option<Timestamp>,
    /// From the exemplar's brace to the end of the line, or empty.
    pub(crate) exemplar: Range<usize>,
}

/// Where a label's parts stand.
pub(crate) struct FastLabel {
    pub(crate) name: Range<usize>,
    pub(crate) value: Range<usize>,
    /// Whether the value holds a backslash.
    pub(crate) escaped: bool,
}

/// Reads the line that starts at `start` and ends in a newline; returns it and where the next one starts. Labels are
/// handed over as they are found, before it is known whether the rest of the line holds no surprise.
#[inline(always)]
pub(crate) fn line<W: Window>(
    body: &[u8],
    start: usize,
    format: Format,
    label: impl FnMut(FastLabel),
) -> Option<(FastLine, usize)> {
    let span = Span::<W>::load(body, start)?;
    if body[start] == b'#' { metadata(body, span, format) } else { sample(body, span, format, label) }
}

/// A window somewhere in the body, and what the line's reading needs to know of it.
#[derive(Clone, Copy)]
struct Span<W> {
    start: usize,
    not_name: u64,
    quotes: u64,
    special: u64,
    kind: PhantomData<W>,
}

impl<W: Window> Span<W> {
    #[inline(always)]
    fn load(body: &[u8], start: usize) -> Option<Self> {
        let window = W::load(body.get(start..)?.first_chunk::<WIDTH>()?);
        Some(Self {
            start,
            not_name: window.not_name(),
            quotes: window.equal(b'"'),
            special: window.backslash_or_control(),
            kind: PhantomData,
        })
    }

    /// Where the name ends that begins at offset `from` of the window. Colons are left to the grammar.
    #[inline(always)]
    fn name_end(&self, body: &[u8], from: u32) -> Option<u32> {
        let end = (self.not_name & (!0 << from)).trailing_zeros();
        (end > from && end < u64::BITS && !body[self.start + from as usize].is_ascii_digit()).then_some(end)
    }
}

#[inline(always)]
fn metadata<W: Window>(body: &[u8], span: Span<W>, format: Format) -> Option<(FastLine, usize)> {
    const KEYWORD: u32 = "# HELP ".len() as u32;
    let line = &body[span.start..];
    let is_help = line.starts_with(b"# HELP ");
    if !is_help && !line.starts_with(b"# TYPE ") {
        return None;
    }
    let name_end = span.name_end(body, KEYWORD)? as usize;
    if line[name_end] != b' ' {
        return None;
    }
    let text_start = span.start + name_end + 1;
    let text = text_start..find::<W>(body, text_start, b'\n')?;
    let (name, next) = (span.start + KEYWORD as usize..span.start + name_end, text.end + 1);
    let line = match is_help {
        true => FastLine::Help { name, text },
        false => FastLine::Type { name, kind: grammar::metric_type(format, &body[text])? },
    };
    Some((line, next))
}

#[inline(always)]
fn find<W: Window>(body: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    loop {
        match W::load(body[at..].first_chunk::<WIDTH>()?).equal(byte) {
            0 => at += WIDTH,
            found => return Some(at + found.trailing_zeros() as usize),
        }
    }
}

#[inline(always)]
fn sample<W: Window>(
    body: &[u8],
    span: Span<W>,
    format: Format,
    label: impl FnMut(FastLabel),
) -> Option<(FastLine, usize)> {
    let name_end = span.name_end(body, 0)?;
    let name = span.start..span.start + name_end as usize;
    let (labels, at) = match body[name.end] {
        b'{' => {
            let end = label_set(body, span, name_end + 1, &mut Names::default(), label)?;
            (name.end + 1..end, end + 1)
        }
        _ => (name.end..name.end, name.end),
    };
    if body.get(at) != Some(&b' ') {
        return None;
    }
    let (value, at) = number(body, at + 1)?;
    let mut sample = FastSample { name, labels, value, timestamp: None, exemplar: at..at };
    let next = match (body[at], format) {
        (b'\n', _) => at + 1,
        (_, Format::Prometheus) => millis(body, at + 1, &mut sample)?,
        (_, Format::OpenMetrics) => after_value::<W>(body, at, &mut sample)?,
    };
    Some((FastLine::Sample(sample), next))
}

/// Reads labels from offset `from` of the window up to the closing brace, and returns where that stands.
#[inline(always)]
fn label_set<W: Window>(
    body: &[u8],
    mut span: Span<W>,
    mut from: u32,
    names: &mut Names,
    mut label: impl FnMut(FastLabel),
) -> Option<usize> {
    let first = span.start + from as usize;
    if body.get(first) == Some(&b'}') {
        return Some(first);
    }
    // What stands before `from`, where a label begins, is gone from the quotes.
    span.quotes &= !0 << from;
    loop {
        let open = span.quotes.trailing_zeros();
        let rest = span.quotes & span.quotes.wrapping_sub(1);
        let close = rest.trailing_zeros();
        // A label is plain that ends within the window and holds neither escape nor control byte.
        let plain = close < u64::BITS && span.special & (!0 >> (63 - close)) == 0;
        if !plain && from > 0 {
            span = Span::load(body, span.start + from as usize)?;
            from = 0;
            continue;
        }
        let name_end = span.name_end(body, from)?;
        let name = span.start + from as usize..span.start + name_end as usize;
        if name_end + 1 != open || body[name.end] != b'=' {
            return None;
        }
        let value_start = span.start + open as usize + 1;
        let value_end = match plain {
            true => span.start + close as usize,
            false => value_end::<W>(body, value_start)?,
        };
        if !names.add(body, first, name.clone()) {
            return None;
        }
        label(FastLabel { name, value: value_start..value_end, escaped: !plain });
        match body.get(value_end + 1) {
            Some(b',') if plain => {
                from = close + 2;
                span.quotes = rest & rest.wrapping_sub(1);
            }
            Some(b',') => span = Span::load(body, value_end + 2)?,
            Some(b'}') => return Some(value_end + 1),
            _ => return None,
        }
    }
}

/// Where the closing quote of a value stands that is long or holds escapes. A control byte is a surprise.
#[inline(always)]
fn value_end<W: Window>(body: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let window = W::load(body.get(at..)?.first_chunk::<WIDTH>()?);
        let stops = window.equal(b'"') | window.backslash_or_control();
        if stops == 0 {
            at += WIDTH;
            continue;
        }
        at += stops.trailing_zeros() as usize;
        match body[at..] {
            [b'"', ..] => return Some(at),
            [b'\\', next, ..] if next >= b' ' => at += 2,
            _ => return None,
        }
    }
}

/// A number that a blank or the end of the line follows, and where that stands.
#[inline(always)]
fn number(body: &[u8], at: usize) -> Option<(f64, usize)> {
    let (value, length) = match number::short(body.get(at..)?.first_chunk()?) {
        Some(short) => short,
        None => number::token(&body[at..])?,
    };
    let end = at + length;
    matches!(body.get(end), Some(b' ' | b'\n')).then_some((value, end))
}

/// A timestamp of 0.0.4 up to the end of the line; where the next line starts.
#[inline(always)]
fn millis(body: &[u8], at: usize, sample: &mut FastSample) -> Option<usize> {
    let digits = body[at..].first_chunk::<19>()?.iter().position(|byte| !byte.is_ascii_digit())?;
    let end = at + digits;
    if digits == 0 || body[end] != b'\n' {
        return None;
    }
    sample.timestamp = Some(Timestamp::Millis(number::millis(&body[at..end])?));
    Some(end + 1)
}

/// What OpenMetrics may have after a sample's value, from the blank on; where the next line starts.
#[inline(always)]
fn after_value<W: Window>(body: &[u8], at: usize, sample: &mut FastSample) -> Option<usize> {
    let mut at = at;
    if body.get(at + 1) != Some(&b'#') {
        let (seconds, end) = finite(body, at + 1)?;
        sample.timestamp = Some(Timestamp::Seconds(seconds));
        if body[end] == b'\n' {
            return Some(end + 1);
        }
        at = end;
    }
    if !body[at..].starts_with(b" # {") {
        return None;
    }
    let start = at + 3;
    let span = Span::<W>::load(body, start)?;
    let end = label_set(body, span, 1, &mut Names::unchecked(), |_| ())?;
    if body.get(end + 1) != Some(&b' ') {
        return None;
    }
    let (_, mut end) = number(body, end + 2)?;
    if body[end] == b' ' {
        (_, end) = finite(body, end + 1)?;
    }
    sample.exemplar = start..end;
    (body[end] == b'\n').then_some(end + 1)
}

#[inline(always)]
fn finite(body: &[u8], at: usize) -> Option<(f64, usize)> {
    number(body, at).filter(|(seconds, _)| seconds.is_finite())
}
