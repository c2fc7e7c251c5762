-- The ticks that have rows by the ledger, and no sample at all.
SELECT printf('tick %d has none, and the ledger says %d', t.id, t.rows)
FROM "$ticks" t
WHERE t.target = {table} AND t.rows > 0
  AND NOT EXISTS (SELECT 1 FROM {samples} x WHERE x."$id" BETWEEN t.id << 24 AND t.id << 24 | 16777215)
