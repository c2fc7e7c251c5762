//! The braces of a sample or exemplar.

use core::ops::Range;

use super::TakeLabels;
use crate::block::{Block, Place};
use crate::fast::names::Names;
use crate::format::Format;
use crate::window::{label, part};

/// Reads labels from a place on, which is right after the opening brace, up to the closing one, and returns where that
/// stands. Names must be new, if those before are given.
///
/// From a label's start on, name bytes are to stand up to a `=` and the next mark, which is to be the opening quote. The
/// mark after it is to be the closing one. If it is not, the value is looked at more closely.
#[inline(always)]
pub(super) fn label_set<'a, const LOOSE: bool>(
    block: Block<'a, '_>,
    first: Place,
    format: Format,
    mut names: Option<&mut Names>,
    labels: &mut impl TakeLabels<'a>,
) -> Option<Place> {
    let (text, bytes, index) = (block.text, block.bytes(), block.index);
    if bytes.get(first.at) == Some(&b'}') {
        return Some(first);
    }
    if let Some(names) = &mut names {
        names.begin();
    }
    let Place { mut at, mut mark } = first;
    loop {
        let [open, mut close] = index.two_marks(mark)?;
        let length = open.wrapping_sub(at + 1);
        let head = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        // Of the name bytes only digits come before `A`, and so does `=`, where the name is empty.
        if !index.are_name_bytes(at, length) || (head as u8) < b'A' {
            match bytes.get(at - 1..=at)? {
                b",}" if LOOSE => return Some(Place { at, mark }),
                b", " if LOOSE && format == Format::Prometheus => at += 1,
                _ => return None,
            }
            continue;
        }
        if let Some(names) = &mut names
            && !names.add(head, length, || &bytes[first.at..at + length])
        {
            return None;
        }
        mark += 2;
        match label(text, at, open, close) {
            Some((name, value)) => labels.label(name, value),
            None => {
                (close, mark) = escaped(block, at..open, Place { at: close, mark }, labels)?;
            }
        }
        match bytes.get(close + 1)? {
            b',' => at = close + 2,
            b'}' => return Some(Place { at: close + 1, mark }),
            _ => return None,
        }
    }
}

/// Reads a label whose value holds escapes, given where its name and `=` stand, the first mark in its value, and the number
/// of the next; returns where the closing quote stands, and the number of the mark after it.
#[cold]
#[inline(never)]
fn escaped<'a>(
    block: Block<'a, '_>,
    name: Range<usize>,
    mut place: Place,
    labels: &mut impl TakeLabels<'a>,
) -> Option<(usize, usize)> {
    let (text, bytes) = (block.text, block.bytes());
    let (equals, open) = (name.end - 1, name.end);
    if bytes.get(equals..=open)? != b"=\"" {
        return None;
    }
    loop {
        match bytes.get(place.at..)? {
            [b'"', ..] => break,
            [b'\\', next, ..] if *next >= b' ' => {
                // What is escaped may be a mark itself, and then it is the next.
                let escaped = place.at + 1;
                while place.at <= escaped {
                    place = Place { at: block.index.mark(place.mark)?, mark: place.mark + 1 };
                }
            }
            // A control byte is a surprise.
            _ => return None,
        }
    }
    labels.escaped_label(part(text, name.start..equals)?, part(text, open + 1..place.at)?);
    Some((place.at, place.mark))
}
