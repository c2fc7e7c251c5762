SELECT c.seq, c.generation, c.state, c.target_database, c.target_table,
       t.fence, t.owner, t.runner, t.scheduled_for, t.claimed_at, t.expires,
       EXISTS (SELECT 1 FROM triggers WHERE connector = c.seq)
FROM connectors c
JOIN tasks t ON t.connector = c.seq
WHERE c.id = ?1 AND NOT c.deleted
