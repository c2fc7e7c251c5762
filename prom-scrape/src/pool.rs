//! Connections that wait for the next scrape.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::connect::Connection;

/// How many idle connections are kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    pub(crate) in_all: usize,
    pub(crate) per_host: usize,
    pub(crate) timeout: Duration,
}

/// Idle connections by scheme, host and port.
///
/// When it is full, a newcomer is closed rather than the connection that has waited longest: targets are scraped in
/// turn, so the one that has waited longest is the one that is needed next.
pub(crate) struct Pool {
    keep: Keep,
    shared: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
    hosts: HashMap<String, Vec<Waiting>>,
    count: usize,
    reaper: Option<JoinHandle<()>>,
}

struct Waiting {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, shared: Arc::default() }
    }

    /// A connection to `origin` that is still open, as far as can be told without using it.
    pub(crate) async fn take(&self, origin: &str) -> Option<Connection> {
        loop {
            let mut connection = lock(&self.shared).take(origin, self.keep.timeout)?;
            if connection.is_ready().await {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection`, which must have nothing left to read, for the next scrape of `origin`.
    pub(crate) fn put(&self, origin: &str, connection: Connection) {
        let Keep { in_all, per_host, timeout } = self.keep;
        if per_host == 0 || timeout.is_zero() || connection.is_closed() {
            return;
        }
        let mut idle = lock(&self.shared);
        if idle.count >= in_all {
            idle.prune(timeout);
        }
        if idle.count >= in_all {
            return;
        }
        if !idle.hosts.contains_key(origin) {
            idle.hosts.insert(origin.to_owned(), Vec::new());
        }
        let waiting = idle.hosts.get_mut(origin).expect("it has just been put there");
        if waiting.len() >= per_host {
            return;
        }
        waiting.push(Waiting { connection, since: Instant::now() });
        idle.count += 1;
        if idle.reaper.as_ref().is_none_or(JoinHandle::is_finished) {
            idle.reaper = Some(tokio::spawn(reap(Arc::downgrade(&self.shared), timeout)));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = lock(&self.shared).reaper.take() {
            reaper.abort();
        }
    }
}

impl Idle {
    /// The connection that waits for the shortest time, which is the likeliest to be open.
    fn take(&mut self, origin: &str, timeout: Duration) -> Option<Connection> {
        let waiting = self.hosts.get_mut(origin)?;
        let found = waiting.pop().filter(|w| w.since.elapsed() < timeout);
        // The others have waited longer still.
        let gone = if found.is_some() { 1 } else { 1 + std::mem::take(waiting).len() };
        if waiting.is_empty() {
            self.hosts.remove(origin);
        }
        self.count -= gone;
        found.map(|w| w.connection)
    }

    /// Lets go of what is closed or has waited for too long.
    fn prune(&mut self, timeout: Duration) {
        let mut count = 0;
        self.hosts.retain(|_, waiting| {
            waiting.retain(|w| !w.connection.is_closed() && w.since.elapsed() < timeout);
            count += waiting.len();
            !waiting.is_empty()
        });
        self.count = count;
    }
}

/// Closes connections that nobody has come back for, until there are none left.
async fn reap(shared: Weak<Mutex<Idle>>, timeout: Duration) {
    loop {
        tokio::time::sleep(timeout).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut idle = lock(&shared);
        idle.prune(timeout);
        if idle.count == 0 {
            idle.reaper = None;
            return;
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
