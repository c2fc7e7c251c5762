-- One connector's ticks of a table that have rows and were written after the one with the id ?1.
SELECT id, rows, scheduled_for
FROM "$ticks"
WHERE id > ?1
  AND +connector = ?2
  AND +target = ?3
  AND +rows > 0
