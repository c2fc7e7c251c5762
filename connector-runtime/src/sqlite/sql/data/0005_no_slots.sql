-- Finds series in memory alone, by both halves of what they are recognised by: an index of them lay scattered over as many
-- pages as a tick had new series.
DROP INDEX IF EXISTS "{table}$series_by_key";
PRAGMA legacy_alter_table = ON;
ALTER TABLE "{table}$series" RENAME TO "{table}$series$4";
PRAGMA legacy_alter_table = OFF;
DELETE FROM sqlite_stat1 WHERE tbl IN ('{table}$series', '{table}$series$4');

CREATE TABLE "{table}$series" (
    "$id"        INTEGER PRIMARY KEY,
    "$connector" INTEGER NOT NULL,
    "$high"      INTEGER NOT NULL,
    "$low"       INTEGER NOT NULL,
    "$nth"       INTEGER NOT NULL{keys:type}
);
INSERT INTO "{table}$series"
SELECT "$id", "$connector", "$slot", "$rest", "$nth"{keys}
FROM "{table}$series$4"
ORDER BY "$id";
DROP TABLE "{table}$series$4";

CREATE INDEX "{table}$series_by_key" ON "{table}$series" ({first_key});
INSERT INTO sqlite_stat1 VALUES ('{table}$series', NULL, '10000');
INSERT INTO sqlite_stat1 VALUES ('{table}$series', '{table}$series_by_key', '10000 10'); -- {first_key}
