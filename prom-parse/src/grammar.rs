//! The grammar of both formats, line by line: the only authority on what is legal, and on how an error is worded.
//!
//! Lines come in without their newline, so the end of a line is the end of the input, and no token can run over it. (Only
//! within quotes can 0.0.4 hold a newline; [`quoted_newlines`] finds where such a line ends.)
//! The combinators are nom's, over bytes and always in complete mode; the leaves are the scanners below. What is
//! decided by one byte is decided by one byte: no alternative is tried and taken back, so a fault is always the first
//! thing that is really wrong.

mod label_set;
mod metadata;
mod sample;

use nom::bytes::take_while;
use nom::error::ParseError as _;
use nom::{IResult, Parser};

use crate::entry::{MetricType, Timestamp};
use crate::error::{Expected, Fault};
use crate::format::Format;

pub(crate) use metadata::metric_type;
pub(crate) use sample::exemplar;

/// What a parser of the grammar returns: the rest of the line and what it read.
type Parsed<'a, O> = IResult<&'a [u8], O, Fault<'a>>;

/// A line as the grammar reads it: slices of the body, nothing decoded yet.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    Blank,
    Help { name: Name<'a>, text: &'a [u8] },
    Type { name: Name<'a>, kind: MetricType },
    Unit { name: Name<'a>, unit: &'a [u8] },
    Comment(&'a [u8]),
    Sample(SampleLine<'a>),
    Eof,
}

/// A metric's name; after its opening quote, if it stood in quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a>(pub(crate) &'a [u8]);

impl<'a> Name<'a> {
    /// The name itself.
    fn bytes(self) -> &'a [u8] {
        self.0.strip_prefix(b"\"").unwrap_or(self.0)
    }
}

/// The parts of a sample's line.
#[derive(Debug)]
pub(crate) struct SampleLine<'a> {
    pub(crate) name: Name<'a>,
    /// What stands between the braces.
    pub(crate) labels: &'a [u8],
    pub(crate) value: f64,
    pub(crate) timestamp: Option<Timestamp>,
    /// From the exemplar's brace to the end of the line, or empty.
    pub(crate) exemplar: &'a [u8],
}

/// Which reading of a format a line is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) format: Format,
    /// As the format's own parser for clients reads it, rather than as the Prometheus server does.
    pub(crate) strict: bool,
}

impl Dialect {
    pub(crate) const PROMETHEUS: Self = Self { format: Format::Prometheus, strict: false };
    pub(crate) const OPENMETRICS: Self = Self { format: Format::OpenMetrics, strict: false };

    fn is_strict(self, format: Format) -> bool {
        self.strict && self.format == format
    }
}

/// Reads one line, given without its newline.
pub(crate) fn line(dialect: Dialect, line: &[u8]) -> Result<Line<'_>, Fault<'_>> {
    let format = dialect.format;
    let (line, _) = whole(blanks(format).parse_complete(line))?;
    let (_, entry) = whole(match (line.first(), format) {
        (None, Format::Prometheus) => Ok((line, Line::Blank)),
        (Some(b'#'), Format::Prometheus) if dialect.strict => metadata::strict_prometheus(line),
        (Some(b'#'), Format::Prometheus) => metadata::prometheus(line),
        (Some(b'#'), Format::OpenMetrics) => metadata::openmetrics(line),
        (_, Format::Prometheus) => sample::prometheus(dialect, line),
        (_, Format::OpenMetrics) => sample::openmetrics(dialect, line),
    })?;
    Ok(entry)
}

/// Takes nom's wrapping off: nothing here is ever incomplete, and no failure is worth a second try.
fn whole<'a, O>(parsed: Parsed<'a, O>) -> Result<(&'a [u8], O), Fault<'a>> {
    parsed.map_err(|error| match error {
        nom::Err::Error(fault) | nom::Err::Failure(fault) => fault,
        nom::Err::Incomplete(_) => Fault::from_error_kind(&[], nom::error::ErrorKind::Complete),
    })
}

fn fault<O>(at: &[u8], expected: Expected) -> Parsed<'_, O> {
    Err(nom::Err::Failure(Fault { at, expected }))
}

/// Blanks between tokens: any number in 0.0.4, none in OpenMetrics, where each space is part of the grammar.
fn blanks<'a>(format: Format) -> impl Parser<&'a [u8], Output = &'a [u8], Error = Fault<'a>> {
    let lax = format == Format::Prometheus;
    take_while(move |byte| lax && is_blank(byte))
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// One byte, or the fault.
fn byte<'a>(byte: u8, expected: Expected) -> impl Fn(&'a [u8]) -> Parsed<'a, ()> {
    move |input: &'a [u8]| match input.split_first() {
        Some((first, rest)) if *first == byte => Ok((rest, ())),
        _ => fault(input, expected),
    }
}

/// A metric's name without quotes: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn bare_metric_name(input: &[u8]) -> Parsed<'_, &[u8]> {
    bare_name(input, |byte| byte == b':', Expected::MetricName)
}

/// A label's name without quotes: `[a-zA-Z_][a-zA-Z0-9_]*`.
fn bare_label_name(input: &[u8]) -> Parsed<'_, &[u8]> {
    bare_name(input, |_| false, Expected::LabelName)
}

fn bare_name(input: &[u8], extra: impl Fn(u8) -> bool, expected: Expected) -> Parsed<'_, &[u8]> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || extra(byte);
    match input.first() {
        Some(first) if is_name(*first) && !first.is_ascii_digit() => {
            let end = input.iter().position(|byte| !is_name(*byte)).unwrap_or(input.len());
            let (name, rest) = input.split_at(end);
            Ok((rest, name))
        }
        _ => fault(input, expected),
    }
}

/// The length of a line of 0.0.4 that begins with a newline somewhere within quotes, as Prometheus' lexer reads it, given
/// everything from its start on. `None` where the quotes are not closed.
pub(crate) fn quoted_newlines(body: &[u8]) -> Option<usize> {
    let is_metadata = body.trim_ascii_start().first() == Some(&b'#');
    let (mut at, mut in_quotes, mut strings) = (0, false, 0);
    loop {
        let more = memchr::memchr3(b'"', b'\\', b'\n', &body[at..]);
        at = match more {
            Some(more) => at + more,
            None => return (!in_quotes).then_some(body.len()),
        };
        match body[at] {
            b'\n' if !in_quotes => return Some(at),
            b'\\' if in_quotes && body.get(at + 1) == Some(&b'\n') => return None,
            b'\\' if in_quotes => at += 1,
            // After the name, quotes in the text of a HELP line mean nothing.
            b'"' if is_metadata && strings == 1 => (),
            b'"' => {
                strings += usize::from(in_quotes);
                in_quotes = !in_quotes;
            }
            _ => (),
        }
        at = (at + 1).min(body.len());
    }
}

/// What stands between double quotes, where a backslash takes the next character with it. It must be UTF-8.
fn quoted(dialect: Dialect, input: &[u8], expected: Expected) -> Parsed<'_, &[u8]> {
    let (inside, ()) = byte(b'"', expected)(input)?;
    let mut end = 0;
    loop {
        match memchr::memchr2(b'"', b'\\', &inside[end..]) {
            Some(more) if matches!(inside[end + more..], [b'\\', next, ..] if next != b'\n') => {
                end += more + 2;
            }
            Some(more) if inside[end + more] == b'"' => {
                end += more;
                break;
            }
            _ => return fault(&inside[inside.len()..], Expected::ClosingQuote),
        }
    }
    let (text, rest) = inside.split_at(end);
    if dialect.is_strict(Format::Prometheus) {
        known_escapes(text)?;
    }
    match core::str::from_utf8(text) {
        Ok(_) => Ok((&rest[1..], text)),
        Err(error) => fault(&text[error.valid_up_to()..], Expected::Utf8),
    }
}

/// No backslash but before another one, a quote or `n`.
fn known_escapes(text: &[u8]) -> Parsed<'_, ()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        match rest.get(at + 1) {
            Some(b'\\' | b'"' | b'n') => rest = &rest[at + 2..],
            _ => return fault(&rest[at..], Expected::KnownEscape),
        }
    }
    Ok((rest, ()))
}

/// A metric's name in either form, as HELP, TYPE and UNIT lines have it.
fn metric_name(dialect: Dialect, input: &[u8]) -> Parsed<'_, Name<'_>> {
    match input.first() {
        Some(b'"') => {
            let (rest, bytes) = quoted(dialect, input, Expected::MetricName)?;
            if bytes.is_empty() {
                fault(input, Expected::MetricName)
            } else {
                Ok((rest, Name(&input[..=bytes.len()])))
            }
        }
        _ => bare_metric_name.map(Name).parse_complete(input),
    }
}
