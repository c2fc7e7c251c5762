UPDATE connectors SET
    name = ?2,
    type = ?3,
    target_database = ?4,
    target_table = ?5,
    schedule_ms = ?6,
    config = ?7,
    updated_at = ?8,
    generation = generation + 1,
    revision = ?9
WHERE seq = ?1
