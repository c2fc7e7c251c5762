CREATE TABLE "$connectors" (
    id   INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE
);
INSERT INTO "$connectors" VALUES(1,'f9e94fdf-a903-46b9-a499-a5c8bfbca35f');
INSERT INTO "$connectors" VALUES(2,'92a3c5be-4eee-498a-9a1a-7fc546394b1d');
CREATE TABLE "$epoch" (
    series INTEGER NOT NULL
);
INSERT INTO "$epoch" VALUES(0);
CREATE TABLE "$migrations" (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL);
INSERT INTO "$migrations" VALUES(1,-4961494618426744147);
INSERT INTO "$migrations" VALUES(2,-5408155679985773828);
INSERT INTO "$migrations" VALUES(3,8735839044044816760);
INSERT INTO "$migrations" VALUES(4,5398486605869112216);
CREATE TABLE "$tables" (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE COLLATE NOCASE,
    schema TEXT NOT NULL
);
INSERT INTO "$tables" VALUES(1,'readings','[{"name":"timestamp","type":"timestamp","role":"time"},{"name":"name","type":"string","role":"key"},{"name":"value","type":"real","role":"value"},{"name":"labels","type":"dynamic","role":"key"}]');
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
INSERT INTO "$ticks" VALUES(1,1,1,1777716000000,1777716000040,1777716000090,'committed',2,1,NULL,'runner',1);
INSERT INTO "$ticks" VALUES(2,2,1,1777716000000,1777716000040,1777716000090,'committed',2,1,NULL,'runner',1);
INSERT INTO "$ticks" VALUES(3,1,1,1777716015000,1777716015040,1777716015090,'committed',4,1,NULL,'runner',2);
INSERT INTO "$ticks" VALUES(4,2,1,1777716015000,1777716015040,1777716015090,'transient',0,1,'it did not answer','runner',2);
INSERT INTO "$ticks" VALUES(5,1,1,1777716030000,1777716030040,1777716030090,'committed',3,1,NULL,'runner',3);
CREATE TABLE "readings$samples" ("$id" INTEGER PRIMARY KEY, "value" REAL);
INSERT INTO "readings$samples" VALUES(16777217,1.5);
INSERT INTO "readings$samples" VALUES(16777218,1.5);
INSERT INTO "readings$samples" VALUES(33554433,1.5);
INSERT INTO "readings$samples" VALUES(33554434,1.5);
INSERT INTO "readings$samples" VALUES(50331650,1.5);
INSERT INTO "readings$samples" VALUES(50331651,1.5);
INSERT INTO "readings$samples" VALUES(50331652,1.5);
INSERT INTO "readings$samples" VALUES(50331653,1.5);
INSERT INTO "readings$samples" VALUES(83886081,1.5);
INSERT INTO "readings$samples" VALUES(83886082,1.5);
INSERT INTO "readings$samples" VALUES(83886086,1.5);
CREATE TABLE "readings$series" ("$id" INTEGER PRIMARY KEY, "$connector" INTEGER NOT NULL, "$slot" INTEGER NOT NULL, "$rest" INTEGER NOT NULL, "$nth" INTEGER NOT NULL, "name" TEXT, "labels" TEXT, UNIQUE ("$connector", "$slot"));
INSERT INTO "readings$series" VALUES(16777217,1,8100944173558477279,7610538204053920764,0,'a','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(16777218,1,-7869608390052217825,-1339739557661457137,0,'b','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(16777219,1,-836371379272234380,-1520059260825312116,0,'c','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(16777220,1,-7869608390052217824,-1339739557661457137,1,'b','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(16777221,1,-7869608390052217823,-1339739557661457137,2,'b','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(16777222,1,-4293735179929225205,-7167703547323200594,0,'d','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(33554433,2,8100944173558477279,7610538204053920764,0,'a','{"room":"hall"}');
INSERT INTO "readings$series" VALUES(33554434,2,2652278942421107572,7476372595602260788,0,'é"\','{"room":"hall"}');
ANALYZE "sqlite_master";
INSERT INTO "sqlite_stat1" VALUES('$ticks','sqlite_autoindex_$ticks_1','100000 10000 1');
INSERT INTO "sqlite_stat1" VALUES('readings$samples',NULL,'100000000');
INSERT INTO "sqlite_stat1" VALUES('readings$series','sqlite_autoindex_readings$series_1','10000 1000 1');
INSERT INTO "sqlite_stat1" VALUES('readings$series','readings$series_by_key','10000 10');
CREATE INDEX "$ticks_with_rows" ON "$ticks" (target, scheduled_for) WHERE rows > 0;
CREATE VIEW "readings" AS SELECT t.scheduled_for AS "timestamp", s."name" AS "name", x."value" AS "value", s."labels" AS "labels" FROM "readings$series" s JOIN "$ticks" t ON t.connector = s."$connector" JOIN "readings$samples" x ON x."$id" = (t.id << 24) + (s."$id" & 16777215) AND likelihood(x."$id" >= t.id << 24, 0.0002) AND likelihood(x."$id" < (t.id + 1) << 24, 0.0002) AND s."$id" = (t.connector << 24) + (x."$id" & 16777215);
CREATE INDEX "readings$series_by_key" ON "readings$series" ("name");
