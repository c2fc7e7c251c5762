//! The iterator over a body's entries.

use alloc::borrow::Cow;
use core::iter::FusedIterator;

use crate::block::Blocks;
use crate::entry::{Entry, Sample};
use crate::error::{Expected, Fault, ParseError};
use crate::fast::{self, Names};
use crate::format::Format;
use crate::grammar::{self, Dialect, Line, Name, SampleLine};
use crate::labels::{LabelSet, help_text, unquoted};

/// Reads the entries of a body, one a line.
///
/// The body is taken as it is: whether it arrived whole is for the transport to know. Of a 0.0.4 body that was cut, the
/// last line may be whole to all appearance (`foo 12` of `foo 1234`), so a last line without a newline should be
/// trusted only where the body's length was stated. OpenMetrics notices by itself, by the missing `# EOF`.
///
/// ```
/// use prom_parse::{Entry, Format, entries};
///
/// let body = b"# TYPE up gauge\nup{job=\"node\"} 1\n";
/// for entry in entries(body, Format::Prometheus) {
///     if let Entry::Sample(sample) = entry? {
///         println!("{} = {}", sample.name(), sample.value());
///         for (name, value) in sample.labels() {
///             println!("    {name}: {value}");
///         }
///     }
/// }
/// # Ok::<(), prom_parse::ParseError>(())
/// ```
pub fn entries(body: &[u8], format: Format) -> Entries<'_> {
    Entries { lines: Lines::new(body, format) }
}

/// The entries of a body, in its order. After the first error there are no more.
///
/// Made by [`entries`].
#[derive(Clone, Debug)]
#[must_use = "an iterator does nothing until it is walked"]
pub struct Entries<'a> {
    pub(crate) lines: Lines<'a>,
}

impl Entries<'_> {
    /// The offset in the body of the line that the latest entry stands on.
    pub fn offset(&self) -> usize {
        self.lines.start
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next_entry()
    }
}

impl FusedIterator for Entries<'_> {}

/// A walk over the lines of a body.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    pub(crate) blocks: Blocks<'a>,
    pub(crate) format: Format,
    /// Whether the grammar reads as [`strict`](crate::strict()) does.
    strict: bool,
    pub(crate) names: Names,
    state: State,
    /// Where [`go_slowly`](Self::go_slowly) leaves an entry, so that one that was read fast need not go through memory.
    slow: Option<Result<Entry<'a>, ParseError>>,
    /// Where the latest line starts.
    pub(crate) start: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// `# EOF` was read.
    Eof,
    /// The end was reached, or an error.
    Done,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(body: &'a [u8], format: Format) -> Self {
        Self {
            blocks: Blocks::new(body),
            format,
            strict: false,
            names: Names::new(),
            state: State::Open,
            slow: None,
            start: 0,
        }
    }

    /// For [`next_by_grammar`](Self::next_by_grammar) only: what the windows take is not strict.
    pub(crate) fn strict(body: &'a [u8], format: Format) -> Self {
        Self { strict: true, ..Self::new(body, format) }
    }

    #[inline]
    fn next_entry(&mut self) -> Option<Result<Entry<'a>, ParseError>> {
        if let Some(entry) = self.next_fast::<false>() {
            return Some(Ok(entry));
        }
        self.go_slowly();
        self.slow.take()
    }

    /// The next entry, if it is in the current block and holds no surprise.
    #[inline(always)]
    fn next_fast<const LOOSE: bool>(&mut self) -> Option<Entry<'a>> {
        let (block, start) = self.blocks.block()?;
        let (entry, next) = fast::line::<LOOSE>(block, start, self.format, &mut self.names, &mut ())?;
        self.start = self.blocks.at();
        self.blocks.go_to(next);
        Some(entry)
    }

    /// Leaves the next entry, if there is one, in `slow`.
    #[cold]
    #[inline(never)]
    fn go_slowly(&mut self) {
        self.go_on();
        self.slow = match self.next_fast::<true>() {
            Some(entry) => Some(Ok(entry)),
            None => self.next_by_grammar(),
        };
    }

    /// Goes on past blank lines and, at the end of a block, to the next one; false where there was nothing of the kind.
    pub(crate) fn go_on(&mut self) -> bool {
        let blank = self.format == Format::Prometheus && self.blocks.skip_blank_lines();
        if self.blocks.is_read() { self.is_open() } else { blank }
    }

    /// Whether there is a line left to read, whose block is loaded then.
    fn is_open(&mut self) -> bool {
        self.state == State::Open && self.blocks.load()
    }

    /// The next entry, by the grammar alone.
    #[cold]
    pub(crate) fn next_by_grammar(&mut self) -> Option<Result<Entry<'a>, ParseError>> {
        while self.is_open() {
            self.start = self.blocks.at();
            match self.line() {
                Ok(Some(entry)) => return Some(Ok(entry)),
                Ok(None) => (),
                Err(fault) => {
                    self.state = State::Done;
                    self.blocks.close();
                    return Some(Err(ParseError::new(self.blocks.body, fault)));
                }
            }
        }
        self.end().map(Err)
    }

    fn line(&mut self) -> Result<Option<Entry<'a>>, Fault<'a>> {
        let (line, terminated) = self.blocks.take_line();
        let dialect = Dialect { format: self.format, strict: self.strict };
        let parsed = match grammar::line(dialect, line) {
            Err(fault) if fault.expected == Expected::ClosingQuote => self.multiline(dialect, fault)?,
            parsed => parsed?,
        };
        let needs_newline = self.strict || self.format == Format::OpenMetrics;
        if !terminated && needs_newline && !matches!(parsed, Line::Eof | Line::Blank) {
            return Err(Fault { at: &line[line.len()..], expected: Expected::Newline });
        }
        Ok(Some(match parsed {
            Line::Blank => return Ok(None),
            Line::Comment(text) => Entry::Comment(text),
            Line::Eof => {
                self.state = State::Eof;
                self.blocks.close();
                Entry::Eof
            }
            Line::Help { name, text } => {
                Entry::Help { name: self.name(name)?, text: help_text(self.format, self.text(text)?) }
            }
            Line::Type { name, kind } => Entry::Type { name: self.name(name)?, kind },
            Line::Unit { name, unit } => Entry::Unit { name: self.name(name)?, unit: self.text(unit)? },
            Line::Sample(sample) => Entry::Sample(self.sample(&sample)?),
        }))
    }

    /// Reads a line again that ended within quotes: in 0.0.4 it may go on after the newline.
    #[cold]
    fn multiline(&mut self, dialect: Dialect, fault: Fault<'a>) -> Result<Line<'a>, Fault<'a>> {
        if dialect != Dialect::PROMETHEUS {
            return Err(fault);
        }
        let length = grammar::quoted_newlines(&self.blocks.body[self.start..]).ok_or(fault)?;
        grammar::line(dialect, self.blocks.take(self.start, self.start + length))
    }

    /// The error at the end of the body, if that is not where it may end.
    #[cold]
    fn end(&mut self) -> Option<ParseError> {
        let state = core::mem::replace(&mut self.state, State::Done);
        let (body, at) = (self.blocks.body, self.blocks.at());
        match state {
            State::Open if self.format == Format::OpenMetrics => {
                Some(ParseError::at(body, body.len(), Expected::EofLine))
            }
            State::Eof if at < body.len() => Some(ParseError::at(body, at, Expected::NothingAfterEof)),
            _ => None,
        }
    }

    fn sample(&self, line: &SampleLine<'a>) -> Result<Sample<'a>, Fault<'a>> {
        let labels = self.text(line.labels)?;
        Ok(Sample {
            name: self.text(line.name.0)?,
            labels: LabelSet::new(labels),
            value: line.value,
            timestamp: line.timestamp,
            exemplar: self.text(line.exemplar)?,
        })
    }

    fn name(&self, name: Name<'a>) -> Result<Cow<'a, str>, Fault<'a>> {
        self.text(name.0).map(unquoted)
    }

    fn text(&self, slice: &'a [u8]) -> Result<&'a str, Fault<'a>> {
        self.blocks.text(slice).ok_or(Fault { at: slice, expected: Expected::Utf8 })
    }
}
