SELECT scheduled_for, started_at, finished_at, outcome, rows, attempts, error, runner
FROM "$ticks"
WHERE connector = (SELECT id FROM "$connectors" WHERE uuid = ?1)
ORDER BY scheduled_for DESC
LIMIT ?2
