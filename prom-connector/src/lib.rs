//! The prometheus connector: scrapes a /metrics URL into table rows
