//! The connector under the client's pool: names, TCP, TLS, each step told to the attempt it works for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::{BoxError, Error, ErrorKind};
use crate::phase::{Phase, Progress, TlsSession};

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;
type Resolving = HttpConnector<Resolver>;

/// Opens connections for `http` and `https` URLs.
#[derive(Clone)]
pub(crate) struct Connector(HttpsConnector<Tcp>);

#[derive(Clone)]
struct Tcp(Resolving);

#[derive(Clone)]
struct Resolver(GaiResolver);

const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

impl Connector {
    pub(crate) fn new(tls: ClientConfig) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEP_ALIVE));
        Self(
            HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(Tcp(http)),
        )
    }
}

/// The system's trust roots and `extra` ones (PEM). Having none at all is no error: plain HTTP needs none, and an
/// HTTPS scrape then fails with its reason.
pub(crate) fn tls_config(extra: &[Vec<u8>]) -> Result<ClientConfig, Error> {
    let setup = |message: &str| Error::new(ErrorKind::Setup, message);
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    if let Some(error) = system.errors.into_iter().next().filter(|_| named && roots.is_empty()) {
        return Err(setup("SSL_CERT_FILE or SSL_CERT_DIR is set, but no certificate could be read from it")
            .caused_by(error));
    }
    for pem in extra {
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|e| setup("a root certificate is not valid PEM").caused_by(e))?;
            roots.add(certificate).map_err(|e| setup("a root certificate cannot be used").caused_by(e))?;
            found = true;
        }
        if !found {
            return Err(setup("no PEM certificate where a root certificate was expected"));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| setup("TLS cannot be set up").caused_by(e))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        let progress = Progress::current();
        Box::pin(async move {
            let stream = connecting.await?;
            if let Some(progress) = progress {
                progress.connected(tls_session(&stream));
            }
            Ok(stream)
        })
    }
}

fn tls_session(stream: &MaybeHttpsStream<TokioIo<TcpStream>>) -> Option<TlsSession> {
    let MaybeHttpsStream::Https(stream) = stream else { return None };
    let session = stream.inner().get_ref().1;
    let version = session.protocol_version()?.as_str()?.to_owned();
    Some(TlsSession::new(version, format!("{:?}", session.negotiated_cipher_suite()?.suite())))
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = <Resolving as Service<Uri>>::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let progress = Progress::current();
        if let Some(progress) = &progress {
            progress.enter(Phase::Connect);
        }
        let then = if uri.scheme() == Some(&Scheme::HTTPS) { Phase::Tls } else { Phase::Wait };
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let stream = connecting.await?;
            if let Some(progress) = progress {
                progress.enter(then);
            }
            Ok(stream)
        })
    }
}

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = <GaiResolver as Service<Name>>::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let progress = Progress::current();
        if let Some(progress) = &progress {
            progress.enter(Phase::Resolve);
        }
        let resolving = self.0.call(name);
        Box::pin(async move {
            let addresses = resolving.await?;
            if let Some(progress) = progress {
                progress.enter(Phase::Connect);
            }
            Ok(addresses)
        })
    }
}
