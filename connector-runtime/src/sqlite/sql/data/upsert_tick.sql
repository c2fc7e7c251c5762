-- The greatest id is always the latest write: whoever has seen the ledger up to an id knows what is new to it.
INSERT INTO "$ticks"
    (connector, target, scheduled_for, started_at, finished_at, outcome, rows, attempts, error, runner, fence)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (connector, scheduled_for) DO UPDATE SET
    id = (SELECT max(id) + 1 FROM "$ticks"),
    target = excluded.target,
    started_at = excluded.started_at,
    finished_at = excluded.finished_at,
    outcome = excluded.outcome,
    rows = excluded.rows,
    attempts = excluded.attempts,
    error = excluded.error,
    runner = excluded.runner,
    fence = excluded.fence
WHERE outcome <> 'committed'
RETURNING id
