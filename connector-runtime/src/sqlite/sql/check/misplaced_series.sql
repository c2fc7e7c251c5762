-- The series whose id is not one of their connector's.
SELECT printf('series %d of connector %d is said to be of connector %d', "$id" & 16777215, "$id" >> 24, "$connector")
FROM {series}
WHERE "$id" >> 24 <> "$connector" OR "$id" & 16777215 = 0
