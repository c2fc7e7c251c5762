use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The steps of one attempt, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Looking the host's addresses up.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Sending the request and waiting for the head of the response.
    Wait,
    /// Reading and decoding the body.
    Body,
}

/// How long each phase of the last attempt took, redirects included.
///
/// A phase that did not happen is `None`: a connection that is used again needs none of the first three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    spent: [Option<Duration>; Phase::ALL.len()],
}

/// The TLS session that a scrape went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSession {
    version: String,
    cipher_suite: String,
}

/// Follows one attempt, and still knows how far it came when its future has been dropped.
pub(crate) struct Progress(Mutex<State>);

struct State {
    phase: Phase,
    since: Instant,
    timings: Timings,
    route: Route,
}

/// The connection that a request went over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) tls: Option<TlsSession>,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 5] = [Self::Resolve, Self::Connect, Self::Tls, Self::Wait, Self::Body];

    fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolving the host name",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Wait => "waiting for the response",
            Self::Body => "reading the body",
        })
    }
}

impl Timings {
    /// The time spent in `phase`.
    #[must_use]
    pub fn get(&self, phase: Phase) -> Option<Duration> {
        self.spent[phase.index()]
    }

    /// The sum of all phases.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.spent.iter().flatten().sum()
    }
}

impl TlsSession {
    pub(crate) fn of(session: &rustls::CommonState) -> Option<Self> {
        let version = session.protocol_version()?.as_str()?.to_owned();
        let cipher_suite = format!("{:?}", session.negotiated_cipher_suite()?.suite());
        Some(Self { version, cipher_suite })
    }

    /// The protocol version, as in `TLSv1_3`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The cipher suite, as in `TLS13_AES_256_GCM_SHA384`.
    #[must_use]
    pub fn cipher_suite(&self) -> &str {
        &self.cipher_suite
    }
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            phase: Phase::Wait,
            since: Instant::now(),
            timings: Timings::default(),
            route: Route::default(),
        }))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.with(|state| {
            state.settle();
            state.phase = phase;
        });
    }

    /// The request goes out over `route`, and its response is waited for.
    pub(crate) fn sending(&self, route: &Route) {
        self.enter(Phase::Wait);
        self.with(|state| state.route.clone_from(route));
    }

    pub(crate) fn phase(&self) -> Phase {
        self.with(|state| state.phase)
    }

    pub(crate) fn route(&self) -> Route {
        self.with(|state| state.route.clone())
    }

    pub(crate) fn timings(&self) -> Timings {
        self.with(|state| {
            state.settle();
            state.timings
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Books the time since the last change on the phase that is ending.
    fn settle(&mut self) {
        let now = Instant::now();
        let spent = &mut self.timings.spent[self.phase.index()];
        *spent = Some(spent.unwrap_or_default() + (now - self.since));
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_that_did_not_happen_have_no_time() {
        let progress = Progress::new();
        progress.enter(Phase::Body);
        let timings = progress.timings();
        let happened = Phase::ALL.map(|p| timings.get(p).is_some());
        assert_eq!(happened, [false, false, false, true, true]);
        assert_eq!(timings.total(), timings.get(Phase::Wait).unwrap() + timings.get(Phase::Body).unwrap());
    }
}
