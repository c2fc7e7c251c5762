//! The plainest parser of both formats that could be: one cursor over the whole body, everything copied, nothing fast.
//!
//! It says what `prom_parse` should read; the two share no code. Fuzzing compares them too.

use std::fmt;

use prom_parse::Format;

/// Names and values in order.
pub(crate) type Labels = Vec<(String, String)>;

/// An entry with all that it says, owned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Help { name: String, text: String },
    Type { name: String, kind: String },
    Unit { name: String, unit: String },
    Comment(Vec<u8>),
    Sample(Sample),
    Eof,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: Bits,
    pub(crate) timestamp: Option<Time>,
    pub(crate) exemplar: Option<Exemplar>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) labels: Labels,
    pub(crate) value: Bits,
    pub(crate) timestamp: Option<Bits>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Time {
    Millis(i64),
    Seconds(Bits),
}

/// A double that equals another one if its bits do, or if both are NaN.
#[derive(Clone, Copy)]
pub(crate) struct Bits(pub(crate) f64);

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits() || (self.0.is_nan() && other.0.is_nan())
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What the crate under test reads, in the same terms: the entries, and whether no error came.
pub(crate) fn actual(body: &[u8], format: Format) -> (Vec<Entry>, bool) {
    let mut read = Vec::new();
    for entry in prom_parse::entries(body, format) {
        match entry {
            Ok(entry) => read.push(Entry::from(&entry)),
            Err(_) => return (read, false),
        }
    }
    (read, true)
}

impl From<&prom_parse::Entry<'_>> for Entry {
    fn from(entry: &prom_parse::Entry<'_>) -> Self {
        let owned = |labels: prom_parse::Labels<'_>| {
            labels.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
        };
        match entry {
            prom_parse::Entry::Help { name, text } => {
                Self::Help { name: name.to_string(), text: text.to_string() }
            }
            prom_parse::Entry::Type { name, kind } => {
                Self::Type { name: name.to_string(), kind: kind.to_string() }
            }
            prom_parse::Entry::Unit { name, unit } => {
                Self::Unit { name: name.to_string(), unit: unit.to_string() }
            }
            prom_parse::Entry::Comment(text) => Self::Comment(text.to_vec()),
            prom_parse::Entry::Eof => Self::Eof,
            prom_parse::Entry::Sample(sample) => Self::Sample(Sample {
                name: sample.name().into_owned(),
                labels: owned(sample.labels()),
                value: Bits(sample.value()),
                timestamp: sample.timestamp().map(|timestamp| match timestamp {
                    prom_parse::Timestamp::Millis(millis) => Time::Millis(millis),
                    prom_parse::Timestamp::Seconds(seconds) => Time::Seconds(Bits(seconds)),
                }),
                exemplar: sample.exemplar().map(|exemplar| Exemplar {
                    labels: owned(exemplar.labels()),
                    value: Bits(exemplar.value()),
                    timestamp: exemplar.timestamp().map(Bits),
                }),
            }),
        }
    }
}

/// Reads a body: the entries up to the first mistake, and whether there is none.
pub(crate) fn parse(body: &[u8], format: Format) -> (Vec<Entry>, bool) {
    let mut cursor = Cursor { body, at: 0, lax: format == Format::Prometheus };
    let mut read = Vec::new();
    let good = match format {
        Format::Prometheus => cursor.prometheus(&mut read),
        Format::OpenMetrics => cursor.openmetrics(&mut read),
    };
    (read, good.is_some())
}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
    /// Blanks between tokens, missing commas and newlines within quotes are fine.
    lax: bool,
}

impl Cursor<'_> {
    fn prometheus(&mut self, read: &mut Vec<Entry>) -> Option<()> {
        loop {
            self.blanks();
            match self.peek() {
                None => return Some(()),
                Some(b'\n') => self.at += 1,
                Some(b'#') => {
                    read.push(self.comment_or_metadata()?);
                    self.newline_or_end()?;
                }
                Some(_) => {
                    let mut sample = self.series_and_value()?;
                    self.blanks();
                    if !self.at_line_end() {
                        let token = self.token();
                        let digits = token.iter().all(u8::is_ascii_digit);
                        let millis =
                            digits.then_some(token).and_then(|t| String::from_utf8(t).ok()?.parse().ok());
                        sample.timestamp = Some(Time::Millis(millis?));
                        self.blanks();
                    }
                    self.newline_or_end()?;
                    read.push(Entry::Sample(sample));
                }
            }
        }
    }

    fn comment_or_metadata(&mut self) -> Option<Entry> {
        let after_hash = self.at + 1;
        self.at = after_hash;
        self.blanks();
        let spaced = self.at > after_hash;
        let keyword = self.body.get(self.at..self.at + 4).map(<[u8]>::to_vec).unwrap_or_default();
        let is_keyword = keyword == b"HELP" || keyword == b"TYPE";
        if !spaced || !is_keyword || !matches!(self.body.get(self.at + 4), Some(b' ' | b'\t')) {
            self.rest_of_line();
            return Some(Entry::Comment(self.body[after_hash..self.at].to_vec()));
        }
        self.at += 4;
        self.blanks();
        let (name, _) = self.metric_name()?;
        match self.peek() {
            Some(b' ' | b'\t') => self.at += 1,
            None | Some(b'\n') => (),
            Some(_) if keyword == b"HELP" => {
                self.rest_of_line();
                return Some(Entry::Comment(self.body[after_hash..self.at].to_vec()));
            }
            Some(_) => return None,
        }
        let text = String::from_utf8(self.rest_of_line()).ok()?;
        if keyword == b"HELP" {
            return Some(Entry::Help { name, text: unescape(&text, false) });
        }
        let kind = match text.as_str() {
            "untyped" => "unknown",
            "counter" | "gauge" | "histogram" | "summary" => &text,
            _ => return None,
        };
        Some(Entry::Type { name, kind: kind.to_owned() })
    }

    fn openmetrics(&mut self, read: &mut Vec<Entry>) -> Option<()> {
        loop {
            if self.take("# EOF") {
                let whole = self.at == self.body.len() || self.rest() == b"\n";
                // What follows the line is not part of it.
                if whole || self.peek() == Some(b'\n') {
                    read.push(Entry::Eof);
                }
                return whole.then_some(());
            }
            let entry = if self.take("# HELP ") {
                let (name, _) = self.metric_name()?;
                self.expect(b' ')?;
                let text = String::from_utf8(self.rest_of_line()).ok()?;
                Entry::Help { name, text: unescape(&text, true) }
            } else if self.take("# TYPE ") {
                let (name, _) = self.metric_name()?;
                self.expect(b' ')?;
                let kind = String::from_utf8(self.rest_of_line()).ok()?;
                let known = [
                    "counter",
                    "gauge",
                    "histogram",
                    "gaugehistogram",
                    "summary",
                    "info",
                    "stateset",
                    "unknown",
                ];
                known.contains(&kind.as_str()).then_some(Entry::Type { name, kind })?
            } else if self.take("# UNIT ") {
                let (name, raw) = self.metric_name()?;
                self.expect(b' ')?;
                let unit = String::from_utf8(self.rest_of_line()).ok()?;
                let suits = unit.is_empty() || raw.ends_with(&format!("_{unit}"));
                suits.then_some(Entry::Unit { name, unit })?
            } else {
                Entry::Sample(self.openmetrics_sample()?)
            };
            self.expect(b'\n')?;
            read.push(entry);
        }
    }

    fn openmetrics_sample(&mut self) -> Option<Sample> {
        let mut sample = self.series_and_value()?;
        if !self.at_line_end() && !self.rest().starts_with(b" # {") {
            sample.timestamp = Some(Time::Seconds(self.seconds()?));
        }
        if self.take(" # ") {
            let (labels, _) = self.label_set(Owner::Exemplar)?;
            self.expect(b' ')?;
            let value = Bits(float(&self.token())?);
            let timestamp = if self.at_line_end() { None } else { Some(self.seconds()?) };
            sample.exemplar = Some(Exemplar { labels, value, timestamp });
        }
        self.at_line_end().then_some(sample)
    }

    fn seconds(&mut self) -> Option<Bits> {
        self.expect(b' ')?;
        float(&self.token()).filter(|seconds| seconds.is_finite()).map(Bits)
    }

    fn series_and_value(&mut self) -> Option<Sample> {
        let (labels, name) = if self.peek() == Some(b'{') {
            let (labels, name) = self.label_set(Owner::NamelessSample)?;
            (labels, name?)
        } else {
            let name = self.bare_name(true)?;
            let before = self.at;
            self.blanks();
            if self.peek() == Some(b'{') {
                (self.label_set(Owner::NamedSample)?.0, name)
            } else {
                // Something must stand between name and value.
                if self.at == before && self.peek() != Some(b' ') {
                    return None;
                }
                (Vec::new(), name)
            }
        };
        match self.lax {
            true => self.blanks(),
            false => self.expect(b' ')?,
        }
        let value = Bits(float(&self.token())?);
        Some(Sample { name, labels, value, timestamp: None, exemplar: None })
    }

    /// The labels, and the metric's name where it stands among them.
    fn label_set(&mut self, owner: Owner) -> Option<(Labels, Option<String>)> {
        let (mut labels, mut metric_name): (Labels, _) = (Vec::new(), None);
        self.expect(b'{')?;
        self.blanks();
        while self.peek()? != b'}' {
            let quoted = self.peek() == Some(b'"');
            let name = if quoted { unescape(&self.quoted()?, true) } else { self.bare_name(false)? };
            if name.is_empty() {
                return None;
            }
            self.blanks();
            let is_label = self.peek() == Some(b'=');
            if is_label {
                self.at += 1;
                self.blanks();
                let value = unescape(&self.quoted()?, true);
                self.blanks();
                let again = name == "__name__" || labels.iter().any(|(other, _)| *other == name);
                if again && owner != Owner::Exemplar {
                    return None;
                }
                labels.push((name, value));
            } else if quoted && owner == Owner::NamelessSample && metric_name.is_none() {
                metric_name = Some(name);
            } else {
                return None;
            }
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    self.blanks();
                }
                b'}' => (),
                _ if self.lax && is_label => (),
                _ => return None,
            }
        }
        self.at += 1;
        Some((labels, metric_name))
    }

    /// A metric's name in either form, unescaped and as it stands.
    fn metric_name(&mut self) -> Option<(String, String)> {
        if self.peek() != Some(b'"') {
            let name = self.bare_name(true)?;
            return Some((name.clone(), name));
        }
        let raw = self.quoted()?;
        (!raw.is_empty()).then(|| (unescape(&raw, true), raw))
    }

    fn bare_name(&mut self, colons: bool) -> Option<String> {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            let fits = byte.is_ascii_alphabetic()
                || byte == b'_'
                || (byte == b':' && colons)
                || (byte.is_ascii_digit() && !name.is_empty());
            if !fits {
                break;
            }
            name.push(char::from(byte));
            self.at += 1;
        }
        (!name.is_empty()).then_some(name)
    }

    /// What stands in quotes, escapes and all.
    fn quoted(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\n' if !self.lax => return None,
                b'\\' if self.body.get(self.at + 1) == Some(&b'\n') => return None,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        let text = self.body[start..self.at].to_vec();
        self.at += 1;
        String::from_utf8(text).ok()
    }

    fn token(&mut self) -> Vec<u8> {
        let mut token = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| !b" \t\n".contains(byte)) {
            token.push(byte);
            self.at += 1;
        }
        token
    }

    fn rest_of_line(&mut self) -> Vec<u8> {
        let start = self.at;
        while !self.at_line_end() {
            self.at += 1;
        }
        self.body[start..self.at].to_vec()
    }

    fn blanks(&mut self) {
        while self.lax && matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn newline_or_end(&mut self) -> Option<()> {
        let good = self.at_line_end();
        self.at += usize::from(self.peek().is_some());
        good.then_some(())
    }

    fn at_line_end(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n'))
    }

    fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what.as_bytes());
        self.at += if found { what.len() } else { 0 };
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found.then_some(())
    }

    fn rest(&self) -> &[u8] {
        &self.body[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Owner {
    NamedSample,
    NamelessSample,
    Exemplar,
}

fn float(token: &[u8]) -> Option<f64> {
    let text = String::from_utf8(token.to_vec()).ok()?;
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "+inf" | "infinity" | "+infinity" => Some(f64::INFINITY),
        "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
        lower if lower.bytes().all(|byte| b"0123456789.e+-".contains(&byte)) => {
            lower.parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

fn unescape(text: &str, quotes: bool) -> String {
    let (mut out, mut chars) = (String::new(), text.chars().peekable());
    while let Some(char) = chars.next() {
        let replaced = match (char, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('"')) if quotes => Some('"'),
            _ => None,
        };
        if replaced.is_some() {
            chars.next();
        }
        out.push(replaced.unwrap_or(char));
    }
    out
}
