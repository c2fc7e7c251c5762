//! Schedules, leases and stores that run connectors and land each tick's rows once
