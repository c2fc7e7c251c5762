-- What is to go of the ticks of some time, in the order in which they lie in the file: all of a tick, and of a
-- connector's newest one its samples.
SELECT t.id, t.rows
FROM "$connectors" c
CROSS JOIN "$ticks" t ON t.connector = c.id AND t.scheduled_for >= ?1 AND t.scheduled_for < ?2
WHERE t.target IS NOT NULL
   OR EXISTS (SELECT 1 FROM "$ticks" n WHERE n.connector = c.id AND n.scheduled_for > t.scheduled_for)
ORDER BY t.id
LIMIT ?3
