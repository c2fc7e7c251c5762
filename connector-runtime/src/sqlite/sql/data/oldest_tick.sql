-- The oldest bucket from ?1 on, of all connectors: one look into the ledger's index for each.
SELECT min((SELECT min(t.scheduled_for) FROM "$ticks" t WHERE t.connector = c.id AND t.scheduled_for >= ?1))
FROM "$connectors" c
