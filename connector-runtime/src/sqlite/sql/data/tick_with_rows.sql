-- One connector's first tick of a table that has rows, from the bucket ?3 on.
SELECT id, rows, scheduled_for
FROM "$ticks"
WHERE connector = ?1
  AND +target = ?2
  AND +rows > 0
  AND scheduled_for >= ?3
ORDER BY scheduled_for
LIMIT 1
