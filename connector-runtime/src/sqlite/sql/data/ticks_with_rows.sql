-- One connector's ticks of a table that have rows, newest first.
SELECT id, rows, scheduled_for
FROM "$ticks"
WHERE connector = ?1
  AND +target = ?2
  AND +rows > 0
ORDER BY scheduled_for DESC
