//! A body in blocks of whole lines, each checked for UTF-8 while it is warm in the cache.

/// How much is checked at a time, in bytes: little enough to be in the cache still when it is parsed.
const BLOCK: usize = 32 << 10;

/// A walk over a body, block by block, line by line.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<'a> {
    pub(crate) body: &'a [u8],
    /// Where the next line starts.
    pub(crate) at: usize,
    start: usize,
    end: usize,
    /// The block, where all of it is UTF-8.
    text: Option<&'a str>,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, start: 0, end: 0, text: None }
    }

    /// Makes the block that holds the next line current; false at the end of the body.
    #[inline]
    pub(crate) fn load(&mut self) -> bool {
        self.at < self.end || self.load_next()
    }

    #[cold]
    fn load_next(&mut self) -> bool {
        self.start = self.at;
        let rest = &self.body[self.at..];
        let tail = &rest[rest.len().min(BLOCK)..];
        // Up to the next newline after the block's size, so that a block ends where a line ends.
        self.end =
            memchr::memchr(b'\n', tail).map_or(self.body.len(), |n| self.body.len() - tail.len() + n + 1);
        self.text = utf8(&self.body[self.at..self.end]);
        !rest.is_empty()
    }

    /// Takes the next line, without its newline; the flag says whether it had one.
    pub(crate) fn take_line(&mut self) -> (&'a [u8], bool) {
        let rest = &self.body[self.at..self.end];
        match memchr::memchr(b'\n', rest) {
            Some(length) => {
                self.at += length + 1;
                (&rest[..length], true)
            }
            None => {
                self.at = self.end;
                (rest, false)
            }
        }
    }

    /// Makes what lies between two offsets the current block, and its end the next line's start.
    #[cold]
    pub(crate) fn take(&mut self, start: usize, end: usize) -> &'a [u8] {
        (self.start, self.end) = (start, end);
        let block = &self.body[start..end];
        self.text = utf8(block);
        self.at = (end + 1).min(self.body.len());
        block
    }

    /// The current block, where all of it is UTF-8, and where in the body it starts.
    #[inline(always)]
    pub(crate) fn text_from(&self) -> Option<(&'a str, usize)> {
        self.text.map(|text| (text, self.start))
    }

    /// Goes on at a place in the current block.
    #[inline(always)]
    pub(crate) fn go_to(&mut self, place: usize) {
        self.at = self.start + place;
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

#[cfg(feature = "simd")]
fn utf8(block: &[u8]) -> Option<&str> {
    simdutf8::basic::from_utf8(block).ok()
}

#[cfg(not(feature = "simd"))]
fn utf8(block: &[u8]) -> Option<&str> {
    core::str::from_utf8(block).ok()
}
