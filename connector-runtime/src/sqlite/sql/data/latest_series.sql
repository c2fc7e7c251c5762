-- The series of a connector's newest tick with rows in a table, the tick ?3 aside, as far as their numbers are below ?4.
-- {bits} is the length of a number, and ?5 the id before those of the connector's series.
SELECT s."$id", s."$high", s."$low"
FROM (
    SELECT id
    FROM "$ticks"
    WHERE connector = ?1 AND +target = ?2 AND +rows > 0 AND id <> ?3
    ORDER BY scheduled_for DESC
    LIMIT 1
) t
CROSS JOIN {samples} x ON x."$id" >= t.id << {bits} AND x."$id" < (t.id << {bits}) + ?4
CROSS JOIN {series} s ON s."$id" = ?5 + x."$id" - (t.id << {bits})
