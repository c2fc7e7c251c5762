//! The HTTP API, the operator's page and the connectord daemon
