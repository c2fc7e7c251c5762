//! A writer that goes on committing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connector_core::Rows;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::subject::Subject;

/// The pause after each commit: some 200 ticks of 1,000 samples a second.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) struct Writing {
    times: Arc<Mutex<Vec<Duration>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writing {
    /// Commits one tick after the other, beginning with the connectors' `first` one.
    pub(crate) fn start(
        runtime: &Runtime,
        subject: Subject,
        first: usize,
        scrapes: Arc<Vec<[Arc<Rows>; 2]>>,
    ) -> Self {
        let (times, stop) = (Arc::<Mutex<Vec<Duration>>>::default(), Arc::<AtomicBool>::default());
        let (ended, taken) = (Arc::clone(&stop), Arc::clone(&times));
        let task = runtime.spawn(async move {
            for tick in first.. {
                for (connector, scrapes) in scrapes.iter().enumerate() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let start = Instant::now();
                    subject.tick(connector, tick, Arc::clone(&scrapes[tick % 2])).await;
                    taken.lock().unwrap_or_else(PoisonError::into_inner).push(start.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        Self { times, stop, task }
    }

    /// Prints how long ticks took to commit since this was last asked.
    pub(crate) fn report(&self, when: &str) {
        let mut times = std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner));
        times.sort_unstable();
        let ms = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        println!(
            "the writer {when}: {} ticks of 1,000 samples claimed and committed, p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms",
            times.len(),
            ms(0.5),
            ms(0.99),
            ms(1.0)
        );
    }

    pub(crate) fn stop(self, runtime: &Runtime) {
        self.stop.store(true, Ordering::Relaxed);
        runtime.block_on(self.task).expect("a writer whose ticks all commit");
    }
}
