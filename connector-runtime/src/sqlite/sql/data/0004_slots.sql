-- Splits the hash of a series' key: its first half, moved on by `$nth`, is the slot in which the series is found, and the
-- other half tells whether it is that one. An index of integers is smaller than one of whole hashes, and faster.
DROP INDEX IF EXISTS "{table}$series_by_key";
PRAGMA legacy_alter_table = ON;
ALTER TABLE "{table}$series" RENAME TO "{table}$series$3";
PRAGMA legacy_alter_table = OFF;
DELETE FROM sqlite_stat1 WHERE tbl IN ('{table}$series', '{table}$series$3');

CREATE TABLE "{table}$series" (
    "$id"        INTEGER PRIMARY KEY,
    "$connector" INTEGER NOT NULL,
    "$slot"      INTEGER NOT NULL,
    "$rest"      INTEGER NOT NULL,
    "$nth"       INTEGER NOT NULL{keys:type},
    UNIQUE ("$connector", "$slot")
);
INSERT INTO "{table}$series"
SELECT "$id", "$connector", slot_of("$hash", "$nth"), rest_of("$hash"), "$nth"{keys}
FROM "{table}$series$3"
ORDER BY "$id";
DROP TABLE "{table}$series$3";

CREATE INDEX "{table}$series_by_key" ON "{table}$series" ({first_key});
INSERT INTO sqlite_stat1 VALUES ('{table}$series', '{table}$series_by_key', '10000 10'); -- {first_key}
INSERT INTO sqlite_stat1 VALUES ('{table}$series', 'sqlite_autoindex_{table}$series_1', '10000 1000 1');
