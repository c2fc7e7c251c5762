-- The samples whose series does not exist, or is another connector's.
SELECT printf('tick %d has series %d, %s', x."$tick", x."$series",
              iif(s."$id" IS NULL, 'which does not exist', 'which is another connector''s'))
FROM {samples} x
JOIN "$ticks" t ON t.id = x."$tick"
LEFT JOIN {series} s ON s."$id" = x."$series"
WHERE s."$id" IS NULL OR s."$connector" <> t.connector
