//! Reading the labels of a set that the grammar has accepted.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::iter::FusedIterator;

use crate::format::Format;
use crate::window::{WIDTH, label, quote_or_backslash};

/// What stands between the braces of a sample or exemplar, accepted by the grammar or as the grammar would.
#[derive(Clone, Copy)]
pub(crate) struct LabelSet<'a> {
    /// The text from the opening brace on, as far as the windows may look.
    text: &'a str,
    length: usize,
    /// The first of the quotes and backslashes, a bit for each byte, if the set is tight: each label is `name="value"`,
    /// without blanks, and each but the last ends in a comma, after which one blank may stand. Else, none.
    stops: u64,
}

impl<'a> LabelSet<'a> {
    /// All of a text.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, length: text.len(), stops: 0 }
    }

    /// The first `length` bytes of a text, known to be tight, with its first stops.
    #[inline(always)]
    pub(crate) fn tight(text: &'a str, length: usize, stops: u64) -> Self {
        Self { text, length, stops }
    }

    #[inline(always)]
    pub(crate) fn iter(self) -> Labels<'a> {
        Labels { at: 0, stops: self.stops, start: 0, set: self }
    }
}

impl PartialEq for LabelSet<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// A name and a value.
type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The labels of a sample or exemplar, as pairs of name and value, in the order of the text.
///
/// A pair is borrowed from the body unless it holds escapes.
#[derive(Clone)]
pub struct Labels<'a> {
    set: LabelSet<'a>,
    /// Where the next label begins, or blanks before it.
    at: usize,
    /// The quotes and backslashes of a window from `start` on, but for those before `at`.
    stops: u64,
    start: usize,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.set.length {
            return None;
        }
        match self.next_plain() {
            Some((name, value)) => Some((Cow::Borrowed(name), Cow::Borrowed(value))),
            None => {
                // By value, so that otherwise the iterator lives in registers.
                let (labels, next) = self.clone().next_any();
                *self = labels;
                next
            }
        }
    }
}

impl FusedIterator for Labels<'_> {}

impl<'a> Labels<'a> {
    /// The next label of a tight set, if it stands within a window and holds no escapes.
    #[inline(always)]
    fn next_plain(&mut self) -> Option<(&'a str, &'a str)> {
        let mut rest = self.stops & self.stops.wrapping_sub(1);
        if rest == 0 {
            if self.set.stops == 0 {
                return None;
            }
            let bytes = self.set.text.as_bytes().get(self.at..)?;
            self.stops = bytes.first_chunk().map_or_else(|| stops_of_rest(bytes), quote_or_backslash);
            self.start = self.at;
            rest = self.stops & self.stops.wrapping_sub(1);
        }
        let (open, close) = (self.stops.trailing_zeros() as usize, rest.trailing_zeros() as usize);
        let (open, close) = (self.start + open, self.start + close);
        let label = label(self.set.text, self.at, open, close)?;
        self.stops = rest & rest.wrapping_sub(1);
        // Past the quote and the comma.
        self.at = close + 2;
        Some(label)
    }

    /// Where the next label of a tight set begins: after the blank, if one follows the comma.
    fn after_blank(&self) -> usize {
        self.at + usize::from(self.set.text.as_bytes().get(self.at) == Some(&b' '))
    }

    #[cold]
    #[inline(never)]
    fn next_any(mut self) -> (Self, Option<Label<'a>>) {
        let label = self.read_escaped().or_else(|| self.read_any());
        (self, label)
    }

    /// The next label of a tight set, if its value holds escapes and it stands within a window.
    fn read_escaped(&mut self) -> Option<Label<'a>> {
        let text = self.set.text;
        let open = self.start + lowest(self.stops)?;
        let mut stops = self.stops & (self.stops - 1);
        let close = loop {
            let stop = lowest(stops)?;
            stops &= stops - 1;
            match text.as_bytes().get(self.start + stop)? {
                b'"' => break self.start + stop,
                // Whatever comes after a backslash is no stop.
                _ => stops &= !(2 << stop),
            }
        };
        let name = text.get(self.after_blank()..open.checked_sub(1)?)?;
        let value = text.get(open + 1..close)?;
        (self.stops, self.at) = (stops, close + 2);
        Some((Cow::Borrowed(name), unescape(value)))
    }

    fn read_any(&mut self) -> Option<Label<'a>> {
        self.stops = 0;
        loop {
            self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
            let (name, quoted) = match self.set().as_bytes().get(self.at)? {
                b'"' => (self.take_quoted()?, true),
                _ => (self.take_name()?, false),
            };
            self.skip(|byte| matches!(byte, b' ' | b'\t'));
            // A name in quotes that no value follows is the metric's.
            if self.set().as_bytes().get(self.at) == Some(&b'=') {
                self.at += 1;
                self.skip(|byte| matches!(byte, b' ' | b'\t'));
                let name = if quoted { unescape(name) } else { Cow::Borrowed(name) };
                // The next label begins after the comma, which may be missing.
                let value = unescape(self.take_quoted()?);
                self.at += usize::from(self.set().as_bytes().get(self.at) == Some(&b','));
                return Some((name, value));
            }
        }
    }

    fn set(&self) -> &'a str {
        self.set.text.get(..self.set.length).unwrap_or_default()
    }

    fn skip(&mut self, what: impl Fn(&u8) -> bool) {
        self.at += self.set().bytes().skip(self.at).take_while(|byte| what(byte)).count();
    }

    /// What stands between the quote that comes next and its closing one; goes on after that.
    fn take_quoted(&mut self) -> Option<&'a str> {
        let (set, start) = (self.set(), self.at + 1);
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', set.as_bytes().get(at..)?)?;
            if set.as_bytes()[at] == b'"' {
                self.at = at + 1;
                return set.get(start..at);
            }
            at += 2;
        }
    }

    fn take_name(&mut self) -> Option<&'a str> {
        let rest = &self.set()[self.at..];
        let name = &rest[..rest.bytes().position(|byte| !is_name(byte))?];
        self.at += name.len();
        Some(name)
    }
}

/// The place of the lowest bit that is set.
fn lowest(bits: u64) -> Option<usize> {
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}

/// Which of the bytes are a double quote or a backslash, where they are less than a window.
#[cold]
fn stops_of_rest(bytes: &[u8]) -> u64 {
    let mut padded = [b' '; WIDTH];
    padded[..bytes.len()].copy_from_slice(bytes);
    quote_or_backslash(&padded)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl PartialEq for Labels<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.clone()).finish()
    }
}

/// A metric's name, whether it comes after the opening quote of where it stood or stood without.
#[inline]
pub(crate) fn unquoted(name: &str) -> Cow<'_, str> {
    match name.strip_prefix('"') {
        None => Cow::Borrowed(name),
        Some(name) => unescape(name),
    }
}

/// Replaces `\\`, `\"` and `\n`. A backslash before anything else stands for itself.
#[inline]
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(replaced(text, true)),
    }
}

/// The text of a HELP line. In 0.0.4 a quote needs no escape there.
#[cold]
pub(crate) fn help_text(format: Format, text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(replaced(text, format == Format::OpenMetrics)),
    }
}

/// The same into a buffer that is used again and again.
pub(crate) fn unescape_into<'b>(buffer: &'b mut String, text: &'b str) -> &'b str {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return text;
    }
    buffer.clear();
    replace_escapes(text, true, buffer);
    buffer
}

#[cold]
fn replaced(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    replace_escapes(text, quotes, &mut out);
    out
}

fn replace_escapes(text: &str, quotes: bool, out: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let (plain, after) = (&rest[..at], &rest[at + 1..]);
        out.push_str(plain);
        let (replacement, skip) = match after.as_bytes().first() {
            Some(b'\\') => ('\\', 1),
            Some(b'n') => ('\n', 1),
            Some(b'"') if quotes => ('"', 1),
            _ => ('\\', 0),
        };
        out.push(replacement);
        rest = &after[skip..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(set: &str) -> Vec<(String, String)> {
        // What follows a set must not be taken for a part of it.
        let longer = format!("{set}}} 1\nx{{y=\"z\",z=\"\"}}{}", " 1\n".repeat(30));
        let owned = |set: LabelSet<'_>| {
            set.iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect::<Vec<_>>()
        };
        let pairs = owned(LabelSet::new(set));
        let is_tight = !set.contains(' ') && !set.contains("metric");
        if is_tight {
            for known in [0, 10, 40] {
                let stops = stops_of_rest(&longer.as_bytes()[..known]);
                assert_eq!(owned(LabelSet::tight(&longer, set.len(), stops)), pairs);
                assert_eq!(owned(LabelSet::tight(set, set.len(), stops)), pairs);
            }
        }
        pairs
    }

    fn owned<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn pairs_in_order_without_the_metric_name() {
        let expected = owned([("a", "1"), ("b.c", "}\","), ("d", "")]);
        assert_eq!(pairs(r#" a = "1" , "the metric" "b.c"="}\",",d="", "#), expected);
        assert_eq!(pairs(r#"a="1","the metric","b.c"="}\",",d="""#), expected);
        assert_eq!(pairs(r#""only a name""#), []);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn plain_labels_across_windows() {
        let long = "x".repeat(70);
        let set = format!("a=\"\",bb=\"{long}\",c=\"1\",d=\"\\\\\",e=\"{}\",f=\"2\"", &long[..40]);
        let expected =
            owned([("a", ""), ("bb", &long), ("c", "1"), ("d", "\\"), ("e", &long[..40]), ("f", "2")]);
        assert_eq!(pairs(&set), expected);
    }

    #[test]
    fn escapes_wherever_a_window_ends() {
        for padding in 0..140 {
            let plain = "x".repeat(padding);
            let set = format!(r#"a="{plain}\"\n",b="\\\\",c="",d="\"\"é",e="{plain}\\""#);
            let (a, e) = (format!("{plain}\"\n"), format!("{plain}\\"));
            assert_eq!(pairs(&set), owned([("a", &a), ("b", "\\\\"), ("c", ""), ("d", "\"\"é"), ("e", &e)]));
        }
    }

    #[test]
    fn only_the_three_escapes_are_replaced() {
        assert_eq!(unescape(r#"a\\n\n\"\t\"#), "a\\n\n\"\\t\\");
        assert_eq!(help_text(Format::Prometheus, r#"a\\n\n\"\t\"#), "a\\n\n\\\"\\t\\");
        assert!(matches!(unescape("plain é"), Cow::Borrowed("plain é")));
    }
}
