UPDATE tasks SET
    fence = ?2,
    owner = ?3,
    runner = ?4,
    scheduled_for = ?5,
    claimed_at = ?6,
    expires = ?7
WHERE connector = ?1
