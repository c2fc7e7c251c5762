#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod attempt;
mod backoff;
mod body;
mod client;
mod connect;
mod credentials;
mod decode;
mod error;
mod options;
mod phase;
mod pool;
mod redirect;
mod retry;
mod scrape;
mod target;
mod tls;

pub use secrecy::SecretString;

pub use crate::client::{Client, ClientBuilder};
pub use crate::credentials::Credentials;
pub use crate::error::{Error, ErrorKind};
pub use crate::options::ScrapeOptions;
pub use crate::phase::{Phase, Timings, TlsSession};
pub use crate::scrape::Scrape;
pub use crate::target::{Target, TargetError};
