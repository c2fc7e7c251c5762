//! Reading a table, newest ticks first.
//!
//! The view serves users' SQL; this walks the ledger backwards instead, so that the newest rows cost what they are,
//! however long the table is. Conditions on keys are resolved to series first.

use std::collections::{BinaryHeap, HashMap};

use connector_core::{Column, ColumnType, Role, Schema};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Row, ToSql, params_from_iter};

use super::{
    bloom,
    filter::{Conditions, Filters, is_map},
    stream::Output,
    table::{LAST_NUMBER, NUMBER_BITS, ids_of, number_in, qualified, quote},
};
use crate::model::Millis;
use crate::store::Cell;

/// Up to so many connectors' ledgers are walked one by one; for more, the whole table's ledger is.
const FEW: usize = 32;

/// For more samples than that it pays to see first whether their tick may have a value.
const WORTH_A_LOOK: usize = 8;

/// A tick. The order is the order of reading: the newest is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick {
    scheduled_for: Millis,
    id: i64,
    connector: i64,
}

/// Puts the rows of a table that match into `output`, for as long as more of them are wanted.
pub(super) fn read_table(
    connection: &Connection,
    name: &str,
    schema: &Schema,
    filters: &Filters,
    output: &mut Output<'_>,
) -> rusqlite::Result<()> {
    let samples = Samples { connection, name, schema, values: &filters.values };
    let span = (filters.since, filters.until);
    if filters.keys.is_empty() {
        let mut tick_by_tick = samples.tick_by_tick()?;
        let mut ledger = connection.prepare_cached(include_str!("sql/data/walk_table.sql"))?;
        let mut ticks = ledger.query((name, span.0, span.1))?;
        while output.is_wanted() {
            let Some(row) = ticks.next()? else { break };
            tick_by_tick.read_all(tick(row)?, output)?;
        }
    } else {
        let series = matching_series(connection, name, schema, &filters.keys)?;
        if let (1, Some((connector, [number]))) =
            (series.len(), series.iter().next().map(|(connector, numbers)| (*connector, &numbers[..])))
        {
            samples.read_one(span, connector, *number, output)?;
        } else if series.len() <= FEW {
            let mut samples = samples.tick_by_tick()?;
            walk_few(connection, span, &series, |tick, numbers| samples.read(tick, numbers, output))?;
        } else {
            let mut samples = samples.tick_by_tick()?;
            let mut ledger = connection.prepare_cached(include_str!("sql/data/walk_table.sql"))?;
            let mut ticks = ledger.query((name, span.0, span.1))?;
            while output.is_wanted() {
                let Some(row) = ticks.next()? else { break };
                let tick = tick(row)?;
                if let Some(numbers) = series.get(&tick.connector) {
                    samples.read(tick, numbers, output)?;
                }
            }
        }
    }
    output.flush();
    Ok(())
}

/// Merges the ledgers of some connectors. `visit` says whether to go on.
fn walk_few(
    connection: &Connection,
    span: (Millis, Millis),
    series: &HashMap<i64, Vec<i64>>,
    mut visit: impl FnMut(Tick, &[i64]) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let sql = include_str!("sql/data/walk_connector.sql");
    let mut statements: Vec<CachedStatement<'_>> =
        series.keys().map(|_| connection.prepare_cached(sql)).collect::<Result<_, _>>()?;
    let mut ledgers = Vec::new();
    let mut newest = BinaryHeap::new();
    for (statement, connector) in statements.iter_mut().zip(series.keys()) {
        let mut ledger = statement.query((span.0, span.1, connector))?;
        if let Some(row) = ledger.next()? {
            newest.push((tick(row)?, ledgers.len()));
        }
        ledgers.push(ledger);
    }
    while let Some((next, ledger)) = newest.pop() {
        if let Some(row) = ledgers[ledger].next()? {
            newest.push((tick(row)?, ledger));
        }
        let numbers = series.get(&next.connector).map_or(&[][..], Vec::as_slice);
        if !visit(next, numbers)? {
            break;
        }
    }
    Ok(())
}

fn tick(row: &Row<'_>) -> rusqlite::Result<Tick> {
    Ok(Tick { id: row.get(0)?, connector: row.get(1)?, scheduled_for: row.get(2)? })
}

/// The numbers of the series whose keys are wanted, by connector, each in order.
fn matching_series(
    connection: &Connection,
    name: &str,
    schema: &Schema,
    keys: &Conditions,
) -> rusqlite::Result<HashMap<i64, Vec<i64>>> {
    let maps: String =
        keys.maps.iter().map(|(i, _)| format!(", {}", qualified(&schema.columns()[*i]))).collect();
    let sql = format!(
        "SELECT s.\"$connector\", s.\"$id\"{maps} FROM {} s WHERE true{} ORDER BY s.\"$id\"",
        quote(&format!("{name}$series")),
        keys.sql
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(&keys.parameters))?;
    let mut series: HashMap<i64, Vec<i64>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let mut same = true;
        for (i, (_, map)) in keys.maps.iter().enumerate() {
            same = same && is_map(row.get_ref(2 + i)?.as_str()?, map);
        }
        if same {
            series.entry(row.get(0)?).or_default().push(number_in(row.get(1)?));
        }
    }
    Ok(series)
}

/// The rows of a table, and which of them are wanted.
#[derive(Clone, Copy)]
struct Samples<'a> {
    connection: &'a Connection,
    name: &'a str,
    schema: &'a Schema,
    values: &'a Conditions,
}

impl<'a> Samples<'a> {
    /// A query whose rows begin with the sample's id, and go on with the columns, of keys only where `from` names the series
    /// as `s`. `CROSS JOIN` keeps the order in which it does so, with the ledger as `t` and the samples as `x`.
    fn prepare(&self, time: &str, from: &str, order: &str) -> rusqlite::Result<CachedStatement<'a>> {
        let has_keys = from.contains("{series}");
        let columns = self.schema.columns().iter().map(|column| match column.role() {
            Role::Time => format!(", {time}"),
            Role::Key if !has_keys => String::new(),
            _ => format!(", {}", qualified(column)),
        });
        let from = from
            .replace("{samples}", &quote(&format!("{}$samples", self.name)))
            .replace("{series}", &quote(&format!("{}$series", self.name)));
        let columns: String = columns.collect();
        let values = &self.values.sql;
        self.connection
            .prepare_cached(&format!("SELECT x.\"$id\"{columns} FROM {from}{values} ORDER BY {order}"))
    }

    fn tick_by_tick(self) -> rusqlite::Result<TickByTick<'a>> {
        let all = format!(
            "{{samples}} x CROSS JOIN {{series}} s ON s.\"$id\" = ?3 + (x.\"$id\" & {LAST_NUMBER}) \
             WHERE x.\"$id\" BETWEEN ?1 AND ?2"
        );
        let one = "{samples} x CROSS JOIN {series} s ON s.\"$id\" = ?2 WHERE x.\"$id\" = ?1";
        Ok(TickByTick {
            all: self.prepare("?4", &all, "x.\"$id\"")?,
            one: self.prepare("?3", one, "x.\"$id\"")?,
            count: self.connection.prepare_cached("SELECT rows FROM \"$ticks\" WHERE id = ?1")?,
            bloom: self.connection.prepare_cached("SELECT bits FROM \"$blooms\" WHERE tick = ?1")?,
            samples: self,
        })
    }

    /// The rows of a single series: along its connector's ledger, in one query.
    fn read_one(
        self,
        (since, until): (Millis, Millis),
        connector: i64,
        number: i64,
        output: &mut Output<'_>,
    ) -> rusqlite::Result<()> {
        let keys: Vec<&Column> = self.schema.with_role(Role::Key).map(|(_, column)| column).collect();
        let names: Vec<String> = keys.iter().map(|column| qualified(column)).collect();
        let series = quote(&format!("{}$series", self.name));
        let keys: Vec<Cell> = self
            .connection
            .prepare_cached(&format!("SELECT {} FROM {series} s WHERE s.\"$id\" = ?1", names.join(", ")))?
            .query_row([ids_of(connector).start() + number], |row| {
                keys.iter().enumerate().map(|(at, column)| cell(row, at, column)).collect()
            })?;
        let from = format!(
            "\"$ticks\" t CROSS JOIN {{samples}} x ON x.\"$id\" = (t.id << {NUMBER_BITS}) + ?1 \
             WHERE t.connector = ?2 AND t.scheduled_for BETWEEN ?3 AND ?4"
        );
        let mut statement = self.prepare("t.scheduled_for", &from, "t.scheduled_for DESC")?;
        let place = [number, connector, since, until];
        self.query(&mut statement, &place, &keys, |_| true, output).map(drop)
    }

    /// Sends the rows, all with these keys where the query has none. Returns whether to go on.
    fn query(
        self,
        statement: &mut CachedStatement<'_>,
        place: &[i64],
        keys: &[Cell],
        wanted: impl Fn(i64) -> bool,
        output: &mut Output<'_>,
    ) -> rusqlite::Result<bool> {
        if !output.is_wanted() {
            return Ok(false);
        }
        let place = place.iter().map(|id| id as &dyn ToSql);
        let values = self.values.parameters.iter().map(|value| value as &dyn ToSql);
        let mut rows = statement.query(params_from_iter(place.chain(values)))?;
        while let Some(row) = rows.next()? {
            if !wanted(number_in(row.get(0)?)) {
                continue;
            }
            let cells = self.cells(row, keys)?;
            let kept = self.values.maps.iter().all(|(column, map)| match &cells[*column] {
                Cell::Json(json) => is_map(json, map),
                _ => false,
            });
            if kept && !output.push(cells) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn cells(self, row: &Row<'_>, keys: &[Cell]) -> rusqlite::Result<Vec<Cell>> {
        let (mut at, mut keys) = (0, keys.iter());
        let mut next = |column: &Column| {
            if column.role() == Role::Key
                && let Some(key) = keys.next()
            {
                return Ok(key.clone());
            }
            at += 1;
            cell(row, at, column)
        };
        self.schema.columns().iter().map(&mut next).collect()
    }
}

fn cell(row: &Row<'_>, at: usize, column: &Column) -> rusqlite::Result<Cell> {
    Ok(match (column.kind(), row.get_ref(at)?) {
        (_, ValueRef::Null) => Cell::Null,
        (ColumnType::Timestamp, _) => Cell::Timestamp(row.get(at)?),
        (ColumnType::Real, _) => Cell::Real(row.get(at)?),
        (ColumnType::Dynamic, _) => Cell::Json(row.get(at)?),
        _ => Cell::Text(row.get(at)?),
    })
}

/// Reads the rows of one tick after the other.
struct TickByTick<'a> {
    samples: Samples<'a>,
    /// Of all series.
    all: CachedStatement<'a>,
    /// Of one.
    one: CachedStatement<'a>,
    /// How many a tick has.
    count: CachedStatement<'a>,
    /// Which values it has.
    bloom: CachedStatement<'a>,
}

impl TickByTick<'_> {
    /// All rows of a tick. Returns whether to go on.
    fn read_all(&mut self, tick: Tick, output: &mut Output<'_>) -> rusqlite::Result<bool> {
        self.read_many(tick, |_| true, output)
    }

    /// The rows of some series in a tick. Returns whether to go on.
    fn read(&mut self, tick: Tick, numbers: &[i64], output: &mut Output<'_>) -> rusqlite::Result<bool> {
        let many = match i64::try_from(numbers.len()) {
            Ok(len) if len > 64 => len > self.count.query_row([tick.id], |row| row.get::<_, i64>(0))? / 4,
            _ => false,
        };
        if many {
            return self.read_many(tick, |number| numbers.binary_search(&number).is_ok(), output);
        }
        if numbers.len() > WORTH_A_LOOK && !self.may_match(tick)? {
            return Ok(output.is_wanted());
        }
        let (sample, series) = (*ids_of(tick.id).start(), *ids_of(tick.connector).start());
        for number in numbers {
            let place = [sample + number, series + number, tick.scheduled_for];
            if !self.samples.query(&mut self.one, &place, &[], |_| true, output)? {
                return Ok(false);
            }
        }
        Ok(output.is_wanted())
    }

    fn read_many(
        &mut self,
        tick: Tick,
        wanted: impl Fn(i64) -> bool,
        output: &mut Output<'_>,
    ) -> rusqlite::Result<bool> {
        if !self.may_match(tick)? {
            return Ok(output.is_wanted());
        }
        let (ids, series) = (ids_of(tick.id), *ids_of(tick.connector).start());
        let place = [*ids.start(), *ids.end(), series, tick.scheduled_for];
        self.samples.query(&mut self.all, &place, &[], wanted, output)
    }

    /// Whether a tick may have all values that are wanted.
    fn may_match(&mut self, tick: Tick) -> rusqlite::Result<bool> {
        let hashes = &self.samples.values.hashes;
        if hashes.is_empty() {
            return Ok(true);
        }
        let mut found = self.bloom.query([tick.id])?;
        let Some(row) = found.next()? else { return Ok(true) };
        let filter = row.get_ref(0)?.as_blob()?;
        Ok(hashes.iter().all(|hash| bloom::may_have(filter, *hash)))
    }
}
