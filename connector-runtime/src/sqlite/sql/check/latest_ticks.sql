-- The latest tick of each connector that has none in flight.
SELECT c.id, c.name, t.last_tick
FROM connectors c
JOIN tasks t ON t.connector = c.seq
WHERE NOT c.deleted AND t.owner IS NULL
