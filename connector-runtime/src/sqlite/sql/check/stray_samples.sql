-- The samples whose series does not exist.
SELECT printf('tick %d has the series %d of connector %d, which does not exist', t.id, x."$id" & 16777215, t.connector)
FROM {samples} x
JOIN "$ticks" t ON t.id = x."$id" >> 24
WHERE NOT EXISTS (SELECT 1 FROM {series} s WHERE s."$id" = (t.connector << 24) + (x."$id" & 16777215))
