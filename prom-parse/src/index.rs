//! Which bytes of a body are part of names, and at which a value may end: asked of the windows once, a stretch of the body at a time.

use crate::window::{Job, WIDTH, Width, Window};

/// How many windows a stretch has.
const WINDOWS: usize = 64;

/// How much of a stretch is to be left where a line begins, if the body has more: a longer line is a surprise.
const LINE: usize = 1 << 10;

/// One bit a byte, and more at the end, so that a view may begin at the last.
type Map = [u8; (WINDOWS + 1) * 8];

/// The maps of a stretch of a body.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    start: usize,
    end: usize,
    not_name: Map,
    stops: Map,
}

/// At least [`VIEW`] bytes from some place on, one bit each, where the stretch has them. Beyond, bits are not set.
#[derive(Clone, Copy)]
pub(crate) struct View {
    /// The bytes that are none of `[a-zA-Z0-9_]`.
    pub(crate) not_name: u64,
    /// The double quotes, backslashes and control bytes.
    pub(crate) stops: u64,
}

/// How many bytes a view tells of.
pub(crate) const VIEW: usize = 57;

impl Index {
    pub(crate) fn new() -> Self {
        const NONE: Map = [0; (WINDOWS + 1) * 8];
        Self { start: 0, end: 0, not_name: NONE, stops: NONE }
    }

    /// Makes sure that a line which begins at a place can be looked at, if it is not very long.
    #[inline(always)]
    pub(crate) fn cover(&mut self, body: &[u8], at: usize, width: Width) {
        if at.wrapping_sub(self.start) >= (self.end - self.start).saturating_sub(LINE) {
            self.go_on(body, at, width);
        }
    }

    #[cold]
    #[inline(never)]
    fn go_on(&mut self, body: &[u8], at: usize, width: Width) {
        let covered = at >= self.start && at < self.end;
        if !covered || body.len() - self.end >= WIDTH {
            (self.start, self.end) = (at, at);
            width.run(Fill { index: self, bytes: &body[at..] });
        }
    }

    /// What stands from a place on, which is not before the stretch; `None` where it is behind.
    #[inline(always)]
    pub(crate) fn view(&self, at: usize) -> Option<View> {
        let at = at.wrapping_sub(self.start);
        if at >= WINDOWS * WIDTH {
            return None;
        }
        let bits = |map: &Map| map[at / 8..].first_chunk().map(|bits| u64::from_le_bytes(*bits) >> (at % 8));
        Some(View { not_name: bits(&self.not_name)?, stops: bits(&self.stops)? })
    }
}

/// Makes the maps of the bytes, as far as they fill windows.
struct Fill<'i, 'b> {
    index: &'i mut Index,
    bytes: &'b [u8],
}

impl Job for Fill<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Window>(self) {
        let Self { index, bytes } = self;
        let (windows, _) = bytes.as_chunks::<WIDTH>();
        let maps = index.not_name.as_chunks_mut().0.iter_mut().zip(index.stops.as_chunks_mut().0);
        let mut filled = 0;
        for (bytes, (not_name, stops)) in windows.iter().take(WINDOWS).zip(maps) {
            let window = W::load(bytes);
            *not_name = window.not_name().to_le_bytes();
            *stops = window.quote_backslash_or_control().to_le_bytes();
            filled += 1;
        }
        // Beyond, nothing is known.
        for map in [&mut index.not_name, &mut index.stops] {
            map[filled * 8..].fill(0);
        }
        index.end += filled * WIDTH;
    }
}
