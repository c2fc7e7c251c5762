//! Every message word for word, and excerpts of all kinds of bytes.

use std::collections::HashSet;

use super::{Expected, ParseError, excerpt};
use crate::format::Format;
use crate::format::Format::{OpenMetrics, Prometheus};

/// Which level refuses the text.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Server,
    /// The strict one alone.
    Strict,
}

use Level::{Server, Strict};

#[rustfmt::skip]
const MESSAGES: &[(Expected, Level, Format, &[u8], &str)] = &[
    (Expected::Entry, Server, Prometheus, b"=1\n",
     "line 1, column 1, offset 0: expected a sample, a comment or an empty line, found `=1`"),
    (Expected::OpenMetricsEntry, Server, OpenMetrics, b"\n# EOF\n",
     "line 1, column 1, offset 0: expected a sample or one of `# HELP`, `# TYPE`, `# UNIT`, `# EOF`, found the end of the line"),
    (Expected::BlankOrBrace, Server, Prometheus, b"some-metric 1\n",
     "line 1, column 5, offset 4: expected a blank or `{` after the metric name, found `-metric 1`"),
    (Expected::MetricName, Server, Prometheus, b"# TYPE 1a gauge\n",
     "line 1, column 8, offset 7: expected a metric name, found `1a gauge`"),
    (Expected::OneMetricName, Server, Prometheus, b"a{\"b\"} 1\n",
     "line 1, column 3, offset 2: expected only one metric name, found `\"b\"} 1`"),
    (Expected::NameInBraces, Server, OpenMetrics, b"{a=\"b\"} 1\n# EOF\n",
     "line 1, column 1, offset 0: expected a metric name in double quotes within the braces, found `{a=\"b\"} 1`"),
    (Expected::LabelName, Server, Prometheus, b"a{\"\"=\"b\"} 1\n",
     "line 1, column 3, offset 2: expected a label name, found `\"\"=\"b\"} 1`"),
    (Expected::NewLabelName, Server, Prometheus, b"a{b=\"1\",b=\"2\"} 1\n",
     "line 1, column 9, offset 8: expected a label name that this sample does not have yet, found `b=\"2\"} 1`"),
    (Expected::FreeLabelName, Server, OpenMetrics, b"a{__name__=\"b\"} 1\n# EOF\n",
     "line 1, column 3, offset 2: expected a label name other than `__name__`, found `__name__=\"b\"} 1`"),
    (Expected::LabelOrEnd, Server, Prometheus, b"a{1b=\"c\"} 1\n",
     "line 1, column 3, offset 2: expected a label name or `}`, found `1b=\"c\"} 1`"),
    (Expected::Equals, Server, Prometheus, b"a{b:\"c\"} 1\n",
     "line 1, column 4, offset 3: expected `=` after the label name, found `:\"c\"} 1`"),
    (Expected::LabelValue, Server, Prometheus, b"a{b=c} 1\n",
     "line 1, column 5, offset 4: expected a label value in double quotes, found `c} 1`"),
    (Expected::ClosingQuote, Server, Prometheus, b"a{b=\"c} 1\n",
     "line 1, column 10, offset 9: expected a closing double quote on the same line, found the end of the line"),
    (Expected::KnownEscape, Strict, Prometheus, b"a{b=\"\\d\"} 1\n",
     "line 1, column 6, offset 5: expected one of the escapes `\\\\`, `\\\"`, `\\n`, found `\\d\"} 1`"),
    (Expected::Utf8, Server, Prometheus, b"a{b=\"c\xffd\"} 1\n",
     "line 1, column 7, offset 6: expected UTF-8, found `\\xffd\"} 1`"),
    (Expected::CommaOrEnd, Server, OpenMetrics, b"a{b=\"c\" d=\"e\"} 1\n# EOF\n",
     "line 1, column 8, offset 7: expected `,` or `}`, found ` d=\"e\"} 1`"),
    (Expected::Value, Server, Prometheus, b"a{b=\"c\"}\n",
     "line 1, column 9, offset 8: expected a value, found the end of the line"),
    (Expected::Number, Server, Prometheus, b"a 0x10\n",
     "line 1, column 3, offset 2: expected a number, found `0x10`"),
    (Expected::NumberInRange, Server, Prometheus, b"a 1e400\n",
     "line 1, column 3, offset 2: expected a number within the range of a double, found `1e400`"),
    (Expected::SpaceAndValue, Server, OpenMetrics, b"a  1\n# EOF\n",
     "line 1, column 3, offset 2: expected one space and a value, found ` 1`"),
    (Expected::TimestampOrEnd, Server, Prometheus, b"a 1 1.5\n",
     "line 1, column 5, offset 4: expected a timestamp in whole milliseconds or the end of the line, found `1.5`"),
    (Expected::TimestampInRange, Server, Prometheus, b"a 1 9223372036854775808\n",
     "line 1, column 5, offset 4: expected a timestamp that fits in 64 bits, found `9223372036854775808`"),
    (Expected::FiniteTimestamp, Server, OpenMetrics, b"a 1 +Inf\n# EOF\n",
     "line 1, column 5, offset 4: expected a finite timestamp, found `+Inf`"),
    (Expected::TimestampExemplarOrEnd, Server, OpenMetrics, b"a 1 \n# EOF\n",
     "line 1, column 4, offset 3: expected a timestamp, an exemplar or the end of the line, found ` `"),
    (Expected::ExemplarOrEnd, Server, OpenMetrics, b"a 1 2 3\n# EOF\n",
     "line 1, column 6, offset 5: expected an exemplar or the end of the line, found ` 3`"),
    (Expected::TimestampOrEndOfExemplar, Server, OpenMetrics, b"a 1 # {b=\"c\"} 1 x\n# EOF\n",
     "line 1, column 17, offset 16: expected a timestamp in seconds or the end of the line, found `x`"),
    (Expected::BlankAfterName, Server, Prometheus, b"# TYPE a-b gauge\n",
     "line 1, column 9, offset 8: expected a blank after the metric name, found `-b gauge`"),
    (Expected::EndOfLine, Server, Prometheus, b"a 1 2 3\n",
     "line 1, column 7, offset 6: expected the end of the line, found `3`"),
    (Expected::SpaceAndText, Server, OpenMetrics, b"# HELP a\n# EOF\n",
     "line 1, column 9, offset 8: expected one space and a text, found the end of the line"),
    (Expected::MetricType, Server, Prometheus, b"# TYPE a meter\n",
     "line 1, column 10, offset 9: expected one of the types counter, gauge, histogram, summary, untyped, found `meter`"),
    (Expected::ClientType, Strict, Prometheus, b"# TYPE a meter\n",
     "line 1, column 10, offset 9: expected one of the types counter, gauge, histogram, gaugehistogram, summary, untyped, found `meter`"),
    (Expected::OpenMetricsType, Server, OpenMetrics, b"# TYPE a untyped\n# EOF\n",
     "line 1, column 10, offset 9: expected one of the types counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown, found `untyped`"),
    (Expected::UnitSuffix, Server, OpenMetrics, b"# UNIT a_meters feet\n# EOF\n",
     "line 1, column 17, offset 16: expected a unit that the metric name ends in, after an underscore, found `feet`"),
    (Expected::EofLine, Server, OpenMetrics, b"a 1\n",
     "line 2, column 1, offset 4: expected `# EOF` at the end, found the end of the line"),
    (Expected::NothingAfterEof, Server, OpenMetrics, b"# EOF\na 1\n",
     "line 2, column 1, offset 6: expected nothing after `# EOF`, found `a 1`"),
    (Expected::Newline, Server, OpenMetrics, b"a 1",
     "line 1, column 4, offset 3: expected a newline at the end of the line, found the end of the line"),
];

/// The error of a body. One in the first line is the same with more lines behind it, where windows can be laid over it.
fn error(level: Level, format: Format, body: &[u8]) -> Option<String> {
    let error = error_as_it_is(level, format, body);
    let (first, rest) = body.split_at(body.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    if !first.is_empty() && error.as_ref().is_some_and(|error| error.starts_with("line 1,")) {
        let longer = [first, &b"x{y=\"z\"} 1\n".repeat(10), rest].concat();
        assert_eq!(error_as_it_is(level, format, &longer), error);
    }
    error
}

fn error_as_it_is(level: Level, format: Format, body: &[u8]) -> Option<String> {
    match level {
        Server => crate::entries(body, format).find_map(Result::err).map(|error| error.to_string()),
        Strict => crate::strict(body, format).find_map(Result::err).map(|error| error.to_string()),
    }
}

#[test]
fn messages() {
    for (expected, level, format, body, message) in MESSAGES {
        assert_eq!(error(*level, *format, body).as_deref(), Some(*message), "{expected:?}");
        assert!(message.contains(expected.describe()));
        if *level == Strict {
            assert_eq!(error(Server, *format, body).is_some(), *expected == Expected::ClientType);
        }
    }
}

#[test]
fn every_expectation_has_a_message() {
    let tested: HashSet<_> = MESSAGES.iter().map(|(expected, ..)| *expected).collect();
    let missing: Vec<_> = Expected::ALL.iter().filter(|expected| !tested.contains(expected)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Mistakes that are easy to miss.
#[rustfmt::skip]
#[test]
fn near_misses() {
    for (format, body, message) in [
        (Prometheus, &b"{\"a.b\" c=\"d\"} 1\n"[..], "line 1, column 8, offset 7: expected `=` after the label name, found `c=\"d\"} 1`"),
        (Prometheus, b"a{b=\"c\",,} 1\n", "line 1, column 9, offset 8: expected a label name or `}`, found `,} 1`"),
        (Prometheus, b"a{b=\"c\",1d=\"e\"} 1\n", "line 1, column 9, offset 8: expected a label name or `}`, found `1d=\"e\"} 1`"),
        (Prometheus, b"a{b=\"c\"} 1 2 3\n", "line 1, column 14, offset 13: expected the end of the line, found `3`"),
        (Prometheus, b"a 1 # {b=\"c\"} 1\n", "line 1, column 5, offset 4: expected a timestamp in whole milliseconds or the end of the line, found `# {b=\"c\"} 1`"),
        (OpenMetrics, b"a 1 #{b=\"c\"} 1\n# EOF\n", "line 1, column 5, offset 4: expected a timestamp, an exemplar or the end of the line, found `#{b=\"c\"} 1`"),
        (OpenMetrics, b"a 1 #x{b=\"c\"} 1\n# EOF\n", "line 1, column 5, offset 4: expected a timestamp, an exemplar or the end of the line, found `#x{b=\"c\"} 1`"),
        (OpenMetrics, b"a 1 # xb=\"c\"} 1\n# EOF\n", "line 1, column 5, offset 4: expected a timestamp, an exemplar or the end of the line, found `# xb=\"c\"} 1`"),
        (OpenMetrics, b"a 1 # {b=\"c\"}  1\n# EOF\n", "line 1, column 15, offset 14: expected one space and a value, found ` 1`"),
        (OpenMetrics, b"a 1 # {b=\"c\"} 1 NaN\n# EOF\n", "line 1, column 17, offset 16: expected a finite timestamp, found `NaN`"),
        (OpenMetrics, b"a{b=\"c\"}\t1\n# EOF\n", "line 1, column 9, offset 8: expected one space and a value, found `\\t1`"),
        (OpenMetrics, b" a 1\n# EOF\n", "line 1, column 1, offset 0: expected a sample or one of `# HELP`, `# TYPE`, `# UNIT`, `# EOF`, found ` a 1`"),
    ] {
        assert_eq!(error(Server, format, body).as_deref(), Some(message));
    }
}

/// What the server takes as text and drops as a scrape, since it would lose data.
#[rustfmt::skip]
#[test]
fn what_would_lose_data_is_refused() {
    for (format, body, message) in [
        (Prometheus, &b"a{b=\"c\",b=\"c\"} 1\n"[..], "line 1, column 9, offset 8: expected a label name that this sample does not have yet, found `b=\"c\"} 1`"),
        (Prometheus, b"a{b=\"c\",\"b\"=\"d\"} 1\n", "line 1, column 9, offset 8: expected a label name that this sample does not have yet, found `\"b\"=\"d\"} 1`"),
        (OpenMetrics, b"a{\"b\\\\n\"=\"c\",\"b\\n\"=\"d\",\"b\\\\n\"=\"e\"} 1\n# EOF\n", "line 1, column 24, offset 23: expected a label name that this sample does not have yet, found `\"b\\\\n\"=\"e\"} 1`"),
        (Prometheus, b"a{\"__name__\"=\"b\"} 1\n", "line 1, column 3, offset 2: expected a label name other than `__name__`, found `\"__name__\"=\"b\"} 1`"),
        (OpenMetrics, b"{\"a\",__name__=\"b\"} 1\n# EOF\n", "line 1, column 6, offset 5: expected a label name other than `__name__`, found `__name__=\"b\"} 1`"),
        (Prometheus, b"{\"\"} 1\n", "line 1, column 2, offset 1: expected a metric name, found `\"\"} 1`"),
        (OpenMetrics, b"a{\"\"=\"b\"} 1\n# EOF\n", "line 1, column 3, offset 2: expected a label name, found `\"\"=\"b\"} 1`"),
        (Prometheus, b"{\"a\xff\"} 1\n", "line 1, column 4, offset 3: expected UTF-8, found `\\xff\"} 1`"),
        (OpenMetrics, b"a{\"b\xc3\"=\"c\"} 1\n# EOF\n", "line 1, column 5, offset 4: expected UTF-8, found `\\xc3\"=\"c\"} 1`"),
        (Prometheus, b"a -1e400\n", "line 1, column 3, offset 2: expected a number within the range of a double, found `-1e400`"),
        (OpenMetrics, b"a 1.7976931348623159e308\n# EOF\n", "line 1, column 3, offset 2: expected a number within the range of a double, found `1.7976931348623159e308`"),
    ] {
        assert_eq!(error(Server, format, body).as_deref(), Some(message));
    }
}

#[test]
fn the_forty_first_label_is_compared_too() {
    let labels = |last: &str| (0..40).map(|n| format!("l{n}=\"\",")).collect::<String>() + last;
    let body = |last| format!("a{{{}=\"x\"}} 1\n", labels(last));
    assert_eq!(error(Server, Prometheus, body("l40").as_bytes()), None);
    let offset = body("").find("=\"x").unwrap();
    let message = format!(
        "line 1, column {}, offset {offset}: expected a label name that this sample does not have yet, found `l0=\"x\"}} 1`",
        offset + 1,
    );
    assert_eq!(error(Server, Prometheus, body("l0").as_bytes()), Some(message));
}

#[test]
fn le_and_quantile_stay_as_written() {
    for value in ["1", "1.0", "1e0", "+Inf", "Inf", "0.50", "x"] {
        let body = format!("a_bucket{{le=\"{value}\"}} 1\na{{quantile=\"{value}\"}} 1\n");
        for entry in crate::entries(body.as_bytes(), Prometheus) {
            let Ok(crate::Entry::Sample(sample)) = entry else { panic!("{entry:?}") };
            assert_eq!(sample.labels().next().unwrap().1, value);
        }
    }
}

#[test]
fn excerpts_are_clipped_and_printable() {
    for (text, shown) in [
        (&b""[..], ""),
        (b"\nnext line", ""),
        (b"a 1\nnext line", "a 1"),
        ("é \u{1f600}".as_bytes(), "é \u{1f600}"),
        (b"`\"'\\", "`\"'\\"),
        (b"\0\t\r\x1b[31m\x7f", "\\0\\t\\r\\u{1b}[31m\\u{7f}"),
        (b"a\xffb\xe2\x82", "a\\xffb\\xe2\\x82"),
        ("\u{202e}\u{feff}\u{85}".as_bytes(), "\\u{202e}\\u{feff}\\u{85}"),
        (&[b'x'; 32], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        (&[b'x'; 33], "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"),
        // A character that the clipping would cut in two is left out.
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxé".as_bytes(), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"),
    ] {
        assert_eq!(excerpt(text), shown);
    }
}

#[test]
fn places_count_bytes_and_lines() {
    let body = "é 1\r\nb\n\n  c".as_bytes();
    let place = |offset| {
        let error = ParseError::at(body, offset, Expected::Value);
        (error.line(), error.column(), error.offset(), error.excerpt().to_owned())
    };
    assert_eq!(place(0), (1, 1, 0, "é 1\\r".to_owned()));
    assert_eq!(place(3), (1, 4, 3, "1\\r".to_owned()));
    assert_eq!(place(6), (2, 1, 6, "b".to_owned()));
    assert_eq!(place(8), (3, 1, 8, String::new()));
    assert_eq!(place(11), (4, 3, 11, "c".to_owned()));
    assert_eq!(place(12), (4, 4, 12, String::new()));
}
