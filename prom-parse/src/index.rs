//! Where the bytes of a block that matter stand: asked of the windows once, before its lines are read.

use crate::window::{Job, WIDTH, Window};

/// How many windows an index has room for.
const WINDOWS: usize = 64;

/// How many marks an index has room for, but for those of one more window.
const MARKS: usize = 512;

/// A place outside of every block that is indexed.
const NOWHERE: u16 = u16::MAX;

/// One bit a byte, and more at the end, so that a view may begin at the last.
type Map = [u8; (WINDOWS + 1) * 8];

/// What is known of the bytes from some place of a body on, as far as there is room.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// The bytes that are none of `[a-zA-Z0-9_]`.
    not_name: Map,
    /// The double quotes, backslashes and control bytes.
    stops: Map,
    /// The places of those stops, in their order. Behind the last one stands
    /// [`NOWHERE`] twice, and then anything.
    marks: [u16; MARKS + WIDTH + 2],
    count: usize,
}

/// How many bytes one look at the map tells of.
pub(crate) const VIEW: usize = 57;

impl Index {
    pub(crate) fn new() -> Self {
        const NONE: Map = [0; (WINDOWS + 1) * 8];
        Self { not_name: NONE, stops: NONE, marks: [NOWHERE; MARKS + WIDTH + 2], count: 0 }
    }

    /// Forgets all marks.
    pub(crate) fn clear(&mut self) {
        self.set_count(0);
    }

    fn set_count(&mut self, count: usize) {
        self.count = count;
        self.marks[count..count + 2].fill(NOWHERE);
    }

    /// The places of all marks.
    pub(crate) fn marks(&self) -> &[u16] {
        &self.marks[..self.count]
    }

    /// The place of a mark, given how many come before it; behind the last one, a place outside of every block.
    #[inline(always)]
    pub(crate) fn mark(&self, mark: usize) -> Option<usize> {
        self.marks.get(mark).map(|place| usize::from(*place))
    }

    /// The places of a mark and the one after it.
    #[inline(always)]
    pub(crate) fn two_marks(&self, mark: usize) -> Option<[usize; 2]> {
        self.marks.get(mark..)?.first_chunk().map(|places: &[u16; 2]| places.map(usize::from))
    }

    /// How many name bytes stand from a place on, if fewer than [`VIEW`].
    #[inline(always)]
    pub(crate) fn name_bytes(&self, at: usize) -> Option<usize> {
        view(&self.not_name, at).map(|bits| (bits | 1 << VIEW).trailing_zeros() as usize)
    }

    /// Whether exactly so many name bytes stand from a place on; never said of as many as [`VIEW`] or more.
    #[inline(always)]
    pub(crate) fn are_name_bytes(&self, at: usize, length: usize) -> bool {
        const LAST: u64 = 1 << 63;
        length < VIEW && view(&self.not_name, at).is_some_and(|bits| bits << (63 - length) == LAST)
    }

    /// The stops among the bytes from a place on: a bit for each, lowest first, 57 at least where there are as many.
    #[inline(always)]
    pub(crate) fn stops(&self, at: usize) -> u64 {
        view(&self.stops, at).unwrap_or_default()
    }
}

/// The bits from a place on, 57 at least.
#[inline(always)]
fn view(map: &Map, at: usize) -> Option<u64> {
    map.get(at / 8..)?.first_chunk().map(|bits| u64::from_le_bytes(*bits) >> (at % 8))
}

/// Makes the index of the bytes, as far as it has room.
pub(crate) struct Fill<'i, 'b> {
    pub(crate) index: &'i mut Index,
    pub(crate) bytes: &'b [u8],
}

impl Job for Fill<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<W: Window>(self) {
        let Self { index, bytes } = self;
        let (windows, rest) = bytes.as_chunks::<WIDTH>();
        let (not_name, _) = index.not_name.as_chunks_mut::<8>();
        let (stops, _) = index.stops.as_chunks_mut::<8>();
        let mut maps = not_name.iter_mut().zip(stops).take(WINDOWS);
        let (mut count, mut start) = (0, 0);
        for (bytes, (not_name, stops)) in windows.iter().zip(&mut maps) {
            let window = W::load(bytes);
            let bits = window.quote_backslash_or_control();
            (*not_name, *stops) = (window.not_name().to_le_bytes(), bits.to_le_bytes());
            count += write_marks::<W>(&mut index.marks, count, start, bits);
            start += WIDTH as u16;
            if count > MARKS {
                return index.set_count(count);
            }
        }
        if let Some((not_name, stops)) = maps.next() {
            let mut padded = [b' '; WIDTH];
            padded[..rest.len()].copy_from_slice(rest);
            let window = W::load(&padded);
            let bits = window.quote_backslash_or_control();
            (*not_name, *stops) = (window.not_name().to_le_bytes(), bits.to_le_bytes());
            count += write_marks::<W>(&mut index.marks, count, start, bits);
        }
        index.set_count(count);
    }
}

/// Writes the places of a window's bits behind the first `count` marks, and returns how many.
#[inline(always)]
fn write_marks<W: Window>(marks: &mut [u16], count: usize, start: u16, bits: u64) -> usize {
    match marks.get_mut(count..).and_then(|rest| rest.first_chunk_mut()) {
        Some(places) => W::write_places(bits, start, places),
        None => return 0,
    }
    bits.count_ones() as usize
}
