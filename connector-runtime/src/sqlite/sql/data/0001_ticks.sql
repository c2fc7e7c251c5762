-- The names with a `$` are the store's own: no table of a user can have one.

CREATE TABLE "$connectors" (
    id   INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE
);

CREATE TABLE "$tables" (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE COLLATE NOCASE,
    schema TEXT NOT NULL
);

-- The ledger. A row with the outcome `committed` is what makes a tick's rows count, once and for good; it is written
-- in one transaction with them. `fence` is the lease's.
CREATE TABLE "$ticks" (
    id            INTEGER PRIMARY KEY,
    connector     INTEGER NOT NULL REFERENCES "$connectors" (id),
    target        INTEGER REFERENCES "$tables" (id),
    scheduled_for INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER NOT NULL,
    outcome       TEXT    NOT NULL,
    rows          INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    error         TEXT,
    runner        TEXT    NOT NULL,
    fence         INTEGER NOT NULL,
    UNIQUE (connector, scheduled_for)
);
CREATE INDEX "$ticks_with_rows" ON "$ticks" (target, scheduled_for) WHERE rows > 0;
