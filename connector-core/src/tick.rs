//! What a connector is given for one tick.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use crate::{ResolveSecret, Secret, SecretError, SecretRef};

/// One tick of one connector: its configuration, the bucket it is for, and what it may use.
pub struct Tick<'a, C> {
    config: &'a C,
    context: &'a TickContext,
}

impl<'a, C> Tick<'a, C> {
    /// Puts a tick together; the framework does so, and tests of connectors.
    pub fn new(config: &'a C, context: &'a TickContext) -> Self {
        Self { config, context }
    }

    /// The connector's configuration, decoded and validated.
    pub fn config(&self) -> &'a C {
        self.config
    }

    /// The bucket that this tick is for: the timestamp that all of its rows land with.
    pub fn scheduled_for(&self) -> DateTime<Utc> {
        self.context.scheduled_for
    }

    /// When the connector's next tick is due. Waiting beyond it is of no use: a tick that overruns costs the next one.
    pub fn next_due(&self) -> Instant {
        self.context.next_due
    }

    /// Resolves a secret as things stand now.
    ///
    /// # Errors
    ///
    /// When the reference leads nowhere; connectors answer with [`TickError::Config`](crate::TickError::Config).
    pub fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        self.context.secrets.resolve(reference)
    }

    /// Counts one request made to the source. What was counted is recorded even when the tick is cut off.
    pub fn count_attempt(&self) {
        self.context.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Resolves once the tick should end early, because its lease is lost, the runner stops, or others need its slot.
    ///
    /// A tick that is cancelled is dropped at its next await point in any case, so only a connector with something to
    /// put away needs this.
    pub async fn cancelled(&self) {
        self.context.cancellation.cancelled().await;
    }
}

impl<C> fmt::Debug for Tick<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tick").field("scheduled_for", &self.context.scheduled_for).finish_non_exhaustive()
    }
}

/// The part of a [`Tick`] that is the same whatever the connector's configuration type.
pub struct TickContext {
    scheduled_for: DateTime<Utc>,
    next_due: Instant,
    secrets: Arc<dyn ResolveSecret>,
    cancellation: Cancellation,
    attempts: AtomicU32,
}

impl TickContext {
    /// A tick for the bucket `scheduled_for`, with `until_next_due` until the next one is due.
    pub fn new(
        scheduled_for: DateTime<Utc>,
        until_next_due: Duration,
        secrets: Arc<dyn ResolveSecret>,
        cancellation: Cancellation,
    ) -> Self {
        let next_due = Instant::now() + until_next_due;
        Self { scheduled_for, next_due, secrets, cancellation, attempts: AtomicU32::new(0) }
    }

    /// The requests counted so far.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// The signal that ends the tick early.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }
}

impl fmt::Debug for TickContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickContext").field("scheduled_for", &self.scheduled_for).finish_non_exhaustive()
    }
}

/// A signal that is raised once, seen by every clone.
#[derive(Clone, Debug)]
pub struct Cancellation(Arc<watch::Sender<bool>>);

impl Cancellation {
    /// A signal that is not raised yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Raises the signal. Raising it again does nothing.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was raised.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves once it is raised; at once if it was.
    pub async fn cancelled(&self) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.0.subscribe().wait_for(|raised| *raised).await;
    }
}

impl Default for Cancellation {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_signal_however_late_it_looks() {
        let signal = Cancellation::new();
        let waiting = signal.clone();
        let waiter = tokio::spawn(async move { waiting.cancelled().await });
        assert!(!signal.is_cancelled());
        signal.clone().cancel();
        waiter.await.unwrap();
        signal.cancelled().await;
        assert!(signal.is_cancelled());
    }
}
