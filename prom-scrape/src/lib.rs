//! Fetches one Prometheus exposition over HTTP: TLS, credentials, limits, retries
