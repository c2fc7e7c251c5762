-- Counts how often series were deleted: what a writer remembers of series is good for one epoch.
CREATE TABLE "$epoch" (
    series INTEGER NOT NULL
);
INSERT INTO "$epoch" VALUES (0);
