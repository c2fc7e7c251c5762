//! Sample lines of both formats.

use nom::Parser;
use nom::bytes::take_till;

use super::label_set::{LabelSet, Owner, label_set};
use super::{Line, Name, Parsed, SampleLine, bare_metric_name, blanks, byte, fault, is_blank};
use crate::entry::{Exemplar, Timestamp};
use crate::error::{Expected, Fault};
use crate::format::Format;
use crate::labels::LabelSet as AcceptedLabels;
use crate::number;

/// `name{labels} value timestamp`, the last optional, blanks between tokens free.
pub(super) fn prometheus(line: &[u8]) -> Parsed<'_, Line<'_>> {
    let (rest, (name, labels)) = series(Format::Prometheus, line)?;
    let (rest, _) = blanks(Format::Prometheus).parse_complete(rest)?;
    let (rest, value) = number(Expected::Value, rest)?;
    let (rest, _) = blanks(Format::Prometheus).parse_complete(rest)?;
    let (rest, timestamp) = match rest.first() {
        None => (rest, None),
        Some(_) => millis(rest)?,
    };
    let (rest, _) = blanks(Format::Prometheus).parse_complete(rest)?;
    end(rest, Line::Sample(SampleLine { name, labels, value, timestamp, exemplar: &[] }))
}

/// `name{labels} value timestamp # {labels} value timestamp`, each timestamp and the exemplar optional, blanks exact.
pub(super) fn openmetrics(line: &[u8]) -> Parsed<'_, Line<'_>> {
    let (rest, (name, labels)) = series(Format::OpenMetrics, line)?;
    let (rest, ()) = byte(b' ', Expected::SpaceAndValue)(rest)?;
    let (rest, value) = number(Expected::SpaceAndValue, rest)?;
    let (rest, timestamp) = match rest {
        [] | [b' ', b'#', b' ', b'{', ..] => (rest, None),
        _ => seconds(Expected::TimestampExemplarOrEnd, rest)?,
    };
    let exemplar = match rest {
        [] => rest,
        [b' ', b'#', b' ', exemplar @ ..] if exemplar.first() == Some(&b'{') => {
            exemplar_to_end(exemplar)?;
            exemplar
        }
        _ => return fault(rest, Expected::ExemplarOrEnd),
    };
    Ok((&[], Line::Sample(SampleLine { name, labels, value, timestamp, exemplar })))
}

/// The exemplar in a text that [`openmetrics`] has accepted as one, or in none.
pub(crate) fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (_, (labels, value, timestamp)) = exemplar_to_end(text.as_bytes()).ok()?;
    // The labels stand after the brace at the start.
    let labels = AcceptedLabels::new(text.get(1..1 + labels.len())?);
    Some(Exemplar { labels, value, timestamp })
}

fn exemplar_to_end(input: &[u8]) -> Parsed<'_, (&[u8], f64, Option<f64>)> {
    let (rest, set) = label_set(Format::OpenMetrics, Owner::Exemplar, input)?;
    let (rest, ()) = byte(b' ', Expected::SpaceAndValue)(rest)?;
    let (rest, value) = number(Expected::SpaceAndValue, rest)?;
    let (rest, timestamp) = match rest.first() {
        None => (rest, None),
        Some(_) => seconds(Expected::TimestampOrEndOfExemplar, rest)?,
    };
    end(rest, (set.between_braces, value, timestamp.map(Timestamp::as_seconds)))
}

/// The name and the labels, where the name may stand between the braces.
fn series(format: Format, line: &[u8]) -> Parsed<'_, (Name<'_>, &[u8])> {
    if line.first() == Some(&b'{') {
        let (rest, LabelSet { between_braces, metric_name }) =
            label_set(format, Owner::NamelessSample, line)?;
        return match metric_name {
            Some(name) => Ok((rest, (name, between_braces))),
            None => fault(line, Expected::NameInBraces),
        };
    }
    let entry = match format {
        Format::Prometheus => Expected::Entry,
        Format::OpenMetrics => Expected::OpenMetricsEntry,
    };
    let (after_name, name) = bare_metric_name(line).or_else(|_| fault(line, entry))?;
    let name = Name { bytes: name, quoted: false };
    let (rest, blank) = blanks(format).parse_complete(after_name)?;
    match rest.first() {
        Some(b'{') => {
            let (rest, set) = label_set(format, Owner::NamedSample, rest)?;
            Ok((rest, (name, set.between_braces)))
        }
        // Prometheus' lexer would go on with the value here, so that `some-metric` reads as `some` with `-metric`.
        Some(_) if blank.is_empty() && after_name.first() != Some(&b' ') => {
            fault(rest, Expected::BlankOrBrace)
        }
        _ => Ok((rest, (name, &[]))),
    }
}

/// A token up to the next blank, which must be a number.
fn number(missing: Expected, input: &[u8]) -> Parsed<'_, f64> {
    let (rest, token) = token(input)?;
    match number::float(token) {
        Ok(value) => Ok((rest, value)),
        Err(_) if token.is_empty() => fault(input, missing),
        Err(expected) => fault(input, expected),
    }
}

/// A timestamp of 0.0.4.
fn millis(input: &[u8]) -> Parsed<'_, Option<Timestamp>> {
    let (rest, token) = token(input)?;
    if !token.iter().all(u8::is_ascii_digit) {
        return fault(input, Expected::TimestampOrEnd);
    }
    match number::millis(token) {
        Some(millis) => Ok((rest, Some(Timestamp::Millis(millis)))),
        None => fault(input, Expected::TimestampInRange),
    }
}

/// One space and a timestamp of OpenMetrics.
fn seconds(missing: Expected, input: &[u8]) -> Parsed<'_, Option<Timestamp>> {
    let (at, ()) = byte(b' ', missing)(input)?;
    let (rest, token) = token(at)?;
    match number::float(token) {
        Ok(seconds) if seconds.is_finite() => Ok((rest, Some(Timestamp::Seconds(seconds)))),
        Ok(_) => fault(at, Expected::FiniteTimestamp),
        Err(_) => fault(at, missing),
    }
}

fn token(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_till::<_, _, Fault<'_>>(is_blank).parse_complete(input)
}

fn end<O>(rest: &[u8], read: O) -> Parsed<'_, O> {
    if rest.is_empty() { Ok((rest, read)) } else { fault(rest, Expected::EndOfLine) }
}
