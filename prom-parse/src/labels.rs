//! Reading the labels of a set that the grammar has accepted.

use std::borrow::Cow;
use std::fmt;
use std::iter::FusedIterator;

use crate::window::{Baseline, WIDTH, Window as _};

/// What stands between the braces of a sample or exemplar, accepted by the grammar.
#[derive(Clone, Copy)]
pub(crate) struct LabelSet<'a> {
    between_braces: &'a str,
}

impl<'a> LabelSet<'a> {
    pub(crate) fn new(between_braces: &'a str) -> Self {
        Self { between_braces }
    }

    #[inline]
    pub(crate) fn iter(self) -> Labels<'a> {
        Labels { set: self.between_braces, at: 0, window: Span { start: 0, quotes: 0, backslashes: 0 } }
    }
}

impl PartialEq for LabelSet<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// The labels of a sample or exemplar, as pairs of name and value, in the order of the text.
///
/// A pair is borrowed from the body unless it holds escapes.
#[derive(Clone)]
pub struct Labels<'a> {
    set: &'a str,
    /// Where the next label begins, or blanks before it.
    at: usize,
    window: Span,
}

/// The quotes and backslashes in the bytes from `start` on; none that stand before the iterator's `at`.
#[derive(Clone)]
struct Span {
    start: usize,
    quotes: u64,
    backslashes: u64,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.set.len() {
            return None;
        }
        match self.next_plain() {
            Some((name, value)) => Some((Cow::Borrowed(name), Cow::Borrowed(value))),
            None => self.next_any(),
        }
    }
}

impl FusedIterator for Labels<'_> {}

impl<'a> Labels<'a> {
    /// The next label, if it stands within a window and has neither blanks, quotes around the name, nor escapes.
    #[inline]
    fn next_plain(&mut self) -> Option<(&'a str, &'a str)> {
        let two_quotes = |quotes: u64| quotes & quotes.wrapping_sub(1) != 0;
        if !two_quotes(self.window.quotes) {
            self.window = Span::load(self.set.as_bytes(), self.at);
            if !two_quotes(self.window.quotes) {
                return None;
            }
        }
        let Span { start, quotes, backslashes } = self.window;
        let rest = quotes & (quotes - 1);
        let (open, close) = (quotes.trailing_zeros(), rest.trailing_zeros());
        if backslashes & (!0 >> (63 - close)) != 0 {
            return None;
        }
        let (open, close) = (start + open as usize, start + close as usize);
        let name = self.set.get(self.at..open.checked_sub(1)?)?;
        match (name.as_bytes(), &self.set.as_bytes()[open - 1]) {
            ([b'a'..=b'z' | b'A'..=b'Z' | b'_', .., last] | [last], b'=') if is_name(*last) => (),
            _ => return None,
        }
        let value = self.set.get(open + 1..close)?;
        self.window.quotes = rest & (rest - 1);
        self.at = close + 1;
        if self.set.as_bytes().get(self.at) == Some(&b',') {
            self.at += 1;
        }
        Some((name, value))
    }

    #[cold]
    fn next_any(&mut self) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        self.window.quotes = 0;
        loop {
            self.at += self.count_of([b' ', b'\t', b',']);
            let (name, quoted) = match self.set.as_bytes().get(self.at)? {
                b'"' => (self.take_quoted()?, true),
                _ => (self.take_name()?, false),
            };
            self.at += self.count_of([b' ', b'\t', b' ']);
            // A name in quotes that no value follows is the metric's.
            if self.set.as_bytes().get(self.at) == Some(&b'=') {
                self.at += 1;
                self.at += self.count_of([b' ', b'\t', b' ']);
                let name = if quoted { unescape(name) } else { Cow::Borrowed(name) };
                return Some((name, unescape(self.take_quoted()?)));
            }
        }
    }

    /// How many of these bytes come next.
    fn count_of(&self, bytes: [u8; 3]) -> usize {
        self.set.as_bytes()[self.at..].iter().take_while(|byte| bytes.contains(byte)).count()
    }

    /// What stands between the quote that comes next and its closing one; goes on after that.
    fn take_quoted(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            at += memchr::memchr2(b'"', b'\\', self.set.as_bytes().get(at..)?)?;
            if self.set.as_bytes()[at] == b'"' {
                self.at = at + 1;
                return self.set.get(start..at);
            }
            at += 2;
        }
    }

    fn take_name(&mut self) -> Option<&'a str> {
        let rest = &self.set[self.at..];
        let name = &rest[..rest.bytes().position(|byte| !is_name(byte))?];
        self.at += name.len();
        Some(name)
    }
}

impl Span {
    #[inline]
    fn load(set: &[u8], start: usize) -> Self {
        let rest = &set[start..];
        match rest.first_chunk::<WIDTH>() {
            Some(bytes) => Self::of(bytes, start),
            None => {
                let mut bytes = [0; WIDTH];
                bytes[..rest.len()].copy_from_slice(rest);
                Self::of(&bytes, start)
            }
        }
    }

    #[inline]
    fn of(bytes: &[u8; WIDTH], start: usize) -> Self {
        let window = Baseline::load(bytes);
        Self { start, quotes: window.equal(b'"'), backslashes: window.equal(b'\\') }
    }
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

/// Replaces `\\`, `\"` and `\n`. A backslash before anything else stands for itself.
#[inline]
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(replaced(text, true)),
    }
}

/// The same for the text of a HELP line in 0.0.4, where a quote needs no escape.
pub(crate) fn unescape_help(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(replaced(text, false)),
    }
}

/// The same into a buffer that is used again and again.
pub(crate) fn unescape_into<'b>(buffer: &'b mut String, text: &str) -> &'b str {
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
        LabelSet::new(set).iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
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
    fn only_the_three_escapes_are_replaced() {
        assert_eq!(unescape(r#"a\\n\n\"\t\"#), "a\\n\n\"\\t\\");
        assert_eq!(unescape_help(r#"a\\n\n\"\t\"#), "a\\n\n\\\"\\t\\");
        assert!(matches!(unescape("plain é"), Cow::Borrowed("plain é")));
    }
}
