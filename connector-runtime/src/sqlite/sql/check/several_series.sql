-- The keys that have more than one series.
SELECT printf('the key of series %d of connector %d has %d', max("$id") & 16777215, "$connector", count(*))
FROM {series}
GROUP BY "$connector", "$high", "$low"
HAVING count(*) > 1
