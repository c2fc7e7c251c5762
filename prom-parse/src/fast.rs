//! The optimistic path: the common line, read by what the index tells of its bytes.
//!
//! It knows the lines that nearly every exporter writes: no blanks but the needed ones, names without quotes. On any
//! surprise it gives up, having decided nothing. It is asked again to be `LOOSE`, and then also reads what some exporters
//! write: colons in a metric's name, a comma after the last label and, in 0.0.4, a blank after a comma. To know them the first
//! time would make it slower for all others. What is left, the grammar reads from the line's start; what this path
//! does read, it reads as the grammar would, which the tests hold it to. It works on text, so UTF-8 is no question.

mod label_set;
mod names;

use alloc::borrow::Cow;

use crate::block::{Block, Place};
use crate::entry::{Entry, Sample, Timestamp};
use crate::format::Format;
use crate::grammar;
use crate::index::VIEW;
use crate::labels::{LabelSet, help_text};
use crate::number;
use crate::window::part;

use label_set::label_set;
pub(crate) use names::Names;

/// Receives labels as they are found.
pub(crate) trait TakeLabels<'a> {
    /// A label without escapes.
    fn label(&mut self, name: &'a str, value: &'a str);

    /// A label whose value holds escapes.
    fn escaped_label(&mut self, name: &'a str, value: &'a str);
}

/// Nobody.
impl TakeLabels<'_> for () {
    #[inline(always)]
    fn label(&mut self, _: &str, _: &str) {}

    #[inline(always)]
    fn escaped_label(&mut self, _: &str, _: &str) {}
}

/// Reads the line that starts at a place and ends in a newline; returns it and where the next one starts. Labels are
/// handed over as they are found, before it is known whether the rest of the line holds no surprise.
#[inline(always)]
pub(crate) fn line<'a, const LOOSE: bool>(
    block: Block<'a, '_>,
    start: Place,
    format: Format,
    names: &mut Names,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(Entry<'a>, Place)> {
    match block.bytes().get(start.at)? {
        b'#' => metadata(block, start, format),
        _ => sample::<LOOSE>(block, start, format, names, labels),
    }
}

#[inline(always)]
fn metadata<'a>(block: Block<'a, '_>, start: Place, format: Format) -> Option<(Entry<'a>, Place)> {
    let bytes = block.bytes();
    let keyword: &[u8; 7] = bytes[start.at..].first_chunk()?;
    let is_help = keyword == b"# HELP ";
    if !is_help && keyword != b"# TYPE " {
        return None;
    }
    let name_start = start.at + keyword.len();
    let name_end = name_end(block, name_start)?;
    if *bytes.get(name_end)? != b' ' {
        return None;
    }
    let name = Cow::Borrowed(part(block.text, name_start..name_end)?);
    let text = name_end + 1;
    let mut mark = start.mark;
    let newline = loop {
        let place = block.index.mark(mark)?;
        mark += 1;
        if *bytes.get(place)? == b'\n' {
            break place;
        }
    };
    let entry = if is_help {
        let text = part(block.text, text..newline)?;
        // Without a mark before the newline it has no backslash.
        let text = if mark == start.mark + 1 { Cow::Borrowed(text) } else { help_text(format, text) };
        Entry::Help { name, text }
    } else {
        Entry::Type { name, kind: grammar::metric_type(format, bytes.get(text..newline)?)? }
    };
    Some((entry, Place { at: newline + 1, mark }))
}

#[inline(always)]
fn sample<'a, const LOOSE: bool>(
    block: Block<'a, '_>,
    start: Place,
    format: Format,
    names: &mut Names,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(Entry<'a>, Place)> {
    let (text, bytes) = (block.text, block.bytes());
    let mut end = name_end(block, start.at)?;
    while LOOSE && *bytes.get(end)? == b':' {
        end = name_bytes_end(block, end + 1)?;
    }
    let (set, after) = match *bytes.get(end)? {
        b'{' => {
            let close =
                label_set::<LOOSE>(block, Place { at: end + 1, ..start }, format, Some(names), labels)?;
            (end + 1..close.at, Place { at: close.at + 1, ..close })
        }
        _ => (end..end, Place { at: end, ..start }),
    };
    if bytes.get(after.at) != Some(&b' ') {
        return None;
    }
    let stop = block.index.mark(after.mark)?;
    let (value, at) = number(bytes, after.at + 1, stop)?;
    let (mut timestamp, mut exemplar) = (None, "");
    let mut newline = Place { at: stop, ..after };
    if at != stop {
        match format {
            Format::Prometheus => timestamp = Some(Timestamp::Millis(millis(bytes, at, stop)?)),
            Format::OpenMetrics => {
                newline = after_value(block, Place { at, ..after }, &mut timestamp, &mut exemplar)?;
            }
        }
    }
    if *bytes.get(newline.at)? != b'\n' {
        return None;
    }
    let name = part(text, start.at..end)?;
    let stops = block.index.stops(set.start);
    let labels = LabelSet::tight(text.get(set.start..).unwrap_or_default(), set.len(), stops);
    let next = Place { at: newline.at + 1, mark: newline.mark + 1 };
    Some((Entry::Sample(Sample { name, labels, value, timestamp, exemplar }), next))
}

/// Where the name that begins at a place ends, or its first colon stands.
#[inline(always)]
fn name_end(block: Block<'_, '_>, at: usize) -> Option<usize> {
    let end = name_bytes_end(block, at)?;
    // Of the name bytes only digits come before `A`.
    (end > at && *block.bytes().get(at)? >= b'A').then_some(end)
}

/// Where the name bytes end that stand from a place on.
#[inline(always)]
fn name_bytes_end(block: Block<'_, '_>, at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let length = block.index.name_bytes(end)?;
        end += length;
        if length < VIEW {
            return Some(end);
        }
    }
}

/// A number that ends at the next mark or, at a blank, before it; and where it ends.
#[inline(always)]
fn number(bytes: &[u8], at: usize, stop: usize) -> Option<(f64, usize)> {
    match number::plain(bytes, at, stop) {
        Some(value) => Some((value, stop)),
        None => number::up_to_blank(bytes, at, stop),
    }
}

/// What OpenMetrics may have after a sample's value, from the blank on, with the next mark; where the line's newline
/// must be.
#[inline(never)]
fn after_value<'a>(
    block: Block<'a, '_>,
    mut place: Place,
    timestamp: &mut Option<Timestamp>,
    exemplar: &mut &'a str,
) -> Option<Place> {
    let bytes = block.bytes();
    let stop = block.index.mark(place.mark)?;
    if bytes.get(place.at + 1) != Some(&b'#') {
        let (seconds, end) = finite(bytes, place.at, stop)?;
        *timestamp = Some(Timestamp::Seconds(seconds));
        place.at = end;
        if end == stop {
            return Some(place);
        }
    }
    if !bytes[place.at..].starts_with(b" # {") {
        return None;
    }
    let start = place.at + 3;
    let close =
        label_set::<false>(block, Place { at: start + 1, ..place }, Format::OpenMetrics, None, &mut ())?;
    if bytes.get(close.at + 1) != Some(&b' ') {
        return None;
    }
    let stop = block.index.mark(close.mark)?;
    let (_, mut end) = number(bytes, close.at + 2, stop)?;
    if end != stop {
        (_, end) = finite(bytes, end, stop)?;
    }
    *exemplar = part(block.text, start..end)?;
    (end == stop).then_some(Place { at: end, ..close })
}

/// A blank and a timestamp in seconds.
#[inline(always)]
fn finite(bytes: &[u8], blank: usize, stop: usize) -> Option<(f64, usize)> {
    if bytes.get(blank) != Some(&b' ') {
        return None;
    }
    match number::long_plain(bytes, blank + 1, stop) {
        Some(seconds) => Some((seconds, stop)),
        None => number::up_to_blank(bytes, blank + 1, stop).filter(|(seconds, _)| seconds.is_finite()),
    }
}

/// A blank and a timestamp in milliseconds, up to the end of the line.
#[inline(always)]
fn millis(bytes: &[u8], blank: usize, newline: usize) -> Option<i64> {
    if bytes.get(blank) != Some(&b' ') {
        return None;
    }
    let digits = bytes.get(blank + 1..newline)?;
    if digits.is_empty() { None } else { number::millis(digits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Blocks;

    /// Whether a line is read in the first and in the second attempt.
    fn is_read(line: &str, format: Format) -> [bool; 2] {
        let body = format!("{line}\nup 1\n");
        let (mut blocks, mut names) = (Blocks::new(body.as_bytes()), Names::new());
        assert!(blocks.load());
        let (block, start) = blocks.block().unwrap();
        [
            self::line::<false>(block, start, format, &mut names, &mut ()).is_some(),
            self::line::<true>(block, start, format, &mut names, &mut ()).is_some(),
        ]
    }

    #[test]
    fn common_lines_are_read_at_once_and_loose_ones_the_second_time() {
        for (line, expected) in [
            (r#"up{job="node",instance="a:9100"} 1"#, [true, true]),
            (r"up NaN 1732700000123", [true, true]),
            (r#"job:up:rate5m{job="node"} 1"#, [false, true]),
            (r#"up{job="node", instance="a\"b"} 1"#, [false, true]),
            (r#"up{job="node",} 1"#, [false, true]),
            (r#"up{job="node", } 1"#, [false, false]),
            (r#"up {job="node"} 1"#, [false, false]),
            (r#"up{job="a", job="b"} 1"#, [false, false]),
        ] {
            assert_eq!(is_read(line, Format::Prometheus), expected, "{line}");
        }
        for (line, expected) in [
            (r#"job:up:rate5m{job="node",} 1"#, [false, true]),
            (r#"up{job="node", instance="a"} 1"#, [false, false]),
        ] {
            assert_eq!(is_read(line, Format::OpenMetrics), expected, "{line}");
        }
    }
}
