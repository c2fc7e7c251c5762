use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::attempt::Attempt;
use crate::body::Limits;
use crate::connect::Connector;
use crate::credentials::Credentials;
use crate::error::{BoxError, Error, ErrorKind};
use crate::options::ScrapeOptions;
use crate::phase::Progress;
use crate::pool::{Keep, Pool};
use crate::redirect::Chain;
use crate::retry::Retry;
use crate::scrape::Scrape;
use crate::target::Target;
use crate::tls;

/// As long as any time that somebody waits.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Scrapes targets. Cheap to clone; all clones share one pool of connections, so that one client should live as long
/// as the process.
///
/// Proxies from the environment are not used.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    connector: Connector,
    user_agent: HeaderValue,
    limits: Limits,
    redirects: usize,
    retries: u32,
}

/// Builds a [`Client`] with other limits than the usual ones.
///
/// ```
/// let client = prom_scrape::Client::builder()
///     .user_agent("my-scraper/1.0")
///     .max_body_bytes(64 << 20)
///     .build()?;
/// # Ok::<(), prom_scrape::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    user_agent: String,
    limits: Limits,
    redirects: usize,
    retries: u32,
    max_head_bytes: usize,
    keep: Keep,
    roots: Vec<Vec<u8>>,
}

impl Client {
    /// A client with the usual limits, which [`ClientBuilder`] names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setup`] if `SSL_CERT_FILE` or `SSL_CERT_DIR` is set and no certificate can be read from it.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// The limits and settings of a client, to be changed before it is built.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Fetches one exposition from `target`, trying up to three times more after a transient failure.
    ///
    /// `credentials` is asked before each attempt, so that a rotated secret is used at once. An error from it ends the
    /// scrape with no request sent; it comes back as the source of an [`ErrorKind::Credentials`].
    ///
    /// The pauses between attempts are 100 ms × 2^n, each spread by up to half to either side. A longer `Retry-After`
    /// is waited for where it ends within [`ScrapeOptions::retry_within`], and otherwise ends the scrape. Retries are done by
    /// then, or within 2 s where time did not run out: the last one may have less of it than [`ScrapeOptions::timeout`].
    ///
    /// Dropping the future at any point abandons the scrape and its connection.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`] for what can go wrong, and [`Error::is_transient`] for what may pass by itself.
    pub async fn scrape<F, E>(
        &self,
        target: &Target,
        credentials: F,
        options: &ScrapeOptions<'_>,
    ) -> Result<Scrape, Error>
    where
        F: Fn() -> Result<Credentials, E>,
        E: Into<BoxError>,
    {
        self.scrape_into(target, credentials, options, Vec::new()).await
    }

    /// As [`scrape`](Self::scrape), with a buffer for the body that has served before: a target's exposition is about
    /// as large as it was the last time, so that nothing needs to be allocated.
    ///
    /// What the buffer holds is dropped. It comes back from [`Scrape::into_buffer`]; a scrape that fails keeps it.
    ///
    /// ```no_run
    /// # use prom_scrape::{Client, Credentials, Error, ScrapeOptions, Target};
    /// # async fn f(client: Client, target: Target) -> Result<(), Error> {
    /// let mut buffer = Vec::new();
    /// loop {
    ///     let anonymous = || Ok::<_, Error>(Credentials::None);
    ///     let scrape = client.scrape_into(&target, anonymous, &ScrapeOptions::new(), buffer).await?;
    ///     println!("{} bytes", scrape.body().len());
    ///     buffer = scrape.into_buffer();
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`scrape`](Self::scrape).
    pub async fn scrape_into<F, E>(
        &self,
        target: &Target,
        credentials: F,
        options: &ScrapeOptions<'_>,
        mut buffer: Vec<u8>,
    ) -> Result<Scrape, Error>
    where
        F: Fn() -> Result<Credentials, E>,
        E: Into<BoxError>,
    {
        let begun = Instant::now();
        let mut retry = Retry::new(self.inner.retries, begun, begun + options.retry_within.min(A_YEAR));
        let (mut attempts, mut timeout) = (0, options.timeout);
        loop {
            let authorization = credentials()
                .map_err(|e| {
                    let message = format!("no credentials for {}", target.origin());
                    Error::new(ErrorKind::Credentials, message).caused_by(e)
                })
                .and_then(|c| c.header())
                .map_err(|e| e.with_attempts(attempts))?;
            attempts += 1;
            if let Some(hook) = options.on_attempt {
                hook();
            }
            let attempt = self.attempt(target, authorization.as_ref(), timeout, &mut buffer);
            let error = match attempt.await {
                Ok(scrape) => return Ok(Scrape { attempts, ..scrape }),
                Err(error) => error.with_attempts(attempts),
            };
            tokio::time::sleep(retry.after(error, Instant::now())?).await;
            timeout = options.timeout.min(retry.time_left(Instant::now()));
        }
    }

    /// One attempt, under one deadline from the host name to the last byte.
    async fn attempt(
        &self,
        target: &Target,
        authorization: Option<&HeaderValue>,
        timeout: Duration,
        buffer: &mut Vec<u8>,
    ) -> Result<Scrape, Error> {
        let (inner, progress) = (&*self.inner, Progress::new());
        let attempt = Attempt {
            pool: &inner.pool,
            connector: &inner.connector,
            user_agent: &inner.user_agent,
            limits: inner.limits,
            timeout,
            progress: &progress,
        };
        let chain = Chain::new(target, authorization, inner.redirects);
        let result = match tokio::time::timeout(timeout, attempt.run(chain, buffer)).await {
            Ok(result) => result,
            Err(_) => {
                let (origin, phase) = (target.origin(), progress.phase());
                let message = format!(
                    "{origin} gave no complete answer within {timeout:?}; time ran out while {phase}"
                );
                Err(Error::new(ErrorKind::Timeout, message))
            }
        };
        result.map_err(|e| e.with_progress(progress.phase(), progress.timings(), progress.route().tls))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("user_agent", &self.inner.user_agent)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            user_agent: concat!("prom-scrape/", env!("CARGO_PKG_VERSION")).to_owned(),
            limits: Limits { compressed: 256 << 20, decompressed: 256 << 20 },
            redirects: 10,
            retries: 3,
            max_head_bytes: 256 << 10,
            keep: Keep { in_all: 512, per_host: 64, timeout: Duration::from_secs(90) },
            roots: Vec::new(),
        }
    }
}

impl ClientBuilder {
    /// The `User-Agent` header. Default: `prom-scrape/VERSION`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// How large a body may be once decoded, in bytes. Default: 256 MiB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.limits.decompressed = bytes;
        self
    }

    /// How large an encoded body may be on the wire, in bytes. Default: 256 MiB.
    pub fn max_compressed_bytes(mut self, bytes: usize) -> Self {
        self.limits.compressed = bytes;
        self
    }

    /// How large the head of a response may be, in bytes, at least 8 KiB. Default: 256 KiB.
    pub fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.max_head_bytes = bytes.max(8 << 10);
        self
    }

    /// How many redirects one attempt follows. Default: 10.
    pub fn max_redirects(mut self, redirects: usize) -> Self {
        self.redirects = redirects;
        self
    }

    /// How many more attempts follow a transient failure. Default: 3.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How many idle connections are kept, to all hosts together. Default: 512, which leaves room under the usual
    /// limit of 1,024 open files. With more targets than this, some connect anew for each scrape.
    pub fn max_idle(mut self, connections: usize) -> Self {
        self.keep.in_all = connections;
        self
    }

    /// How many idle connections are kept for each host and port. Default: 64.
    pub fn max_idle_per_host(mut self, connections: usize) -> Self {
        self.keep.per_host = connections;
        self
    }

    /// How long an idle connection is kept. Default: 90 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.keep.timeout = timeout;
        self
    }

    /// Trusts the certificates in `pem` as well as the system's own roots.
    pub fn add_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Builds the client. Connections are opened when they are needed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Setup`] if the user agent is no valid header value, if an added certificate is not valid, or if
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` is set and no certificate can be read from it.
    pub fn build(self) -> Result<Client, Error> {
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|e| {
            Error::new(ErrorKind::Setup, "the user agent cannot be sent in a header").caused_by(e)
        })?;
        let inner = Inner {
            pool: Pool::new(self.keep),
            connector: Connector::new(tls::config(&self.roots)?, self.max_head_bytes),
            user_agent,
            limits: self.limits,
            redirects: self.redirects,
            retries: self.retries,
        };
        Ok(Client { inner: Arc::new(inner) })
    }
}
