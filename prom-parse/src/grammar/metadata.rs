//! Lines that begin with `#`, in both formats.

use nom::Parser;

use super::{Dialect, Line, Parsed, blanks, byte, fault, is_blank, known_escapes, metric_name};
use crate::entry::MetricType;
use crate::error::Expected;
use crate::format::Format;

/// `# HELP name text` and `# TYPE name kind`, blanks free. Any other line is a comment.
pub(super) fn prometheus(line: &[u8]) -> Parsed<'_, Line<'_>> {
    let comment = Line::Comment(&line[1..]);
    let (at_keyword, _) = blanks(Format::Prometheus).parse_complete(&line[1..])?;
    let is_help = match at_keyword {
        [b'H', b'E', b'L', b'P', b' ' | b'\t', ..] => true,
        [b'T', b'Y', b'P', b'E', b' ' | b'\t', ..] => false,
        _ => return Ok((&[], comment)),
    };
    if at_keyword.len() == line.len() - 1 {
        return Ok((&[], comment));
    }
    let (at_name, _) = blanks(Format::Prometheus).parse_complete(&at_keyword[4..])?;
    let (rest, name) = metric_name(Dialect::PROMETHEUS, at_name)?;
    // One blank ends the name; any more belong to the text.
    let text = match rest.split_first() {
        None => rest,
        Some((first, text)) if is_blank(*first) => text,
        // Prometheus takes a HELP line about a name such as `a-b`, and misreads it. It says nothing about `a`.
        Some(_) if is_help => return Ok((&[], comment)),
        Some(_) => return fault(rest, Expected::BlankAfterName),
    };
    if is_help {
        return utf8(text).map(|(end, text)| (end, Line::Help { name, text }));
    }
    match metric_type(Format::Prometheus, text) {
        Some(kind) => Ok((&[], Line::Type { name, kind })),
        None => fault(text, Expected::MetricType),
    }
}

/// The same as the format's parser for clients reads it: blanks free everywhere, and a keyword may stand next to the `#`. A
/// line that ends early is a comment, and so is a text that is not UTF-8.
pub(super) fn strict_prometheus(line: &[u8]) -> Parsed<'_, Line<'_>> {
    let dialect = Dialect { format: Format::Prometheus, strict: true };
    let comment = Line::Comment(&line[1..]);
    let (at_keyword, _) = blanks(Format::Prometheus).parse_complete(&line[1..])?;
    let is_help = match at_keyword {
        [b'H', b'E', b'L', b'P', b' ' | b'\t', ..] => true,
        [b'T', b'Y', b'P', b'E', b' ' | b'\t', ..] => false,
        _ => return Ok((&[], comment)),
    };
    let (at_name, _) = blanks(Format::Prometheus).parse_complete(&at_keyword[4..])?;
    if at_name.is_empty() {
        return Ok((&[], comment));
    }
    let (rest, name) = metric_name(dialect, at_name)?;
    let (text, blank) = blanks(Format::Prometheus).parse_complete(rest)?;
    if text.is_empty() {
        return Ok((&[], comment));
    }
    if blank.is_empty() {
        return fault(rest, Expected::BlankAfterName);
    }
    if is_help {
        known_escapes(text)?;
        return Ok((&[], str::from_utf8(text).map_or(comment, |_| Line::Help { name, text })));
    }
    match client_type(text) {
        Some(kind) => Ok((&[], Line::Type { name, kind })),
        None => fault(text, Expected::ClientType),
    }
}

/// `# HELP name text`, `# TYPE name kind`, `# UNIT name unit` and `# EOF`, blanks exact, and nothing else.
pub(super) fn openmetrics(line: &[u8]) -> Parsed<'_, Line<'_>> {
    let rest = match line {
        [b'#', b' ', b'H', b'E', b'L', b'P', b' ', rest @ ..] => rest,
        [b'#', b' ', b'T', b'Y', b'P', b'E', b' ', rest @ ..] => rest,
        [b'#', b' ', b'U', b'N', b'I', b'T', b' ', rest @ ..] => rest,
        b"# EOF" => return Ok((&[], Line::Eof)),
        [b'#', b' ', b'E', b'O', b'F', rest @ ..] => return fault(rest, Expected::NothingAfterEof),
        _ => return fault(line, Expected::OpenMetricsEntry),
    };
    let (rest, name) = metric_name(Dialect::OPENMETRICS, rest)?;
    let (text, ()) = byte(b' ', Expected::SpaceAndText)(rest)?;
    match line[2] {
        b'H' => utf8(text).map(|(end, text)| (end, Line::Help { name, text })),
        b'T' => match metric_type(Format::OpenMetrics, text) {
            Some(kind) => Ok((&[], Line::Type { name, kind })),
            None => fault(text, Expected::OpenMetricsType),
        },
        _ => {
            let (_, unit) = utf8(text)?;
            let before = name.bytes().strip_suffix(unit).and_then(|before| before.split_last());
            match before {
                _ if unit.is_empty() => (),
                Some((b'_', _)) => (),
                _ => return fault(unit, Expected::UnitSuffix),
            }
            Ok((&[], Line::Unit { name, unit }))
        }
    }
}

/// A metric type by the name that the format has for it.
pub(crate) fn metric_type(format: Format, name: &[u8]) -> Option<MetricType> {
    Some(match (name, format) {
        (b"counter", _) => MetricType::Counter,
        (b"gauge", _) => MetricType::Gauge,
        (b"histogram", _) => MetricType::Histogram,
        (b"summary", _) => MetricType::Summary,
        (b"untyped", Format::Prometheus) => MetricType::Unknown,
        (b"unknown", Format::OpenMetrics) => MetricType::Unknown,
        (b"gaugehistogram", Format::OpenMetrics) => MetricType::GaugeHistogram,
        (b"info", Format::OpenMetrics) => MetricType::Info,
        (b"stateset", Format::OpenMetrics) => MetricType::StateSet,
        _ => return None,
    })
}

/// A metric type by the name that the parser for clients has for it, in any case.
fn client_type(name: &[u8]) -> Option<MetricType> {
    let lower = name.to_ascii_lowercase();
    match lower.as_slice() {
        b"gaugehistogram" | b"gauge_histogram" => Some(MetricType::GaugeHistogram),
        lower => metric_type(Format::Prometheus, lower),
    }
}

fn utf8(text: &[u8]) -> Parsed<'_, &[u8]> {
    match core::str::from_utf8(text) {
        Ok(_) => Ok((&[], text)),
        Err(error) => fault(&text[error.valid_up_to()..], Expected::Utf8),
    }
}
