//! The braces of a sample or exemplar.

use super::{Span, TakeLabels};
use crate::fast::names::Names;
use crate::window::{Baseline, WIDTH, Window, part};

/// Reads labels from offset `from` of the window up to the closing brace, and returns where that stands.
///
/// In the window, the lowest quote opens the next label's value and the one after it closes it. The bytes before the
/// opening quote are to be a name and `=`: so the first byte from the label's start on that is no name byte stands right
/// before the quote. What stands between the quotes is to hold no backslash and no control byte.
#[inline(always)]
pub(super) fn label_set<'a, W: Window>(
    text: &'a str,
    mut span: Span<'a, W>,
    mut from: usize,
    unique: bool,
    labels: &mut impl TakeLabels<'a>,
) -> Option<usize> {
    /// How many bytes of a name are looked at to find out whether it is new.
    const HEAD: usize = 8;
    let first = span.start + from;
    if text.as_bytes().get(first) == Some(&b'}') {
        return Some(first);
    }
    let mut names = Names::default();
    // What stands before `from`, where a label begins, is gone from the quotes.
    span.quotes &= !0_u64.checked_shl(from as u32).unwrap_or(0);
    loop {
        let rest = span.quotes & span.quotes.wrapping_sub(1);
        let close = rest.trailing_zeros() as usize;
        // A label is read here that ends, with the byte after it, within the window.
        if from <= WIDTH - HEAD && close < WIDTH - 1 && span.special << (WIDTH - 1 - close) == 0 {
            let name_end = (span.not_name >> from << from).trailing_zeros() as usize;
            if name_end + 1 != span.quotes.trailing_zeros() as usize || span.byte(name_end) != b'=' {
                return None;
            }
            let length = name_end - from;
            let head = span.text.bytes()[from..].first_chunk::<HEAD>()?;
            if head[0].is_ascii_digit() || length == 0 {
                return None;
            }
            if unique && !names.add(*head, length, || &text.as_bytes()[first..span.start + name_end]) {
                return None;
            }
            let (name, value) = span.text.label(from, name_end, close)?;
            labels.label(name, value);
            match span.byte(close + 1) {
                b',' => (from, span.quotes) = (close + 2, rest & rest.wrapping_sub(1)),
                b'}' => return Some(span.start + close + 1),
                _ => return None,
            }
            continue;
        }
        let mut next = span.start + from;
        if from == 0 {
            let name_length = span.name_end(0)?;
            let end = long_value(text.as_bytes(), next + name_length)?;
            let head = *span.text.bytes().first_chunk::<HEAD>()?;
            if unique && !names.add(head, name_length, || &text.as_bytes()[first..next + name_length]) {
                return None;
            }
            labels
                .long_label(part(text, next..next + name_length)?, part(text, next + name_length + 2..end)?);
            match text.as_bytes().get(end + 1)? {
                b',' => next = end + 2,
                b'}' => return Some(end + 1),
                _ => return None,
            }
        }
        (span, from) = (Span::load(text, next)?, 0);
    }
}

/// Where the closing quote stands of a value that is long or holds escapes, given where its name ends. A control byte is
/// a surprise.
#[cold]
fn long_value(bytes: &[u8], name_end: usize) -> Option<usize> {
    if !bytes[name_end..].starts_with(b"=\"") {
        return None;
    }
    let mut at = name_end + 2;
    loop {
        let window = Baseline::load(bytes.get(at..)?.first_chunk::<WIDTH>()?);
        let stops = window.equal(b'"') | window.backslash_or_control();
        if stops == 0 {
            at += WIDTH;
            continue;
        }
        at += stops.trailing_zeros() as usize;
        match bytes[at..] {
            [b'"', ..] => return Some(at),
            [b'\\', next, ..] if next >= b' ' => at += 2,
            _ => return None,
        }
    }
}
