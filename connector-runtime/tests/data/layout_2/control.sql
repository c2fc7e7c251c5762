CREATE TABLE IF NOT EXISTS "$migrations" (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL);
INSERT INTO "$migrations" VALUES(1,198026905950026267);
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
INSERT INTO connectors VALUES(1,'f9e94fdf-a903-46b9-a499-a5c8bfbca35f','hall','thermometer','plant','readings',15000,'null','active',NULL,1795705548031,1795705548031,0,1,0);
INSERT INTO connectors VALUES(2,'92a3c5be-4eee-498a-9a1a-7fc546394b1d','yard','thermometer','plant','readings',15000,'null','active',NULL,1795705548036,1795705548036,0,2,0);
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
INSERT INTO tasks VALUES(1,3,NULL,'runner',1777716030000,1795705548041,3791411,NULL,'{"scheduled_for":"2026-05-02T10:00:30Z","started_at":"2026-05-02T10:00:30.040Z","finished_at":"2026-05-02T10:00:30.090Z","outcome":"committed","rows":3,"attempts":1,"error":null,"runner":"runner"}');
INSERT INTO tasks VALUES(2,2,NULL,'runner',1777716015000,1795705548041,3791410,'it did not answer','{"scheduled_for":"2026-05-02T10:00:15Z","started_at":"2026-05-02T10:00:15.040Z","finished_at":"2026-05-02T10:00:15.090Z","outcome":"transient","rows":0,"attempts":1,"error":"it did not answer","runner":"runner"}');
CREATE TABLE triggers (
    connector     INTEGER NOT NULL REFERENCES connectors (seq),
    scheduled_for INTEGER NOT NULL,
    PRIMARY KEY (connector, scheduled_for)
) WITHOUT ROWID;
CREATE TABLE targets (
    connector INTEGER NOT NULL REFERENCES connectors (seq),
    database  TEXT    NOT NULL,
    PRIMARY KEY (connector, database)
) WITHOUT ROWID;
INSERT INTO targets VALUES(1,'plant');
INSERT INTO targets VALUES(2,'plant');
CREATE TABLE meta (
    revision INTEGER NOT NULL,
    probes   INTEGER NOT NULL
);
INSERT INTO meta VALUES(2,0);
CREATE UNIQUE INDEX connectors_by_name ON connectors (name) WHERE NOT deleted;
CREATE INDEX connectors_by_revision ON connectors (revision);
