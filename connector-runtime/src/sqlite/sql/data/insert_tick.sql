-- A bucket's first end. Where it has one already, nothing happens: see replace_tick.sql.
INSERT OR IGNORE INTO "$ticks"
    (connector, target, scheduled_for, started_at, finished_at, outcome, rows, attempts, error, runner, fence)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
