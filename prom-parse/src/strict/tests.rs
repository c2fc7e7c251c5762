//! For every rule a text that keeps it and one that breaks it, with the words of the error.

use std::collections::HashSet;

use super::{Rule, strict};
use crate::entry::Entry;
use crate::format::Format;

/// The error of a body, without the excerpt.
fn verdict(body: &str, format: Format) -> Result<(), (Option<Rule>, usize, usize)> {
    match strict(body.as_bytes(), format).find_map(Result::err) {
        None => Ok(()),
        Some(error) => Err((error.rule(), error.line(), error.offset())),
    }
}

fn openmetrics(lines: &str) -> String {
    format!("{lines}\n# EOF\n")
}

/// A rule, lines that keep it, lines that break it, and the whole message of the error.
type Row = (Rule, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const OPENMETRICS: &[Row] = &[
    (Rule::OneHelp, "# HELP a x\n# HELP b x", "# HELP a x\n# HELP a x",
     "line 2, column 1, offset 11: expected at most one HELP line for a family, found `# HELP a x`"),
    (Rule::OneType, "# TYPE a gauge\n# TYPE b gauge", "# TYPE a gauge\n# TYPE a counter",
     "line 2, column 1, offset 15: expected at most one TYPE line for a family, found `# TYPE a counter`"),
    (Rule::OneUnit, "# UNIT a_m m\n# UNIT b_m m", "# UNIT a_m m\n# UNIT a_m m",
     "line 2, column 1, offset 13: expected at most one UNIT line for a family, found `# UNIT a_m m`"),
    (Rule::MetadataFirst, "# HELP a x\na 1\n# TYPE b gauge", "a 1\n# HELP a x",
     "line 2, column 1, offset 4: expected the metadata of a family before its samples, found `# HELP a x`"),
    (Rule::FamilyTogether, "a 1\na{x=\"y\"} 2\nb 3", "a 1\nb 2\na{x=\"y\"} 3",
     "line 3, column 1, offset 8: expected all lines of a family in one group, found `a{x=\"y\"} 3`"),
    (Rule::FamilyTogether, "# HELP a x\n# TYPE a gauge\nb 1", "# HELP a x\nb 1\n# TYPE a gauge",
     "line 3, column 1, offset 15: expected all lines of a family in one group, found `# TYPE a gauge`"),
    (Rule::FreeName, "# TYPE a counter\n# TYPE a_made gauge", "# TYPE a counter\n# TYPE a_created gauge",
     "line 2, column 1, offset 17: expected a name that no sample of another family can have, found `# TYPE a_created gauge`"),
    (Rule::FreeName, "# TYPE a_total gauge\n# TYPE a gauge", "# TYPE a_total gauge\n# TYPE a counter",
     "line 2, column 1, offset 21: expected a name that no sample of another family can have, found `# TYPE a counter`"),
    (Rule::SampleName, "# TYPE a counter\na_total 1", "# TYPE a counter\na 1",
     "line 2, column 1, offset 17: expected a sample name that ends as the family's type demands, found `a 1`"),
    (Rule::SampleName, "# TYPE a info\na_info 1", "# TYPE a info\na 1",
     "line 2, column 1, offset 14: expected a sample name that ends as the family's type demands, found `a 1`"),
    (Rule::NoUnit, "# TYPE a_m gauge\n# UNIT a_m m", "# TYPE a_m info\n# UNIT a_m m",
     "line 2, column 1, offset 16: expected no unit for an info or a stateset, found `# UNIT a_m m`"),
    (Rule::NoUnit, "# UNIT a \n# TYPE a stateset", "# UNIT a_m m\n# TYPE a_m stateset",
     "line 2, column 1, offset 13: expected no unit for an info or a stateset, found `# TYPE a_m stateset`"),
    (Rule::MetricTogether, "# TYPE a counter\na_total{x=\"1\"} 1\na_created{x=\"1\"} 2\na_total{x=\"2\"} 1",
     "# TYPE a counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 1\na_created{x=\"1\"} 2",
     "line 4, column 1, offset 51: expected all samples of a metric in one group, found `a_created{x=\"1\"} 2`"),
    (Rule::TimestampOnAll, "a 1 5\na 2 6", "a 1 5\na 2",
     "line 2, column 1, offset 6: expected a timestamp on all samples of a metric or on none, found `a 2`"),
    (Rule::TimestampOrder, "a 1 5.5\na 2 5.5\na 3 6", "a 1 5.5\na 2 5.4",
     "line 2, column 1, offset 8: expected a timestamp no earlier than the one before in the same metric, found `a 2 5.4`"),
    (Rule::NotNan, "# TYPE a counter\na_total +Inf", "# TYPE a counter\na_total NaN",
     "line 2, column 1, offset 17: expected a value other than NaN, found `a_total NaN`"),
    (Rule::NotNegative, "# TYPE a summary\na{quantile=\"0.5\"} NaN\na_sum 0", "# TYPE a summary\na{quantile=\"0.5\"} -1",
     "line 2, column 1, offset 17: expected a value of zero or more, found `a{quantile=\"0.5\"} -1`"),
    (Rule::NotNegative, "# TYPE a counter\na_total 0", "# TYPE a counter\na_total -1e-9",
     "line 2, column 1, offset 17: expected a value of zero or more, found `a_total -1e-9`"),
    (Rule::WholeCount, "# TYPE a summary\na_count 2.0", "# TYPE a summary\na_count 0.5",
     "line 2, column 1, offset 17: expected a count that is a whole number, found `a_count 0.5`"),
    (Rule::BucketBound, "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1", "# TYPE a histogram\na_bucket 1",
     "line 2, column 1, offset 19: expected a label `le` that is a number or `+Inf`, found `a_bucket 1`"),
    (Rule::BucketBound, "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1", "# TYPE a histogram\na_bucket{le=\"inf\"} 1",
     "line 2, column 1, offset 19: expected a label `le` that is a number or `+Inf`, found `a_bucket{le=\"inf\"} 1`"),
    (Rule::BucketOrder, "# TYPE a histogram\na_bucket{le=\"2\"} 0\na_bucket{le=\"1e1\"} 0\na_bucket{le=\"+Inf\"} 0",
     "# TYPE a histogram\na_bucket{le=\"10\"} 0\na_bucket{le=\"2\"} 0\na_bucket{le=\"+Inf\"} 0",
     "line 3, column 1, offset 39: expected a bucket with a higher bound than the one before, found `a_bucket{le=\"2\"} 0`"),
    (Rule::BucketCount, "# TYPE a histogram\na_bucket{le=\"2\"} 3\na_bucket{le=\"+Inf\"} 3",
     "# TYPE a histogram\na_bucket{le=\"2\"} 3\na_bucket{le=\"+Inf\"} 2",
     "line 3, column 1, offset 38: expected a bucket that counts no less than the one before, found `a_bucket{le=\"+Inf\"} 2`"),
    (Rule::InfBucket, "# TYPE a histogram\na_bucket{le=\"+Inf\"} 3", "# TYPE a histogram\na_bucket{le=\"1\"} 3",
     "line 2, column 1, offset 19: expected a last bucket with `le=\"+Inf\"` in each histogram, found `a_bucket{le=\"1\"} 3`"),
    (Rule::CountOfInf, "# TYPE a histogram\na_count 3\na_sum 4\na_bucket{le=\"+Inf\"} 3",
     "# TYPE a histogram\na_count 2\na_sum 4\na_bucket{le=\"+Inf\"} 3",
     "line 2, column 1, offset 19: expected a count that equals the bucket `+Inf`, found `a_count 2`"),
    (Rule::CountAndSum, "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gcount 3\na_gsum 3",
     "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gsum 3",
     "line 2, column 1, offset 24: expected both a count and a sum or neither, found `a_bucket{le=\"+Inf\"} 3`"),
    (Rule::SumOfNegatives, "# TYPE a histogram\na_bucket{le=\"-1\"} 0\na_bucket{le=\"+Inf\"} 3",
     "# TYPE a histogram\na_bucket{le=\"-1\"} 0\na_bucket{le=\"+Inf\"} 3\na_count 3\na_sum 3",
     "line 2, column 1, offset 19: expected no sum beside a bucket with a negative bound, found `a_bucket{le=\"-1\"} 0`"),
    (Rule::NegativeGaugeSum, "# TYPE a gaugehistogram\na_bucket{le=\"-1\"} 3\na_bucket{le=\"+Inf\"} 3\na_gcount 3\na_gsum -3",
     "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 3\na_gcount 3\na_gsum -3",
     "line 2, column 1, offset 24: expected no negative sum without a bucket with a negative bound, found `a_bucket{le=\"+Inf\"} 3`"),
    (Rule::Quantile, "# TYPE a summary\na{quantile=\"1.0\"} 3", "# TYPE a summary\na{quantile=\"1.1\"} 3",
     "line 2, column 1, offset 17: expected a label `quantile` from 0 to 1, found `a{quantile=\"1.1\"} 3`"),
    (Rule::InfoValue, "# TYPE a info\na_info{v=\"1\"} 1 6\na_info{v=\"2\"} 1.0 5", "# TYPE a info\na_info{v=\"1\"} 0",
     "line 2, column 1, offset 14: expected the value 1 for an info, found `a_info{v=\"1\"} 0`"),
    (Rule::StateLabel, "# TYPE a stateset\na{a=\"on\"} 1\na{a=\"off\"} 0", "# TYPE a stateset\na{b=\"on\"} 1",
     "line 2, column 1, offset 18: expected a label with the name of the stateset, found `a{b=\"on\"} 1`"),
    (Rule::StateValue, "# TYPE a stateset\na{a=\"on\"} 1.0", "# TYPE a stateset\na{a=\"on\"} 0.5",
     "line 2, column 1, offset 18: expected the value 0 or 1 for a state, found `a{a=\"on\"} 0.5`"),
    (Rule::ExemplarPlace, "# TYPE a counter\na_total 1 # {t=\"x\"} 1", "# TYPE a gauge\na 1 # {t=\"x\"} 1",
     "line 2, column 1, offset 15: expected an exemplar on a counter's total or a histogram's bucket alone, found `a 1 # {t=\"x\"} 1`"),
];

#[rustfmt::skip]
const PROMETHEUS: &[Row] = &[
    (Rule::OneHelp, "# HELP a x\n# HELP b x\n# HELP a\n", "# HELP a x\nb 1\n# HELP a y\n",
     "line 3, column 1, offset 15: expected at most one HELP line for a family, found `# HELP a y`"),
    (Rule::OneHelp, "# TYPE a gauge\n# HELP a x\n# HELP a_sum y\n", "# TYPE a summary\n# HELP a x\n# HELP a_sum y\n",
     "line 3, column 1, offset 28: expected at most one HELP line for a family, found `# HELP a_sum y`"),
    (Rule::OneType, "# TYPE a gauge\na 1\n# HELP a x\n", "# TYPE a gauge\n# TYPE a gauge\n",
     "line 2, column 1, offset 15: expected at most one TYPE line for a family, found `# TYPE a gauge`"),
    (Rule::MetadataFirst, "b 1\n# TYPE a gauge\n", "a 1\n# TYPE a gauge\n",
     "line 2, column 1, offset 4: expected the metadata of a family before its samples, found `# TYPE a gauge`"),
    (Rule::NumericLabel, "# TYPE a histogram\na_bucket{le=\"1\"} 1\nb{le=\"x\"} 1\n", "# TYPE a histogram\na_bucket{le=\"x\"} 1\n",
     "line 2, column 1, offset 19: expected a number in the label `le` of a histogram or `quantile` of a summary, found `a_bucket{le=\"x\"} 1`"),
    (Rule::NumericLabel, "# TYPE a summary\na{quantile=\"2\"} 1\n", "# TYPE a summary\na{quantile=\"\"} 1\n",
     "line 2, column 1, offset 17: expected a number in the label `le` of a histogram or `quantile` of a summary, found `a{quantile=\"\"} 1`"),
    (Rule::NotNegative, "# TYPE a histogram\na_count 1.5\na_sum -1\nb_count -1\n", "# TYPE a histogram\na_count -1\n",
     "line 2, column 1, offset 19: expected a value of zero or more, found `a_count -1`"),
    (Rule::NotNegative, "# TYPE a summary\na_count -1\n", "# TYPE a histogram\na_bucket{le=\"1\"} -1\n",
     "line 2, column 1, offset 19: expected a value of zero or more, found `a_bucket{le=\"1\"} -1`"),
];

fn holds(format: Format, (rule, kept, broken, message): &Row) {
    let (kept, broken) = match format {
        Format::Prometheus => ((*kept).to_owned(), (*broken).to_owned()),
        Format::OpenMetrics => (openmetrics(kept), openmetrics(broken)),
    };
    assert_eq!(verdict(&kept, format), Ok(()), "{rule:?} is kept by {kept}");
    let error = strict(broken.as_bytes(), format).find_map(Result::err).unwrap();
    assert_eq!(error.rule(), Some(*rule), "{broken}");
    assert_eq!(error.to_string(), *message);
    assert!(message.contains(rule.as_str()));
    // It takes the rules to see it.
    assert!(crate::entries(broken.as_bytes(), format).all(|entry| entry.is_ok()));
}

#[test]
fn each_rule_of_openmetrics_is_kept_and_broken() {
    OPENMETRICS.iter().for_each(|row| holds(Format::OpenMetrics, row));
}

#[test]
fn each_rule_of_prometheus_is_kept_and_broken() {
    PROMETHEUS.iter().for_each(|row| holds(Format::Prometheus, row));
}

#[test]
fn an_exemplar_has_128_characters_at_most() {
    let exemplar = |labels: &str| {
        openmetrics(&format!("# TYPE a histogram\na_bucket{{le=\"+Inf\"}} 1 # {{{labels}}} 1"))
    };
    // Characters, not bytes; names count, what is around them does not; an escape is what it stands for.
    let kept = exemplar(&format!("a=\"{}\",b=\"\\n\"", "é".repeat(125)));
    assert_eq!(verdict(&kept, Format::OpenMetrics), Ok(()));
    let broken = exemplar(&format!("a=\"{}\",b=\"\\n\"", "é".repeat(126)));
    let error = strict(broken.as_bytes(), Format::OpenMetrics).find_map(Result::err).unwrap();
    assert_eq!(error.rule(), Some(Rule::ExemplarLength));
    assert_eq!(
        error.to_string(),
        "line 2, column 1, offset 19: expected an exemplar with at most 128 characters of label names and values, \
         found `a_bucket{le=\"+Inf\"} 1 # {a=\"éé…`"
    );
}

#[test]
fn every_rule_has_a_row() {
    let rows: HashSet<Rule> = OPENMETRICS.iter().chain(PROMETHEUS).map(|(rule, ..)| *rule).collect();
    let missing: Vec<_> = Rule::ALL.iter().filter(|rule| !rows.contains(rule)).collect();
    assert_eq!(missing, [&Rule::ExemplarLength]);
}

/// What the server's grammar takes and the strict one refuses, with the whole message.
#[rustfmt::skip]
#[test]
fn stricter_than_the_server() {
    use Format::{OpenMetrics, Prometheus};
    for (format, body, message) in [
        (Prometheus, "a 1", "line 1, column 4, offset 3: expected a newline at the end of the line, found the end of the line"),
        (Prometheus, "#", "line 1, column 2, offset 1: expected a newline at the end of the line, found the end of the line"),
        (Prometheus, "a 1 \n", "line 1, column 4, offset 3: expected the end of the line, found ` `"),
        (Prometheus, "a 1 2\t\n", "line 1, column 6, offset 5: expected the end of the line, found `\\t`"),
        (Prometheus, "a{b=\"c\" d=\"e\"} 1\n", "line 1, column 9, offset 8: expected `,` or `}`, found `d=\"e\"} 1`"),
        (Prometheus, "a{b=\"\\t\"} 1\n", "line 1, column 6, offset 5: expected one of the escapes `\\\\`, `\\\"`, `\\n`, found `\\t\"} 1`"),
        (Prometheus, "# HELP a \\t\n", "line 1, column 10, offset 9: expected one of the escapes `\\\\`, `\\\"`, `\\n`, found `\\t`"),
        (Prometheus, "# HELP a x\\\n", "line 1, column 11, offset 10: expected one of the escapes `\\\\`, `\\\"`, `\\n`, found `\\`"),
        (Prometheus, "a{b=\"c\nd\"} 1\n", "line 1, column 7, offset 6: expected a closing double quote on the same line, found the end of the line"),
        (Prometheus, "# HELP a-b c\n", "line 1, column 9, offset 8: expected a blank after the metric name, found `-b c`"),
        (Prometheus, "#TYPE a x\n", "line 1, column 9, offset 8: expected one of the types counter, gauge, histogram, gaugehistogram, summary, untyped, found `x`"),
        (OpenMetrics, "a{b=\"c\",} 1\n# EOF\n", "line 1, column 9, offset 8: expected a label name, found `} 1`"),
        (OpenMetrics, "a 1 # {b=\"c\",} 1\n# EOF\n", "line 1, column 14, offset 13: expected a label name, found `} 1`"),
    ] {
        assert!(crate::entries(body.as_bytes(), format).all(|entry| entry.is_ok()), "{body}");
        let error = strict(body.as_bytes(), format).find_map(Result::err).unwrap();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.rule(), None);
    }
}

#[test]
fn escapes_of_a_backslash_may_stand_before_anything() {
    let body = "# HELP a \\\\d\na{b=\"\\\\d\\\"\\n\"} 1\n";
    assert_eq!(verdict(body, Format::Prometheus), Ok(()));
}

#[test]
fn laxer_than_the_server() {
    for body in [
        "a 1 -5\n",
        "a 1 +5\n",
        "# TYPE a GAUGE\na 1\n",
        "# TYPE a\na 1\n",
        "# TYPE a gaugehistogram\n",
        "# TYPE a gauge_histogram\n",
        "# TYPE  a \t gauge\n",
        "# HELP \n",
        "\"a.b\" 1\n",
        "\"a.b\"{c=\"d\"} 1\n",
    ] {
        assert_eq!(verdict(body, Format::Prometheus), Ok(()), "{body}");
    }
    assert!(strict(b"# HELP a \xff\n", Format::Prometheus).all(|entry| entry.is_ok()));
    let value = |token: &str| {
        let body = format!("a {token}\n# EOF\n");
        let entry = strict(body.as_bytes(), Format::OpenMetrics).next().unwrap().map_err(|e| e.to_string());
        entry.map(|entry| if let Entry::Sample(sample) = entry { sample.value() } else { f64::NAN })
    };
    assert_eq!(value("1e400"), Ok(f64::INFINITY));
    assert_eq!(value("-1e400"), Ok(f64::NEG_INFINITY));
    assert!(value(&"9".repeat(400)).is_err());
}

#[test]
fn nothing_follows_an_error() {
    let mut entries = strict(b"# TYPE a counter\na_total -1\na_total 2\n# EOF\n", Format::OpenMetrics);
    assert!(entries.next().unwrap().is_ok());
    assert!(entries.next().unwrap().is_err());
    assert!(entries.next().is_none());
    let mut entries = strict(b"a 1\na\n# EOF\n", Format::OpenMetrics);
    assert!(entries.next().unwrap().is_ok());
    assert!(entries.next().unwrap().is_err());
    assert!(entries.next().is_none());
}

#[test]
fn quoted_names_make_families() {
    let body = "# TYPE \"a.b\" counter\n{\"a.b_total\"} 1\n{\"a.b_total\",c=\"d\"} 1\n# EOF\n";
    assert_eq!(verdict(body, Format::OpenMetrics), Ok(()));
    let body = "# TYPE \"a\\\"b\" counter\n{\"a\\\"b\"} 1\n# EOF\n";
    assert_eq!(verdict(body, Format::OpenMetrics), Err((Some(Rule::SampleName), 2, 22)));
}

#[test]
fn histograms_are_checked_wherever_they_end() {
    let open = "# TYPE a histogram\na_bucket{le=\"1\"} 1\n";
    let broken = Err((Some(Rule::InfBucket), 2, 19));
    // By the end, by the next family, by the next metric, by the next timestamp.
    for next in ["", "b 1\n", "a_bucket{x=\"y\",le=\"+Inf\"} 1\n"] {
        assert_eq!(verdict(&format!("{open}{next}# EOF\n"), Format::OpenMetrics), broken);
    }
    let timed = "# TYPE a histogram\na_bucket{le=\"1\"} 1 5\na_bucket{le=\"+Inf\"} 1 6\n# EOF\n";
    assert_eq!(verdict(timed, Format::OpenMetrics), broken);
    let series = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1 5\na_bucket{le=\"+Inf\"} 2 6\n# EOF\n";
    assert_eq!(verdict(series, Format::OpenMetrics), Ok(()));
}
