-- One connector's ticks, newest first, from the index alone. What went to another table, or has no rows, has no samples in this one.
SELECT id, connector, scheduled_for
FROM "$ticks"
WHERE connector = ?3
  AND scheduled_for BETWEEN ?1 AND ?2
ORDER BY scheduled_for DESC
