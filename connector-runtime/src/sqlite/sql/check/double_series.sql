-- The keys that have more than one series, whatever the index says.
SELECT printf('connector %d has %d series with the hash %s', "$connector", count(*), hex("$hash"))
FROM {series} NOT INDEXED
GROUP BY "$connector", "$hash", "$nth"
HAVING count(*) > 1
