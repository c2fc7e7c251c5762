//! Random expositions, written in every way the formats allow.

use prom_parse::Format;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::reference::{Bits, Entry, Exemplar, Sample, Time};

/// An exposition, line by line: the text of each with its newline, and what it says. Blank lines say nothing.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) lines: Vec<(String, Option<Entry>)>,
}

impl Document {
    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|(text, _)| text.as_str()).collect()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lines.iter().filter_map(|(_, entry)| entry.clone()).collect()
    }

    /// The same lines again and again, up to a size in bytes.
    pub(crate) fn repeated(mut self, size: usize) -> Self {
        let last = self.lines.pop_if(|(_, entry)| *entry == Some(Entry::Eof));
        if let Some((text, _)) = self.lines.last_mut().filter(|(text, _)| !text.ends_with('\n')) {
            text.push('\n');
        }
        let times = size.div_ceil(self.text().len().max(1));
        self.lines = std::iter::repeat_n(self.lines, times).flatten().collect();
        self.lines.extend(last);
        self
    }
}

pub(crate) fn document(format: Format) -> BoxedStrategy<Document> {
    let entries = vec(prop_oneof![1 => Just(None), 9 => entry(format).prop_map(Some)], 0..12);
    let choices = vec(any::<u8>(), 1..200);
    (entries, choices).prop_map(move |(entries, choices)| write(format, entries, &choices)).boxed()
}

fn entry(format: Format) -> BoxedStrategy<Entry> {
    let openmetrics = format == Format::OpenMetrics;
    let kinds: &'static [&str] = match format {
        Format::Prometheus => &["counter", "gauge", "histogram", "summary", "unknown"],
        Format::OpenMetrics => {
            &["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"]
        }
    };
    let help = (metric_name(), text()).prop_map(|(name, text)| Entry::Help { name, text });
    let kind =
        (metric_name(), select(kinds)).prop_map(|(name, kind)| Entry::Type { name, kind: kind.into() });
    let comment = "[#a-z {\"\\\\]{0,20}".prop_map(|text| Entry::Comment(text.into_bytes()));
    let unit = (metric_name(), "[a-z]{0,3}").prop_map(|(name, unit)| match unit.as_str() {
        "" => Entry::Unit { name, unit },
        _ => Entry::Unit { name: format!("{name}_{unit}"), unit },
    });
    let other = if openmetrics { unit.boxed() } else { comment.boxed() };
    prop_oneof![1 => help, 1 => kind, 1 => other, 6 => sample(openmetrics).prop_map(Entry::Sample)].boxed()
}

fn sample(openmetrics: bool) -> impl Strategy<Value = Sample> {
    let time = if openmetrics {
        finite().prop_map(|seconds| Time::Seconds(Bits(seconds))).boxed()
    } else {
        (0..=i64::MAX).prop_map(Time::Millis).boxed()
    };
    let exemplar = (labels(), value(), proptest::option::of(finite()))
        .prop_map(|(labels, value, time)| Exemplar { labels, value, timestamp: time.map(Bits) });
    let exemplar = if openmetrics { proptest::option::of(exemplar).boxed() } else { Just(None).boxed() };
    (metric_name(), labels(), value(), proptest::option::of(time), exemplar).prop_map(
        |(name, labels, value, timestamp, exemplar)| Sample { name, labels, value, timestamp, exemplar },
    )
}

fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![3 => "[a-zA-Z_][a-zA-Z0-9_]{0,9}", 1 => awkward(), 1 => "[a-z]{60,70}"];
    let name = name.prop_filter("free", |name| name != "__name__" && !name.is_empty());
    let few = btree_map(name.clone(), text(), 0..5);
    let many = btree_map(name, text(), 30..40);
    // Sorted names would be too well-behaved.
    prop_oneof![20 => few, 1 => many].prop_map(|labels| labels.into_iter().collect::<Vec<_>>()).prop_shuffle()
}

fn metric_name() -> impl Strategy<Value = String> {
    let awkward = awkward().prop_filter("a name", |name| !name.is_empty());
    prop_oneof![4 => "[a-zA-Z_:][a-zA-Z0-9_:]{0,15}", 1 => awkward, 1 => "[a-z_]{55,70}"]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-zA-Z0-9/. {}=,#]{0,15}", 2 => awkward(), 1 => "[ -~]{40,150}"]
}

/// All that needs escapes, or might seem to.
fn awkward() -> impl Strategy<Value = String> {
    let char = prop_oneof![
        select(vec![
            '\\', '"', '\n', 'n', '\\', '"', '{', '}', ',', '=', '#', ' ', '\t', '\r', '\0', 'é', '☃', '𝄞'
        ]),
        any::<char>(),
    ];
    vec(char, 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn value() -> impl Strategy<Value = Bits> {
    let short =
        (-1_000_000_i64..1_000_000, 0..4).prop_map(|(digits, places)| digits as f64 / 10_f64.powi(places));
    prop_oneof![4 => short, 2 => any::<u64>().prop_map(f64::from_bits), 1 => select(vec![
        f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, 5e-324,
        9_007_199_254_740_993.0, 1e22, 1e23,
    ])]
    .prop_map(Bits)
}

fn finite() -> impl Strategy<Value = f64> {
    value().prop_filter_map("finite", |value| value.0.is_finite().then_some(value.0))
}

fn write(format: Format, entries: Vec<Option<Entry>>, choices: &[u8]) -> Document {
    let mut writer =
        Writer { lax: format == Format::Prometheus, choices: choices.iter().cycle(), out: String::new() };
    let mut lines = Vec::new();
    for entry in entries {
        // OpenMetrics has no blank lines.
        if entry.is_none() && !writer.lax {
            continue;
        }
        writer.blank();
        if let Some(entry) = &entry {
            writer.entry(entry);
        }
        writer.out.push('\n');
        lines.push((std::mem::take(&mut writer.out), entry));
    }
    let chopped = writer.pick(&[false, true]);
    let last = lines.last_mut();
    match format {
        Format::OpenMetrics => {
            let end = if chopped { "# EOF" } else { "# EOF\n" };
            lines.push((end.to_owned(), Some(Entry::Eof)));
        }
        Format::Prometheus => {
            if let Some((text, _)) = last.filter(|_| chopped) {
                text.pop();
            }
        }
    }
    Document { lines }
}

struct Writer<'c> {
    lax: bool,
    choices: std::iter::Cycle<std::slice::Iter<'c, u8>>,
    out: String,
}

impl Writer<'_> {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(*self.choices.next().unwrap()) % from.len()]
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Blanks that may be missing.
    fn blank(&mut self) {
        let blank = self.pick(&["", "", "", " ", "\t", "  \t"]);
        self.push(if self.lax { blank } else { "" });
    }

    /// One blank or, where the format has it, more.
    fn gap(&mut self) {
        let gap = self.pick(&[" ", " ", " ", "\t", " \t "]);
        self.push(if self.lax { gap } else { " " });
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Help { name, text } => {
                self.keyword("HELP", name);
                let space = self.pick(&[" ", "\t"]);
                match text.is_empty() && self.lax && self.pick(&[false, true]) {
                    true => (),
                    false => self.push(if self.lax { space } else { " " }),
                }
                self.escaped(text, false);
            }
            Entry::Type { name, kind } => {
                self.keyword("TYPE", name);
                self.push(" ");
                self.push(if self.lax && kind == "unknown" { "untyped" } else { kind });
            }
            Entry::Unit { name, unit } => {
                self.keyword("UNIT", name);
                self.push(" ");
                self.push(unit);
            }
            Entry::Comment(text) => {
                self.push("#");
                self.out.push_str(std::str::from_utf8(text).unwrap());
            }
            Entry::Sample(sample) => self.sample(sample),
            Entry::Eof => self.push("# EOF"),
        }
    }

    fn keyword(&mut self, keyword: &str, name: &str) {
        self.push("#");
        self.gap();
        self.push(keyword);
        self.gap();
        match is_bare(name, true) && self.pick(&[true, true, false]) {
            true => self.push(name),
            false => self.quoted(name),
        }
    }

    fn sample(&mut self, sample: &Sample) {
        let bare = is_bare(&sample.name, true) && self.pick(&[true, true, true, false]);
        let braces = !bare || !sample.labels.is_empty() || self.pick(&[true, false]);
        if bare {
            self.push(&sample.name);
            self.blank();
        }
        if braces {
            self.label_set(&sample.labels, (!bare).then_some(&sample.name));
        }
        match braces && self.lax {
            true => self.blank(),
            // What stands before may end in a blank already, and another one does no harm.
            false => self.gap(),
        }
        self.number(sample.value.0);
        match sample.timestamp {
            None => (),
            Some(Time::Millis(millis)) => {
                self.gap();
                self.push(&millis.to_string());
            }
            Some(Time::Seconds(seconds)) => {
                self.push(" ");
                self.number(seconds.0);
            }
        }
        if let Some(exemplar) = &sample.exemplar {
            self.push(" # ");
            self.label_set(&exemplar.labels, None);
            self.push(" ");
            self.number(exemplar.value.0);
            if let Some(seconds) = exemplar.timestamp {
                self.push(" ");
                self.number(seconds.0);
            }
        }
        self.blank();
    }

    fn label_set(&mut self, labels: &[(String, String)], metric_name: Option<&String>) {
        self.push("{");
        self.blank();
        let mut items: Vec<(&str, Option<&str>)> =
            labels.iter().map(|(name, value)| (name.as_str(), Some(value.as_str()))).collect();
        if let Some(name) = metric_name {
            let at = self.pick(&[0, 0, items.len() / 2, items.len()]);
            items.insert(at, (name, None));
        }
        for (n, (name, value)) in items.iter().enumerate() {
            match value {
                Some(value) => {
                    match is_bare(name, false) && self.pick(&[true, true, true, false]) {
                        true => self.push(name),
                        false => self.quoted(name),
                    }
                    self.blank();
                    self.push("=");
                    self.blank();
                    self.quoted(value);
                }
                None => self.quoted(name),
            }
            self.blank();
            let last = n + 1 == items.len();
            let comma_may_be_missing = last || (self.lax && value.is_some());
            let comma = self.pick(&[true, true, !last]);
            if comma && (!last || self.pick(&[false, false, true])) || !comma_may_be_missing {
                self.push(",");
                self.blank();
            }
        }
        self.push("}");
    }

    fn quoted(&mut self, text: &str) {
        self.push("\"");
        self.escaped(text, true);
        self.push("\"");
    }

    /// A text within quotes, or that of a HELP line.
    fn escaped(&mut self, text: &str, in_quotes: bool) {
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '\n' if in_quotes && self.lax && self.pick(&[false, false, false, true]) => self.push("\n"),
                '\n' => self.push("\\n"),
                '"' if in_quotes => self.push("\\\""),
                // Without quotes around it, only OpenMetrics has an escape for a quote.
                '"' => {
                    let escape = !self.lax && self.pick(&[false, true]);
                    self.push(if escape { "\\\"" } else { "\"" });
                }
                '\\' => {
                    // A backslash stands for itself before anything that it does not escape.
                    let alone = match chars.peek() {
                        Some('\\' | 'n' | '"' | '\n') => false,
                        Some(_) => self.pick(&[false, true]),
                        None => !in_quotes && self.pick(&[false, true]),
                    };
                    self.push(if alone { "\\" } else { "\\\\" });
                }
                char => self.out.push(char),
            }
        }
    }

    fn number(&mut self, value: f64) {
        let spelled = match value {
            value if value.is_nan() => self.pick(&["NaN", "nan", "NAN"]).to_owned(),
            f64::INFINITY => self.pick(&["+Inf", "Inf", "inf", "Infinity", "+INFINITY"]).to_owned(),
            f64::NEG_INFINITY => self.pick(&["-Inf", "-inf", "-Infinity"]).to_owned(),
            value => match self.pick(&[0, 0, 1, 2, 3]) {
                0 => format!("{value}"),
                1 => format!("{value:e}"),
                2 => format!("{value:?}"),
                _ => format!("{value:E}"),
            },
        };
        let prefix = match spelled.starts_with(|first: char| first.is_ascii_digit()) {
            true => self.pick(&["", "", "", "+", "0", "+00"]),
            false => "",
        };
        self.push(prefix);
        self.push(&spelled);
    }
}

fn is_bare(name: &str, colons: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && colons);
    name.chars().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit())
}
