-- A tick that may go, with its bucket, and whether the ledger can do without it. It cannot where the tick is its connector's newest, or
-- the latest write of all, whose id must not be given again.
SELECT t.connector, t.target, t.scheduled_for,
       EXISTS (SELECT 1 FROM "$ticks" n WHERE n.connector = t.connector AND n.scheduled_for > t.scheduled_for)
           AND t.id < (SELECT max(id) FROM "$ticks")
FROM "$ticks" t
WHERE t.id = ?1 AND t.scheduled_for < ?2
