-- What operators asked for. A deleted connector stays as a tombstone, so that runners learn of it; its name is free.
CREATE TABLE connectors (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    name            TEXT    NOT NULL,
    type            TEXT    NOT NULL,
    target_database TEXT    NOT NULL,
    target_table    TEXT    NOT NULL,
    schedule_ms     INTEGER NOT NULL,
    config          TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    disabled_reason TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    deleted         INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX connectors_by_name ON connectors (name) WHERE NOT deleted;
CREATE INDEX connectors_by_revision ON connectors (revision);

-- What changes with each tick: the lease, and how the latest tick ended. `expires` is in milliseconds of the machine's
-- uptime, all other times in milliseconds since the Unix epoch. The lease is free while `owner` is null.
CREATE TABLE tasks (
    connector     INTEGER PRIMARY KEY REFERENCES connectors (seq),
    fence         INTEGER NOT NULL DEFAULT 0,
    owner         BLOB,
    runner        TEXT,
    scheduled_for INTEGER,
    claimed_at    INTEGER,
    expires       INTEGER,
    last_error    TEXT,
    last_tick     TEXT
);

-- Buckets that an operator asked for and that have not ended.
CREATE TABLE triggers (
    connector     INTEGER NOT NULL REFERENCES connectors (seq),
    scheduled_for INTEGER NOT NULL,
    PRIMARY KEY (connector, scheduled_for)
) WITHOUT ROWID;

-- Every database that a connector ever had as its target: its ticks are recorded there.
CREATE TABLE targets (
    connector INTEGER NOT NULL REFERENCES connectors (seq),
    database  TEXT    NOT NULL,
    PRIMARY KEY (connector, database)
) WITHOUT ROWID;

-- One row: the revision of the latest change, and a counter that readiness checks write.
CREATE TABLE meta (
    revision INTEGER NOT NULL,
    probes   INTEGER NOT NULL
);
INSERT INTO meta VALUES (0, 0);
