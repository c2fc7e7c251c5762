-- One connector's ticks of a table that have rows, newest first. The `+` keep to the index that begins with `connector`.
SELECT id, connector, scheduled_for, rows
FROM "$ticks"
WHERE connector = ?4
  AND scheduled_for BETWEEN ?2 AND ?3
  AND +target = (SELECT id FROM "$tables" WHERE name = ?1)
  AND +rows > 0
ORDER BY scheduled_for DESC
