//! Sample lines of both formats.

use nom::Parser;
use nom::bytes::take_till;

use super::label_set::{LabelSet, Owner, label_set};
use super::{
    Dialect, Line, Name, Parsed, SampleLine, bare_metric_name, blanks, byte, fault, is_blank, metric_name,
};
use crate::entry::{Exemplar, Timestamp};
use crate::error::{Expected, Fault};
use crate::format::Format;
use crate::labels::LabelSet as AcceptedLabels;
use crate::number;

/// `name{labels} value timestamp`, the last optional, blanks between tokens free.
pub(super) fn prometheus(dialect: Dialect, line: &[u8]) -> Parsed<'_, Line<'_>> {
    let (rest, (name, labels)) = series(dialect, line)?;
    let (rest, _) = blanks(Format::Prometheus).parse_complete(rest)?;
    let (rest, value) = number(dialect, Expected::Value, rest)?;
    let (at_timestamp, _) = blanks(Format::Prometheus).parse_complete(rest)?;
    let (rest, timestamp) = match at_timestamp.first() {
        // Read strictly, a line does not end in blanks.
        None if dialect.strict => (rest, None),
        None => (at_timestamp, None),
        Some(_) => millis(dialect, at_timestamp)?,
    };
    let (rest, _) = match dialect.strict {
        true => (rest, rest),
        false => blanks(Format::Prometheus).parse_complete(rest)?,
    };
    end(rest, Line::Sample(SampleLine { name, labels, value, timestamp, exemplar: &[] }))
}

/// `name{labels} value timestamp # {labels} value timestamp`, each timestamp and the exemplar optional, blanks exact.
pub(super) fn openmetrics(dialect: Dialect, line: &[u8]) -> Parsed<'_, Line<'_>> {
    let (rest, (name, labels)) = series(dialect, line)?;
    let (rest, ()) = byte(b' ', Expected::SpaceAndValue)(rest)?;
    let (rest, value) = number(dialect, Expected::SpaceAndValue, rest)?;
    let (rest, timestamp) = match rest {
        [] | [b' ', b'#', b' ', b'{', ..] => (rest, None),
        _ => seconds(Expected::TimestampExemplarOrEnd, rest)?,
    };
    let exemplar = match rest {
        [] => rest,
        [b' ', b'#', b' ', exemplar @ ..] if exemplar.first() == Some(&b'{') => {
            exemplar_to_end(dialect, exemplar)?;
            exemplar
        }
        _ => return fault(rest, Expected::ExemplarOrEnd),
    };
    Ok((&[], Line::Sample(SampleLine { name, labels, value, timestamp, exemplar })))
}

/// The exemplar in a text that [`openmetrics`] has accepted as one, or in none.
pub(crate) fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (_, (labels, value, timestamp)) = exemplar_to_end(Dialect::OPENMETRICS, text.as_bytes()).ok()?;
    // The labels stand after the brace at the start.
    let labels = AcceptedLabels::new(text.get(1..1 + labels.len())?);
    Some(Exemplar { labels, value, timestamp })
}

fn exemplar_to_end(dialect: Dialect, input: &[u8]) -> Parsed<'_, (&[u8], f64, Option<f64>)> {
    let (rest, set) = label_set(dialect, Owner::Exemplar, input)?;
    let (rest, ()) = byte(b' ', Expected::SpaceAndValue)(rest)?;
    // Never beyond a double: an accepted exemplar is read again without knowing how strictly the first time.
    let (rest, value) = number(Dialect::OPENMETRICS, Expected::SpaceAndValue, rest)?;
    let (rest, timestamp) = match rest.first() {
        None => (rest, None),
        Some(_) => seconds(Expected::TimestampOrEndOfExemplar, rest)?,
    };
    end(rest, (set.between_braces, value, timestamp.map(Timestamp::as_seconds)))
}

/// The name and the labels, where the name may stand between the braces.
fn series(dialect: Dialect, line: &[u8]) -> Parsed<'_, (Name<'_>, &[u8])> {
    let format = dialect.format;
    if line.first() == Some(&b'{') {
        let (rest, LabelSet { between_braces, metric_name }) =
            label_set(dialect, Owner::NamelessSample, line)?;
        return match metric_name {
            Some(name) => Ok((rest, (name, between_braces))),
            None => fault(line, Expected::NameInBraces),
        };
    }
    let entry = match format {
        Format::Prometheus => Expected::Entry,
        Format::OpenMetrics => Expected::OpenMetricsEntry,
    };
    let (after_name, name) = match line.first() {
        Some(b'"') if dialect.is_strict(Format::Prometheus) => metric_name(dialect, line)?,
        _ => {
            let (rest, name) = bare_metric_name(line).or_else(|_| fault(line, entry))?;
            (rest, Name(name))
        }
    };
    let (rest, blank) = blanks(format).parse_complete(after_name)?;
    match rest.first() {
        Some(b'{') => {
            let (rest, set) = label_set(dialect, Owner::NamedSample, rest)?;
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
fn number(dialect: Dialect, missing: Expected, input: &[u8]) -> Parsed<'_, f64> {
    let (rest, token) = token(input)?;
    match number::float(token) {
        Ok(value) => Ok((rest, value)),
        // The grammar of OpenMetrics has no limit, and a float beyond the largest is an infinity. No integer is.
        Err(Expected::NumberInRange)
            if dialect.is_strict(Format::OpenMetrics)
                && token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) =>
        {
            let negative = token.first() == Some(&b'-');
            Ok((rest, if negative { f64::NEG_INFINITY } else { f64::INFINITY }))
        }
        Err(_) if token.is_empty() => fault(input, missing),
        Err(expected) => fault(input, expected),
    }
}

/// A timestamp of 0.0.4. The server takes none before 1970.
fn millis(dialect: Dialect, input: &[u8]) -> Parsed<'_, Option<Timestamp>> {
    let (rest, token) = token(input)?;
    let (sign, digits) = match token.split_first() {
        Some((sign @ (b'-' | b'+'), digits)) if dialect.strict => (Some(*sign), digits),
        _ => (None, token),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return fault(input, Expected::TimestampOrEnd);
    }
    let millis = match sign {
        Some(b'-') => str::from_utf8(token).ok().and_then(|token| token.parse().ok()),
        _ => number::millis(digits),
    };
    match millis {
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
        Err(_) if token.is_empty() => fault(input, missing),
        Err(_) => fault(at, missing),
    }
}

fn token(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_till::<_, _, Fault<'_>>(is_blank).parse_complete(input)
}

fn end<O>(rest: &[u8], read: O) -> Parsed<'_, O> {
    if rest.is_empty() { Ok((rest, read)) } else { fault(rest, Expected::EndOfLine) }
}
