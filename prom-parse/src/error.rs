//! Why a body was refused, and where.

use alloc::boxed::Box;
use alloc::string::String;
use core::error::Error;
use core::fmt;

use nom::Offset as _;

/// How much of the text an error shows, in bytes.
const EXCERPT: usize = 32;

/// A body that is not a valid exposition: what was expected, where, and what stood there.
///
/// Its `Display` form is `line L, column C, offset O: expected …, found …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(Box<(Expected, Place)>);

impl ParseError {
    pub(crate) fn new(body: &[u8], fault: Fault<'_>) -> Self {
        Self::at(body, body.offset(fault.at), fault.expected)
    }

    pub(crate) fn at(body: &[u8], offset: usize, expected: Expected) -> Self {
        Self(Box::new((expected, Place::new(body, offset))))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.1
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.place().line
    }

    /// The column in bytes, counted from 1.
    pub fn column(&self) -> usize {
        self.place().column
    }

    /// The offset in bytes from the start of the body, counted from 0.
    pub fn offset(&self) -> usize {
        self.place().offset
    }

    /// What would have been right there, in words.
    pub fn expected(&self) -> &'static str {
        self.0.0.describe()
    }

    /// What stood there: at most 32 bytes of the same line, printable whatever the bytes; empty at the end of a line.
    pub fn excerpt(&self) -> &str {
        &self.place().excerpt
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place().write(f, self.expected())
    }
}

impl Error for ParseError {}

/// Where a body is wrong, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: usize,
    /// From 1, as the column.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) excerpt: String,
}

impl Place {
    pub(crate) fn new(body: &[u8], offset: usize) -> Self {
        let (before, from) = body.split_at(offset);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            offset,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
            excerpt: excerpt(from),
        }
    }

    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, expected: &str) -> fmt::Result {
        let Self { offset, line, column, excerpt } = self;
        write!(f, "line {line}, column {column}, offset {offset}: expected {expected}")?;
        match excerpt.as_str() {
            "" => f.write_str(", found the end of the line"),
            excerpt => write!(f, ", found `{excerpt}`"),
        }
    }
}

/// The start of the text up to the end of its line, clipped at a character and made printable.
fn excerpt(text: &[u8]) -> String {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let clipped = &line[..line.len().min(EXCERPT)];
    let mut out = String::new();
    for chunk in clipped.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '`' | '"' | '\'' | '\\' => out.push(c),
                c => out.extend(c.escape_debug()),
            }
        }
        // A character that the clipping cut in two is left out; bytes that are no character are shown.
        if chunk.valid().len() + chunk.invalid().len() < clipped.len() || line.len() == clipped.len() {
            out.extend(
                chunk.invalid().iter().flat_map(|byte| core::ascii::escape_default(*byte)).map(char::from),
            );
        }
    }
    if line.len() > EXCERPT {
        out.push('…');
    }
    out
}

/// A mistake as the grammar reports it: the text from where it stands, and what should have stood there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault<'a> {
    pub(crate) at: &'a [u8],
    pub(crate) expected: Expected,
}

impl<'a> nom::error::ParseError<&'a [u8]> for Fault<'a> {
    fn from_error_kind(at: &'a [u8], _: nom::error::ErrorKind) -> Self {
        Self { at, expected: Expected::Entry }
    }

    fn append(_: &'a [u8], _: nom::error::ErrorKind, first: Self) -> Self {
        first
    }

    fn or(self, other: Self) -> Self {
        if other.at.len() < self.at.len() { other } else { self }
    }
}

macro_rules! expected {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What the grammar can be waiting for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Expected { $($(#[$doc])* $name,)* }

        impl Expected {
            /// The words for it, to follow "expected".
            pub(crate) const fn describe(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

expected! {
    Entry = "a sample, a comment or an empty line",
    OpenMetricsEntry = "a sample or one of `# HELP`, `# TYPE`, `# UNIT`, `# EOF`",
    BlankOrBrace = "a blank or `{` after the metric name",
    MetricName = "a metric name",
    OneMetricName = "only one metric name",
    NameInBraces = "a metric name in double quotes within the braces",
    LabelName = "a label name",
    NewLabelName = "a label name that this sample does not have yet",
    FreeLabelName = "a label name other than `__name__`",
    LabelOrEnd = "a label name or `}`",
    Equals = "`=` after the label name",
    LabelValue = "a label value in double quotes",
    ClosingQuote = "a closing double quote on the same line",
    KnownEscape = "one of the escapes `\\\\`, `\\\"`, `\\n`",
    Utf8 = "UTF-8",
    CommaOrEnd = "`,` or `}`",
    Value = "a value",
    Number = "a number",
    NumberInRange = "a number within the range of a double",
    SpaceAndValue = "one space and a value",
    TimestampOrEnd = "a timestamp in whole milliseconds or the end of the line",
    TimestampInRange = "a timestamp that fits in 64 bits",
    FiniteTimestamp = "a finite timestamp",
    TimestampExemplarOrEnd = "a timestamp, an exemplar or the end of the line",
    ExemplarOrEnd = "an exemplar or the end of the line",
    TimestampOrEndOfExemplar = "a timestamp in seconds or the end of the line",
    BlankAfterName = "a blank after the metric name",
    EndOfLine = "the end of the line",
    SpaceAndText = "one space and a text",
    MetricType = "one of the types counter, gauge, histogram, summary, untyped",
    ClientType = "one of the types counter, gauge, histogram, gaugehistogram, summary, untyped",
    OpenMetricsType = "one of the types counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown",
    UnitSuffix = "a unit that the metric name ends in, after an underscore",
    EofLine = "`# EOF` at the end",
    NothingAfterEof = "nothing after `# EOF`",
    Newline = "a newline at the end of the line",
}

#[cfg(test)]
mod tests;
