use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
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

/// Follows one attempt, also through code of other crates that calls back into our connector.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<State>>);

struct State {
    phase: Phase,
    since: Instant,
    timings: Timings,
    connected: bool,
    tls: Option<TlsSession>,
}

tokio::task_local! {
    /// The attempt that the current task is working for.
    static CURRENT: Progress;
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
    pub(crate) fn new(version: String, cipher_suite: String) -> Self {
        Self { version, cipher_suite }
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
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Wait,
            since: Instant::now(),
            timings: Timings::default(),
            connected: false,
            tls: None,
        })))
    }

    /// The attempt that the calling task works for; none when the pool connects in the background.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `future` as part of this attempt.
    pub(crate) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), future)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.with(|state| {
            state.settle();
            state.phase = phase;
        });
    }

    /// A new request begins, which may or may not need a connection of its own.
    pub(crate) fn begin_request(&self) {
        self.enter(Phase::Wait);
        self.with(|state| (state.connected, state.tls) = (false, None));
    }

    pub(crate) fn connected(&self, tls: Option<TlsSession>) {
        self.enter(Phase::Wait);
        self.with(|state| (state.connected, state.tls) = (true, tls));
    }

    /// Whether the current request opened its connection rather than finding one in the pool.
    pub(crate) fn is_fresh(&self) -> bool {
        self.with(|state| state.connected)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.with(|state| state.phase)
    }

    pub(crate) fn tls(&self) -> Option<TlsSession> {
        self.with(|state| state.tls.clone())
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

    #[test]
    fn a_request_is_fresh_once_it_connected() {
        let progress = Progress::new();
        progress.begin_request();
        assert!(!progress.is_fresh());
        progress.connected(None);
        assert!(progress.is_fresh());
        progress.begin_request();
        assert!(!progress.is_fresh());
    }
}
