-- Numbers the series of each connector. A sample's key was its tick, its series, and for which time that came in the
-- tick: now it is one integer, and a key that comes again is a series of its own.
-- Users' own views of the table are left as they are.
PRAGMA legacy_alter_table = ON;
DROP VIEW "{table}";
DROP INDEX IF EXISTS "{table}$series_by_key";
ALTER TABLE "{table}$series" RENAME TO "{table}$series$2";
ALTER TABLE "{table}$samples" RENAME TO "{table}$samples$2";
PRAGMA legacy_alter_table = OFF;
DELETE FROM sqlite_stat1 WHERE tbl IN ('{table}$series', '{table}$samples', '{table}$series$2', '{table}$samples$2');

CREATE TABLE "{table}$series" (
    "$id"        INTEGER PRIMARY KEY,
    "$connector" INTEGER NOT NULL,
    "$hash"      BLOB    NOT NULL,
    "$nth"       INTEGER NOT NULL{keys:type},
    UNIQUE ("$connector", "$hash", "$nth")
);
CREATE TABLE "{table}$samples" ("$id" INTEGER PRIMARY KEY{values:type});

CREATE TEMP TABLE "$numbers" (
    series INTEGER,
    nth    INTEGER,
    number INTEGER NOT NULL CONSTRAINT "a connector has too many series" CHECK (number < 1 << 24),
    PRIMARY KEY (series, nth)
) WITHOUT ROWID;
INSERT INTO "$numbers"
SELECT s."$id", n.nth, row_number() OVER (PARTITION BY s."$connector" ORDER BY n.nth, s."$id")
FROM "{table}$series$2" s
JOIN (
    SELECT "$id" AS series, 0 AS nth FROM "{table}$series$2"
    UNION SELECT "$series", "$nth" FROM "{table}$samples$2" WHERE "$nth" > 0
) n ON n.series = s."$id";

INSERT INTO "{table}$series"
SELECT (s."$connector" << 24) + n.number, s."$connector", s."$hash", n.nth{keys}
FROM "{table}$series$2" s
JOIN "$numbers" n ON n.series = s."$id";
-- In the order in which they lie.
INSERT INTO "{table}$samples"
SELECT (x."$tick" << 24) + n.number{values}
FROM "{table}$samples$2" x
CROSS JOIN "$numbers" n ON n.series = x."$series" AND n.nth = x."$nth";

CREATE TEMP TABLE "$lost" (samples INTEGER CONSTRAINT "each sample has its series" CHECK (samples = 0));
INSERT INTO "$lost"
SELECT (SELECT count(*) FROM "{table}$samples$2") - (SELECT count(*) FROM "{table}$samples");
DROP TABLE "$lost";
DROP TABLE "$numbers";
DROP TABLE "{table}$series$2";
DROP TABLE "{table}$samples$2";

CREATE VIEW "{table}" AS
SELECT {columns}
FROM "{table}$series" s
JOIN "$ticks" t ON t.connector = s."$connector"
JOIN "{table}$samples" x ON x."$id" = (t.id << 24) + (s."$id" & 16777215)
    AND likelihood(x."$id" >= t.id << 24, 0.0002)
    AND likelihood(x."$id" < (t.id + 1) << 24, 0.0002)
    AND s."$id" = (t.connector << 24) + (x."$id" & 16777215);
CREATE INDEX "{table}$series_by_key" ON "{table}$series" ({first_key});
INSERT INTO sqlite_stat1 VALUES ('{table}$series', '{table}$series_by_key', '10000 10'); -- {first_key}
INSERT INTO sqlite_stat1 VALUES
    ('{table}$series', 'sqlite_autoindex_{table}$series_1', '10000 1000 1 1'),
    ('{table}$samples', NULL, '100000000');
