UPDATE tasks SET
    fence = fence + 1,
    owner = ?2,
    runner = ?3,
    scheduled_for = ?4,
    claimed_at = ?5,
    expires = ?6
WHERE connector = ?1
RETURNING fence
