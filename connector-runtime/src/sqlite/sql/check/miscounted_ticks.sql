-- The ticks whose samples are not those that the ledger tells of.
SELECT printf('tick %d has %d, and the ledger says %s', n.tick, n.samples, CASE
           WHEN t.id IS NULL THEN 'there is no such tick'
           WHEN t.target IS NOT {table} THEN 'it has none in this table'
           ELSE printf('%d, %s', t.rows, t.outcome)
       END)
FROM (SELECT "$id" >> 24 AS tick, count(*) AS samples FROM {samples} GROUP BY 1) n
LEFT JOIN "$ticks" t ON t.id = n.tick
WHERE t.id IS NULL OR t.target IS NOT {table} OR t.outcome <> 'committed' OR t.rows <> n.samples
