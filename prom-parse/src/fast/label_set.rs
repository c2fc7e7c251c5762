//! The braces of a sample or exemplar.

use super::{Lines, TakeLabels};
use crate::fast::names::Names;
use crate::index::VIEW;
use crate::window::{Baseline, TextWindow, WIDTH, Window, part};

/// Reads labels from `first`, which stands right after the opening brace, up to the closing one, and returns where that
/// stands.
///
/// From a label's start on, the first byte that is no name byte is to be `=`, and the quote after it is to open the value.
/// That is then the first of all quotes, backslashes and control bytes, and the value ends at the second, if that is a
/// quote. If it is not, the value is looked at more closely.
#[inline(always)]
pub(super) fn label_set<'a>(
    lines: Lines<'a, '_>,
    first: usize,
    unique: bool,
    labels: &mut impl TakeLabels<'a>,
) -> Option<usize> {
    let (text, bytes) = (lines.text, lines.bytes());
    if bytes.get(first) == Some(&b'}') {
        return Some(first);
    }
    let mut names = Names::default();
    let mut at = first;
    loop {
        let view = lines.view(at)?;
        let window = TextWindow::of(text, at)?;
        let near = window.bytes();
        let length = view.not_name.trailing_zeros() as usize;
        let head = u64::from_le_bytes(*near.first_chunk()?);
        // Of the name bytes only digits come before `A`, and so does `=`, where the name is empty.
        if length >= VIEW || (head as u8) < b'A' {
            return None;
        }
        if unique && !names.add(head, length, || &bytes[first..at + length]) {
            return None;
        }
        let close = (view.stops & view.stops.wrapping_sub(1)).trailing_zeros() as usize;
        let end = match window.label(length, close) {
            Some((name, value)) => {
                labels.label(name, value);
                at + close
            }
            None => {
                let end = long_value(bytes, at + length)?;
                labels.long_label(part(text, at..at + length)?, part(text, at + length + 2..end)?);
                end
            }
        };
        match bytes.get(end + 1)? {
            b',' => at = end + 2,
            b'}' => return Some(end + 1),
            _ => return None,
        }
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
        let stops = window.quote_backslash_or_control();
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
