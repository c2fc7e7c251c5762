//! From the keys of a tick's rows to the numbers of their series.
//!
//! Nearly every tick brings the keys of the last one in the same order, so a connector's last tick is remembered as one
//! fingerprint and the numbers as runs of consecutive ones: a few bytes for a thousand rows. When the fingerprint
//! differs, each row is looked up by its own hash, in memory and then in the file; where nothing is remembered, as after a
//! restart, all of the connector's series are read at once, unless they are many more than the rows. A key that comes again in the same
//! tick is a series of its own. Samples are written in the order of their numbers, in which they lie in the file, so that
//! each is appended.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use rusqlite::Connection;

use super::{
    dictionary::Dictionary,
    keys::{Keys, Prints},
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
    round: u64,
}

/// By a key's hash, and for which time it comes in a tick.
type Numbers = HashMap<(u128, u32), Seen, BuildHasherDefault<Hashed>>;

#[derive(Clone, Copy, Debug)]
struct Seen {
    number: i64,
    /// When it came last.
    round: u64,
    /// How often the key came again in that round, of the first series with a key.
    repeats: u32,
}

impl Series {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// The series of each row, created where they are new. The prints are the keys' own.
    pub(super) fn resolve(
        &mut self,
        connection: &Connection,
        table: &Table,
        connector: i64,
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
            let remembers = !known.numbers.is_empty();
            let mut dictionary = Dictionary::new(connection, table, connector, keys, remembers)?;
            if prints.rows.is_empty() {
                known.look_up(&mut dictionary, &keys.hashes())?;
            } else {
                known.look_up(&mut dictionary, &prints.rows)?;
            }
            known.fingerprint = Some(prints.whole);
            known.steady = 0;
        }
        Ok(&self.known.entry(place).insert_entry(known).into_mut().resolved)
    }
}

impl Known {
    fn look_up(&mut self, dictionary: &mut Dictionary<'_>, hashes: &[u128]) -> rusqlite::Result<()> {
        self.round += 1;
        if self.numbers.is_empty() && dictionary.is_short(hashes.len()) {
            let unseen = |number| Seen { number, round: 0, repeats: 0 };
            self.numbers
                .extend(dictionary.read_all()?.into_iter().map(|(key, number)| (key, unseen(number))));
        }
        let mut resolved = Vec::with_capacity(hashes.len());
        // A column of keys has at most 2^31 rows.
        for (row, hash) in (0_u32..).zip(hashes) {
            let number = match self.numbers.get_mut(&(*hash, 0)) {
                Some(first) if first.round == self.round => {
                    first.repeats += 1;
                    let nth = first.repeats;
                    self.number(dictionary, row, *hash, nth)?
                }
                Some(first) => {
                    (first.round, first.repeats) = (self.round, 0);
                    first.number
                }
                None => self.number(dictionary, row, *hash, 0)?,
            };
            resolved.push((number, row));
        }
        if self.numbers.len() > 2 * hashes.len() + 1_000 {
            self.numbers.retain(|_, slot| slot.round == self.round);
        }
        self.resolved = Resolved::new(resolved);
        Ok(())
    }

    fn number(
        &mut self,
        dictionary: &mut Dictionary<'_>,
        row: u32,
        hash: u128,
        nth: u32,
    ) -> rusqlite::Result<i64> {
        let slot = match self.numbers.entry((hash, nth)) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(vacant) => {
                let number = dictionary.number(row as usize, hash, nth)?;
                vacant.insert(Seen { number, round: 0, repeats: 0 })
            }
        };
        slot.round = self.round;
        Ok(slot.number)
    }
}

/// Takes what is a hash already as the hash.
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

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn write_u32(&mut self, nth: u32) {
        self.0 = self.0.wrapping_add(u64::from(nth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
