-- The ticks of a table that have rows, oldest first, along the index of such ticks.
SELECT id, connector, scheduled_for
FROM "$ticks"
WHERE target = ?1
  AND rows > 0
  AND scheduled_for BETWEEN ?2 AND ?3
ORDER BY scheduled_for, id
