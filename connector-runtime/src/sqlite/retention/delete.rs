//! What the writer does, a small transaction each time.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::find::{Samples, Unused, newer_ticks, tables};
use crate::model::Millis;
use crate::sqlite::{
    data::DataFile,
    fault::At,
    table::{ids_of, quote},
};
use crate::store::StoreError;

/// The pages that are given back in one transaction.
const PAGES: i64 = 250;

/// Space is given back when more than this part of a file is free; new ticks use the rest.
const FREE_PART: i64 = 10;

/// What one transaction has deleted.
#[derive(Default)]
pub(super) struct Gone {
    pub(super) ticks: u64,
    pub(super) rows: u64,
    /// The tables and connectors that rows went of, each with the bucket of the tick.
    pub(super) touched: Vec<((i64, i64), Millis)>,
}

impl DataFile {
    pub(super) fn delete_ticks(&mut self, ticks: &[i64], before: Millis) -> Result<Gone, StoreError> {
        self.within(|file| delete_ticks(file.connection(), ticks, before).at(file.path()))
    }

    pub(super) fn delete_series(&mut self, unused: &[Unused]) -> Result<u64, StoreError> {
        self.within(|file| {
            let mut deleted = 0;
            for unused in unused {
                deleted += delete_series(file.connection(), unused).at(file.path())?;
            }
            file.begin_epoch(unused.iter().map(|unused| unused.place))?;
            Ok(deleted)
        })
    }

    /// Gives some pages back where too many are free. Returns their bytes.
    pub(super) fn give_back(&mut self) -> Result<u64, StoreError> {
        let number = |name| self.connection().pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let count = || Ok::<_, rusqlite::Error>((number("page_count")?, number("freelist_count")?));
        let (pages, free) = count().at(self.path())?;
        let excess = (free - pages / FREE_PART).min(PAGES);
        if excess <= 0 {
            return Ok(0);
        }
        vacuum(self.connection(), excess).at(self.path())?;
        let fewer = pages - count().at(self.path())?.0;
        let size = number("page_size").at(self.path())?;
        Ok(u64::try_from(fewer * size).unwrap_or(0))
    }
}

/// Gives pages back: one with each step of the statement.
fn vacuum(connection: &Connection, pages: i64) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

fn delete_ticks(connection: &Connection, ticks: &[i64], before: Millis) -> rusqlite::Result<Gone> {
    let tables = tables(connection)?;
    let mut gone = Gone::default();
    let mut find = connection.prepare_cached(include_str!("../sql/data/find_expired.sql"))?;
    for id in ticks {
        let found = find.query_row((id, before), |row| {
            Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?, row.get::<_, bool>(3)?))
        });
        let Some((connector, target, bucket, is_superseded)) = found.optional()? else { continue };
        if let Some((target, name)) = target.and_then(|target| Some((target, tables.get(&target)?))) {
            let samples = quote(&format!("{name}$samples"));
            let ids = ids_of(*id);
            let span = [ids.start(), ids.end()];
            let delete = format!("DELETE FROM {samples} WHERE \"$id\" BETWEEN ?1 AND ?2");
            let rows = connection.prepare_cached(&delete)?.execute(span)? as u64;
            if rows > 0 {
                gone.rows += rows;
                gone.touched.push(((target, connector), bucket));
                connection.prepare_cached("DELETE FROM \"$blooms\" WHERE tick = ?1")?.execute([id])?;
            }
        }
        if is_superseded {
            connection.prepare_cached("DELETE FROM \"$ticks\" WHERE id = ?1")?.execute([id])?;
            gone.ticks += 1;
        } else {
            connection.prepare_cached("UPDATE \"$ticks\" SET target = NULL WHERE id = ?1")?.execute([id])?;
        }
    }
    Ok(gone)
}

fn delete_series(connection: &Connection, unused: &Unused) -> rusqlite::Result<u64> {
    let (table, connector) = unused.place;
    let mut numbers: HashSet<i64> = unused.numbers.iter().copied().collect();
    let mut samples = Samples::new(connection, &unused.table)?;
    for tick in newer_ticks(connection, unused.seen, connector, table)? {
        samples.remove_used(&tick, &mut numbers)?;
    }
    let series = quote(&format!("{}$series", unused.table));
    let mut delete = connection.prepare_cached(&format!("DELETE FROM {series} WHERE \"$id\" = ?1"))?;
    let mut deleted = 0;
    for number in numbers {
        deleted += delete.execute([ids_of(connector).start() + number])? as u64;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_back_by_the_hundred() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = DataFile::open(folder.path().join("plant.db")).unwrap();
        let fill = "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
            SELECT zeroblob(4000) FROM n";
        file.connection().execute_batch(fill).unwrap();
        file.connection().execute_batch("DROP TABLE filler").unwrap();
        let given_back: Vec<u64> =
            std::iter::from_fn(|| Some(file.give_back().unwrap()).filter(|bytes| *bytes > 0)).collect();
        // A page of the map of pages may go with them.
        let some = u64::try_from(PAGES).unwrap() * 4096;
        assert!(
            given_back.len() < 10 && given_back[..3].iter().all(|bytes| *bytes >= some),
            "{given_back:?}"
        );
    }
}
