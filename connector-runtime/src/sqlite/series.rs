//! From the keys of a tick's rows to the numbers of their series.
//!
//! Nearly every tick brings the keys of the last one in the same order, so a connector's last tick is remembered as one
//! fingerprint and the numbers as runs of consecutive ones: a few bytes for a thousand rows. When the fingerprint
//! differs, each row is looked up by its own hash in memory alone, where the connector's newest series are, and those of its
//! last tick: they are read from the file where nothing is remembered of them, as after a restart. So the file needs no
//! index of hashes, and a key that comes back after many new ones is a new series once more. A key that comes again in
//! the same tick is a series of its own, too. Samples are written in the order of their numbers, in which they lie in the
//! file, so that each is appended.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use rusqlite::Connection;

use super::{
    dictionary::Dictionary,
    keys::{Keys, Prints, mark},
    table::Table,
};

/// After so many ticks in a row that changed nothing, the hashes of single rows are forgotten.
const STEADY: u8 = 3;

/// What is remembered of the series that connectors wrote last. It only ever holds what the file holds, so it is emptied
/// whenever a transaction is taken back.
#[derive(Debug, Default)]
pub(super) struct Series {
    known: HashMap<(i64, i64), Known>,
}

/// Consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) len: usize,
}

/// The series of a tick's rows, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolved {
    runs: Vec<Run>,
    /// The row of each; empty where that is the order of the rows.
    rows: Vec<u32>,
}

impl Resolved {
    /// Of each row's `(number, row)`.
    fn new(mut found: Vec<(i64, u32)>) -> Self {
        let mut rows = Vec::new();
        if !found.is_sorted() {
            found.sort_unstable();
            rows = found.iter().map(|(_, row)| *row).collect();
        }
        let mut runs: Vec<Run> = Vec::new();
        for (number, _) in found {
            match runs.last_mut() {
                Some(run) if run.first + run.len as i64 == number => run.len += 1,
                _ => runs.push(Run { first: number, len: 1 }),
            }
        }
        runs.shrink_to_fit();
        Self { runs, rows }
    }

    /// The numbers of the series.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The row of the series at that position.
    pub(super) fn row(&self, position: usize) -> usize {
        self.rows.get(position).map_or(position, |row| *row as usize)
    }
}

#[derive(Debug, Default)]
struct Known {
    fingerprint: Option<u128>,
    resolved: Resolved,
    steady: u8,
    numbers: Numbers,
    /// The greatest number of a series when the file was last looked at.
    last: i64,
    round: u32,
}

/// By what series are recognised by.
type Numbers = HashMap<u128, Seen, BuildHasherDefault<Hashed>>;

#[derive(Clone, Copy, Debug)]
struct Seen {
    number: i64,
    /// When it came last.
    round: u32,
    /// How often the key came again in that round, of the first series with a key.
    repeats: u32,
}

/// How many series are remembered of one of so many connectors, with so many rows in a tick: twice as many as it needs, and
/// of a million more its part, for what comes and goes.
fn remembered(rows: usize, connectors: usize) -> usize {
    2 * rows + (1_000_000 / connectors.max(1)).clamp(100, 1_000)
}

impl Series {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Forgets those in a table and of a connector.
    pub(super) fn forget(&mut self, place: (i64, i64)) {
        self.known.remove(&place);
    }

    /// The series of each row of a tick, created where they are new. The prints are the keys' own.
    pub(super) fn resolve(
        &mut self,
        connection: &Connection,
        table: &Table,
        (connector, tick): (i64, i64),
        keys: &Keys<'_>,
        prints: &Prints,
    ) -> rusqlite::Result<&Resolved> {
        let place = (table.id, connector);
        let mut known = self.known.remove(&place).unwrap_or_default();
        if known.fingerprint == Some(prints.whole) {
            known.steady = known.steady.saturating_add(1);
            if known.steady == STEADY {
                known.numbers = Numbers::default();
            }
        } else {
            let mut dictionary = Dictionary::new(connection, table, connector)?;
            let most = remembered(keys.len(), self.known.len());
            known.catch_up(&dictionary, tick, most)?;
            if prints.rows.is_empty() {
                known.look_up(&mut dictionary, keys, &keys.hashes())?;
            } else {
                known.look_up(&mut dictionary, keys, &prints.rows)?;
            }
            known.forget_beyond(most);
            known.fingerprint = Some(prints.whole);
            known.steady = 0;
        }
        Ok(&self.known.entry(place).insert_entry(known).into_mut().resolved)
    }
}

impl Known {
    /// Reads the series that are to be remembered, `most` of them, or those that other processes have created since.
    fn catch_up(&mut self, dictionary: &Dictionary<'_>, tick: i64, most: usize) -> rusqlite::Result<()> {
        let last = dictionary.last();
        let knows_some = !self.numbers.is_empty();
        let first = if knows_some { self.last + 1 } else { (last - most as i64).max(0) + 1 };
        let mut learn = |mark, number| {
            self.numbers.insert(mark, Seen { number, round: 0, repeats: 0 });
        };
        if first <= last {
            dictionary.read(first..=last, &mut learn)?;
        }
        if !knows_some && first > 1 {
            dictionary.read_latest(tick, first, learn)?;
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        dictionary: &mut Dictionary<'_>,
        keys: &Keys<'_>,
        hashes: &[u128],
    ) -> rusqlite::Result<()> {
        self.round += 1;
        let mut resolved = Vec::with_capacity(hashes.len());
        // A column of keys has at most 2^31 rows.
        for (row, hash) in (0_u32..).zip(hashes) {
            let mut nth = 0;
            if let Some(first) = self.numbers.get_mut(&mark(*hash, 0)) {
                nth = if first.round == self.round { first.repeats + 1 } else { 0 };
                (first.round, first.repeats) = (self.round, nth);
                if nth == 0 {
                    resolved.push((first.number, row));
                    continue;
                }
            }
            let number = match self.numbers.entry(mark(*hash, nth)) {
                Entry::Occupied(mut seen) => {
                    seen.get_mut().round = self.round;
                    seen.get().number
                }
                Entry::Vacant(vacant) => {
                    let number = dictionary.insert(keys, row as usize, *vacant.key(), nth)?;
                    vacant.insert(Seen { number, round: self.round, repeats: 0 }).number
                }
            };
            resolved.push((number, row));
        }
        self.last = dictionary.last();
        self.resolved = Resolved::new(resolved);
        Ok(())
    }

    /// Where more than `most` series are remembered, forgets all but those of the latest tick.
    fn forget_beyond(&mut self, most: usize) {
        if self.numbers.len() > most {
            self.numbers.retain(|_, seen| seen.round == self.round);
            self.numbers.shrink_to(most);
        }
    }
}

/// Takes what is a hash already as the hash. The low halves of a repeated key's marks are the same.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, mark: u128) {
        self.0 = (mark as u64).wrapping_add((mark >> 64) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_connectors_less_is_remembered() {
        assert_eq!(remembered(100, 0), 1_200);
        assert_eq!(remembered(100, 1_000), 1_200);
        assert_eq!(remembered(100, 5_000), 400);
        assert_eq!(remembered(100, 1_000_000), 300);
    }

    #[test]
    fn what_is_forgotten_takes_no_room() {
        let seen = |n: u32| (u128::from(n), Seen { number: i64::from(n), round: n / 100, repeats: 0 });
        let mut known = Known { numbers: (0..2_000).map(seen).collect(), round: 19, ..Known::default() };
        known.forget_beyond(2_000);
        assert_eq!(known.numbers.len(), 2_000);
        known.forget_beyond(300);
        assert!(known.numbers.len() == 100 && known.numbers.values().all(|seen| seen.number >= 1_900));
        assert!(known.numbers.capacity() < 600, "{}", known.numbers.capacity());
    }

    #[test]
    fn samples_are_written_in_the_order_of_their_series() {
        let resolved = Resolved::new(vec![(4, 0), (1, 1), (3, 2), (2, 3)]);
        assert_eq!(resolved.runs, [Run { first: 1, len: 4 }]);
        assert_eq!((0..4).map(|position| resolved.row(position)).collect::<Vec<_>>(), [1, 3, 2, 0]);
        let ordered = Resolved::new((0..1000).map(|n| (n + 5, n as u32)).collect());
        assert_eq!(ordered.runs, [Run { first: 5, len: 1000 }]);
        assert_eq!((ordered.rows.len(), ordered.row(7)), (0, 7));
    }
}
