use std::fmt;
use std::time::Duration;

/// How one scrape is to be done.
///
/// ```
/// use std::time::Duration;
/// use prom_scrape::ScrapeOptions;
///
/// let options = ScrapeOptions::new()
///     .timeout(Duration::from_secs(2))
///     .retry_within(Duration::from_secs(15));
/// ```
#[derive(Clone, Copy)]
pub struct ScrapeOptions<'a> {
    pub(crate) timeout: Duration,
    pub(crate) retry_within: Duration,
    pub(crate) on_attempt: Option<&'a (dyn Fn() + Sync)>,
}

impl<'a> ScrapeOptions<'a> {
    /// A timeout of 5 s, and a next scrape due in 15 s.
    #[must_use]
    pub fn new() -> Self {
        Self { timeout: Duration::from_secs(5), retry_within: Duration::from_secs(15), on_attempt: None }
    }

    /// How long each attempt may take at most: name, connection, TLS, every redirect and the whole body.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long from now the target's next scrape is due, which takes the place of what is not done by then: no retry begins
    /// later, and none goes on for longer, but for failures without a timeout, which are tried again for 2 s in any case.
    /// A `Retry-After` that would end later is not waited for. The scrape ends at once then, with its latest failure as the
    /// error.
    ///
    /// The first attempt has all of its [`timeout`](Self::timeout), whatever this is.
    #[must_use]
    pub fn retry_within(mut self, due: Duration) -> Self {
        self.retry_within = due;
        self
    }

    /// Called as each attempt begins, so that the number is known even if the scrape is cancelled.
    #[must_use]
    pub fn on_attempt(mut self, hook: &'a (dyn Fn() + Sync)) -> Self {
        self.on_attempt = Some(hook);
        self
    }
}

impl Default for ScrapeOptions<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScrapeOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeOptions")
            .field("timeout", &self.timeout)
            .field("retry_within", &self.retry_within)
            .finish_non_exhaustive()
    }
}
