-- What each connector has in each table, by the ledger.
SELECT t.target, t.connector, c.uuid, count(*), sum(t.rows), min(t.scheduled_for), max(t.scheduled_for)
FROM "$ticks" t
JOIN "$connectors" c ON c.id = t.connector
WHERE t.target IS NOT NULL AND t.rows > 0
GROUP BY t.target, t.connector
ORDER BY sum(t.rows) DESC, t.connector
