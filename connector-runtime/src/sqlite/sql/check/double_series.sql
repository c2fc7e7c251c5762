-- The keys that have more than one series, whatever the index says.
SELECT printf('connector %d has %d series with the hash …%016x', "$connector", count(*), "$rest")
FROM {series} NOT INDEXED
GROUP BY "$connector", "$rest", "$nth"
HAVING count(*) > 1
