//! Reading the labels of a set that the grammar has accepted.

use std::borrow::Cow;
use std::fmt;

/// The labels of a sample or exemplar, as pairs of name and value, in the order of the text.
///
/// A pair is borrowed from the body unless it holds escapes.
#[derive(Clone, Copy, PartialEq)]
pub struct Labels<'a> {
    /// What stands between the braces, from the next label on. The grammar has accepted it.
    rest: &'a str,
}

impl<'a> Labels<'a> {
    pub(crate) fn new(between_braces: &'a str) -> Self {
        Self { rest: between_braces }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
            let (name, quoted) = match self.rest.strip_prefix('"') {
                Some(inside) => (self.take_quoted(inside)?, true),
                None => (self.take_name()?, false),
            };
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            // A name in quotes that no value follows is the metric's.
            let Some(after) = self.rest.strip_prefix('=') else { continue };
            let value = self.take_quoted(after.trim_start_matches([' ', '\t']).strip_prefix('"')?)?;
            let name = if quoted { unescape(name) } else { Cow::Borrowed(name) };
            return Some((name, unescape(value)));
        }
    }
}

impl std::iter::FusedIterator for Labels<'_> {}

impl<'a> Labels<'a> {
    /// What stands before the closing quote; goes on after it.
    fn take_quoted(&mut self, inside: &'a str) -> Option<&'a str> {
        let bytes = inside.as_bytes();
        let mut at = 0;
        loop {
            at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
            if bytes[at] == b'"' {
                self.rest = &inside[at + 1..];
                return Some(&inside[..at]);
            }
            at += 2;
        }
    }

    fn take_name(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(name)
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(*self).finish()
    }
}

/// Replaces `\\`, `\"` and `\n`. A backslash before anything else stands for itself.
#[inline]
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(first) => Cow::Owned(replace_escapes(text, first, true)),
    }
}

/// The same for the text of a HELP line in 0.0.4, where a quote needs no escape.
pub(crate) fn unescape_help(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\\', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(first) => Cow::Owned(replace_escapes(text, first, false)),
    }
}

#[cold]
fn replace_escapes(text: &str, first: usize, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let (before, mut rest) = text.split_at(first);
    out.push_str(before);
    while let Some((plain, after)) = rest.split_once('\\') {
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
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(set: &str) -> Vec<(String, String)> {
        Labels::new(set).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn pairs_in_order_without_the_metric_name() {
        let expected = [("a", "1"), ("b.c", "}\","), ("d", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs(r#" a = "1" , "the metric" "b.c"="}\",",d="", "#), expected);
        assert_eq!(pairs(r#""only a name""#), []);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn only_the_three_escapes_are_replaced() {
        assert_eq!(unescape(r#"a\\n\n\"\t\"#), "a\\n\n\"\\t\\");
        assert_eq!(unescape_help(r#"a\\n\n\"\t\"#), "a\\n\n\\\"\\t\\");
        assert!(matches!(unescape("plain é"), Cow::Borrowed("plain é")));
    }
}
