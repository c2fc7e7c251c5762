-- Another end of a bucket that has not committed. The greatest id is always the latest write: whoever has seen the ledger
-- up to an id knows what is new to it.
UPDATE "$ticks" SET
    id = (SELECT max(id) + 1 FROM "$ticks"),
    target = ?2,
    started_at = ?4,
    finished_at = ?5,
    outcome = ?6,
    rows = ?7,
    attempts = ?8,
    error = ?9,
    runner = ?10,
    fence = ?11
WHERE connector = ?1 AND scheduled_for = ?3 AND outcome <> 'committed'
RETURNING id
