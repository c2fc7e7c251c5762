//! A body in blocks of whole lines, each checked for UTF-8 and indexed while it is warm in the cache.

use crate::index::{Fill, Index};
use crate::window::Width;

/// A walk over a body, block by block, line by line.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) width: Width,
    /// Where the block starts and ends.
    start: usize,
    end: usize,
    /// The block, where all of it is UTF-8.
    text: Option<&'a str>,
    index: Index,
    next: Place,
}

/// Where in a block a line starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) at: usize,
    /// How many marks come before.
    pub(crate) mark: usize,
}

/// A block of whole lines, all of it UTF-8, and what is known of its bytes.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a, 'i> {
    pub(crate) text: &'a str,
    pub(crate) index: &'i Index,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        let (width, index) = (Width::detect(), Index::new());
        Self { body, width, start: 0, end: 0, text: None, index, next: Place::default() }
    }

    /// Where in the body the next line starts.
    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        self.start + self.next.at
    }

    /// Whether all lines of the block have been taken.
    pub(crate) fn is_read(&self) -> bool {
        self.at() >= self.end
    }

    /// Makes the block that holds the next line current; false at the end of the body.
    pub(crate) fn load(&mut self) -> bool {
        !self.is_read() || self.load_next()
    }

    /// The block ends after the last newline that the index knows of. If that knows of none, it is one line, not indexed.
    fn load_next(&mut self) -> bool {
        (self.start, self.next) = (self.at(), Place::default());
        let rest = &self.body[self.start..];
        self.width.run(Fill { index: &mut self.index, bytes: rest });
        let last = self.index.marks().iter().rfind(|place| rest[usize::from(**place)] == b'\n');
        let newline = match last {
            Some(place) => Some(usize::from(*place)),
            None => {
                self.index.clear();
                memchr::memchr(b'\n', rest)
            }
        };
        let block = newline.map_or(rest, |newline| &rest[..=newline]);
        self.end = self.start + block.len();
        self.text = utf8(block);
        !rest.is_empty()
    }

    /// Leaves no line to [`block`](Self::block).
    pub(crate) fn close(&mut self) {
        self.text = None;
    }

    /// The current block, where all of it is UTF-8, and where in it the next line starts, or its end.
    #[inline(always)]
    pub(crate) fn block(&self) -> Option<(Block<'a, '_>, Place)> {
        self.text.map(|text| (Block { text, index: &self.index }, self.next))
    }

    /// Goes on at a place in the current block.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, next: Place) {
        self.next = next;
    }

    /// Goes on to the next line of the block that is more than a newline; false where that is the current one.
    pub(crate) fn skip_blank_lines(&mut self) -> bool {
        let rest = self.text.and_then(|text| text.as_bytes().get(self.next.at..)).unwrap_or_default();
        let newlines = rest.iter().take_while(|byte| **byte == b'\n').count();
        self.next = Place { at: self.next.at + newlines, mark: self.next.mark + newlines };
        newlines > 0
    }

    /// Takes the next line, without its newline; the flag says whether it had one.
    pub(crate) fn take_line(&mut self) -> (&'a [u8], bool) {
        let rest = &self.body[self.at()..self.end];
        let newline = memchr::memchr(b'\n', rest);
        self.next.at += newline.map_or(rest.len(), |length| length + 1);
        let marks = self.index.marks().iter().skip(self.next.mark);
        self.next.mark += marks.take_while(|place| usize::from(**place) < self.next.at).count();
        newline.map_or((rest, false), |length| (&rest[..length], true))
    }

    /// Makes what lies between two offsets the current block, and its end the next line's start.
    #[cold]
    pub(crate) fn take(&mut self, start: usize, end: usize) -> &'a [u8] {
        (self.start, self.end) = (start, end);
        self.index.clear();
        let block = &self.body[start..end];
        self.text = utf8(block);
        self.next = Place { at: (end + 1).min(self.body.len()) - start, mark: 0 };
        block
    }

    /// A slice of the current block as text. `None` where it is not UTF-8.
    #[inline]
    pub(crate) fn text(&self, slice: &'a [u8]) -> Option<&'a str> {
        match self.text {
            Some(text) => {
                let from = (slice.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
                match text.get(from..from.wrapping_add(slice.len())) {
                    None if slice.is_empty() => Some(""),
                    found => found,
                }
            }
            None => core::str::from_utf8(slice).ok(),
        }
    }
}

impl<'a> Block<'a, '_> {
    #[inline(always)]
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.text.as_bytes()
    }
}

#[cfg(feature = "simd")]
fn utf8(block: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(block).ok()
}

#[cfg(not(feature = "simd"))]
fn utf8(block: &[u8]) -> Option<&str> {
    core::str::from_utf8(block).ok()
}
