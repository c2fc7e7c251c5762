CREATE TABLE IF NOT EXISTS "$migrations" (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL);
INSERT INTO "$migrations" VALUES(1,-4961494618426744147);
INSERT INTO "$migrations" VALUES(2,-5408155679985773828);
CREATE TABLE IF NOT EXISTS "$connectors" (
    id   INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE
);
INSERT INTO "$connectors" VALUES(1,'f9e94fdf-a903-46b9-a499-a5c8bfbca35f');
INSERT INTO "$connectors" VALUES(2,'92a3c5be-4eee-498a-9a1a-7fc546394b1d');
CREATE TABLE IF NOT EXISTS "$tables" (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE COLLATE NOCASE,
    schema TEXT NOT NULL
);
INSERT INTO "$tables" VALUES(1,'readings','[{"name":"timestamp","type":"timestamp","role":"time"},{"name":"name","type":"string","role":"key"},{"name":"value","type":"real","role":"value"},{"name":"labels","type":"dynamic","role":"key"}]');
CREATE TABLE IF NOT EXISTS "$ticks" (
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
INSERT INTO "$ticks" VALUES(1,1,1,1777716000000,1777716000040,1777716000090,'committed',2,1,NULL,'runner',1);
INSERT INTO "$ticks" VALUES(2,2,1,1777716000000,1777716000040,1777716000090,'committed',2,1,NULL,'runner',1);
INSERT INTO "$ticks" VALUES(3,1,1,1777716015000,1777716015040,1777716015090,'committed',4,1,NULL,'runner',2);
INSERT INTO "$ticks" VALUES(4,2,1,1777716015000,1777716015040,1777716015090,'transient',0,1,'it did not answer','runner',2);
INSERT INTO "$ticks" VALUES(5,1,1,1777716030000,1777716030040,1777716030090,'committed',3,1,NULL,'runner',3);
CREATE TABLE IF NOT EXISTS "$epoch" (
    series INTEGER NOT NULL
);
INSERT INTO "$epoch" VALUES(0);
CREATE TABLE IF NOT EXISTS "readings$series" ("$id" INTEGER PRIMARY KEY, "$connector" INTEGER NOT NULL, "$hash" BLOB NOT NULL, "name" TEXT, "labels" TEXT, UNIQUE ("$connector", "$hash"));
INSERT INTO "readings$series" VALUES(1,1,X'706c55ce223931df699e102c9a2c5bfc','a','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(2,1,X'92c988dd3d80fc1fed6849f8760cc50f','b','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(3,2,X'706c55ce223931df699e102c9a2c5bfc','a','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(4,2,X'24cec9a55042437467c16943a1568334','é"\','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(5,1,X'f4649ca96e2cca74eae7aa27e8f6e48c','c','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(6,1,X'c469969a60b8780b9c8733998e7e4bae','d','{"room":"hall"}');
CREATE TABLE IF NOT EXISTS "readings$samples" ("$tick" INTEGER NOT NULL, "$series" INTEGER NOT NULL, "$nth" INTEGER NOT NULL, "value" REAL, PRIMARY KEY ("$tick", "$series", "$nth")) WITHOUT ROWID;
INSERT INTO "readings$samples" VALUES(1,1,0,1.5);
INSERT INTO "readings$samples" VALUES(1,2,0,1.5);
INSERT INTO "readings$samples" VALUES(2,3,0,1.5);
INSERT INTO "readings$samples" VALUES(2,4,0,1.5);
INSERT INTO "readings$samples" VALUES(3,2,0,1.5);
INSERT INTO "readings$samples" VALUES(3,2,1,1.5);
INSERT INTO "readings$samples" VALUES(3,2,2,1.5);
INSERT INTO "readings$samples" VALUES(3,5,0,1.5);
INSERT INTO "readings$samples" VALUES(5,1,0,1.5);
INSERT INTO "readings$samples" VALUES(5,2,0,1.5);
INSERT INTO "readings$samples" VALUES(5,6,0,1.5);
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 VALUES('$ticks','sqlite_autoindex_$ticks_1','100000 10000 1');
INSERT INTO sqlite_stat1 VALUES('readings$series','sqlite_autoindex_readings$series_1','10000 1000 1');
INSERT INTO sqlite_stat1 VALUES('readings$samples','readings$samples','100000000 100 1 1');
INSERT INTO sqlite_stat1 VALUES('readings$series','readings$series_by_key','10000 50');
ANALYZE sqlite_schema;
CREATE INDEX "$ticks_with_rows" ON "$ticks" (target, scheduled_for) WHERE rows > 0;
CREATE VIEW "readings" AS SELECT t.scheduled_for AS "timestamp", s."name" AS "name", x."value" AS "value", s."labels" AS "labels" FROM "readings$series" s JOIN "$ticks" t ON t.connector = s."$connector" JOIN "readings$samples" x ON x."$tick" = t.id AND x."$series" = s."$id";
CREATE INDEX "readings$series_by_key" ON "readings$series" ("name");
