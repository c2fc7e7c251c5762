//! What the store is compared to: the naive design above it, and bare SQLite below it.

use std::path::Path;

use rusqlite::{Connection, params};

/// A writer's connection as the store sets its own.
fn open(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("a database in a new folder");
    connection
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000;",
        )
        .expect("settings that every SQLite knows");
    connection.set_prepared_statement_cache_capacity(64);
    connection
}

/// A flat table with an index on (name, timestamp): one prepared insert a row, one transaction a tick.
pub(crate) struct Naive(Connection);

impl Naive {
    pub(crate) fn open(file: &Path) -> Self {
        let connection = open(file);
        connection
            .execute_batch(
                "CREATE TABLE metrics (timestamp INTEGER NOT NULL, name TEXT NOT NULL, value REAL, labels TEXT NOT NULL);
                 CREATE INDEX metrics_by_name ON metrics (name, timestamp);",
            )
            .expect("a new table");
        Self(connection)
    }

    /// Writes one tick. Its labels are JSON already, which the store has to write by itself.
    pub(crate) fn tick(&mut self, timestamp: i64, rows: &[(String, Option<f64>, String)]) {
        let transaction = self.0.transaction().expect("a transaction of the only writer");
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO metrics VALUES (?1, ?2, ?3, ?4)")
                .expect("an insert into the table above");
            for (name, value, labels) in rows {
                insert.execute(params![timestamp, name, value, labels]).expect("a row");
            }
        }
        transaction.commit().expect("a commit");
    }
}

/// The store's own layout with nothing but SQL in it: the series are known, and nobody asks for a lease.
pub(crate) struct Bare {
    connection: Connection,
    /// So many rows each, whose ids follow.
    inserts: Vec<(usize, String)>,
}

/// Rows in one insert.
const MANY: [usize; 4] = [64, 16, 4, 1];

impl Bare {
    pub(crate) fn open(file: &Path) -> Self {
        let connection = open(file);
        connection
            .execute_batch(
                "CREATE TABLE ticks (id INTEGER PRIMARY KEY, connector INTEGER NOT NULL, scheduled_for INTEGER NOT NULL,
                   UNIQUE (connector, scheduled_for));
                 CREATE TABLE samples (id INTEGER PRIMARY KEY, value REAL);",
            )
            .expect("new tables");
        let insert =
            |rows: usize| format!("INSERT INTO samples (value) VALUES {}", vec!["(?)"; rows].join(","));
        Self { connection, inserts: MANY.map(|rows| (rows, insert(rows))).to_vec() }
    }

    /// Writes the ticks of a group in one transaction: of each a connector, its time, and its values.
    pub(crate) fn group(&mut self, ticks: &[(i64, i64, &[f64])]) {
        let transaction = self.connection.transaction().expect("a transaction of the only writer");
        for (connector, scheduled_for, values) in ticks {
            transaction
                .prepare_cached("INSERT INTO ticks (connector, scheduled_for) VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute([connector, scheduled_for]))
                .expect("a tick");
            let first = (transaction.last_insert_rowid() << 24) + 1;
            let Some((value, mut values)) = values.split_first() else { continue };
            transaction
                .prepare_cached("INSERT INTO samples VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute((first, value)))
                .expect("the first sample");
            for (rows, sql) in &self.inserts {
                let mut insert = transaction.prepare_cached(sql).expect("an insert into the table above");
                while let Some((chunk, rest)) = values.split_at_checked(*rows) {
                    for (at, value) in (1..).zip(chunk) {
                        insert.raw_bind_parameter(at, value).expect("a parameter a row");
                    }
                    insert.raw_execute().expect("rows");
                    values = rest;
                }
            }
        }
        transaction.commit().expect("a commit");
    }
}
