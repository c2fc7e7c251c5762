INSERT INTO connectors
    (id, name, type, target_database, target_table, schedule_ms, config,
     state, created_at, updated_at, generation, revision)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'active', ?8, ?8, 0, ?9)
