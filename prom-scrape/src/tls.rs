//! Who is trusted, and why somebody is not.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, ErrorKind};

/// What is offered in the TLS handshake, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
pub(crate) const HTTP_2: &[u8] = b"h2";

/// The system's trust roots and `extra` ones (PEM). Having none at all is no error: plain HTTP needs none, and an
/// HTTPS scrape then fails with its reason.
pub(crate) fn config(extra: &[Vec<u8>]) -> Result<ClientConfig, Error> {
    let setup = |message: &str| Error::new(ErrorKind::Setup, message);
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
    if named && roots.is_empty() {
        let error = setup("SSL_CERT_FILE or SSL_CERT_DIR is set, but no certificate could be read from it");
        return Err(match system.errors.into_iter().next() {
            Some(cause) => error.caused_by(cause),
            None => error,
        });
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
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| setup("TLS cannot be set up").caused_by(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// What an operator should know about a handshake that failed, to follow "failed".
pub(crate) fn reason(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError as C;
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            return ": what answers on this port does not speak TLS";
        }
        _ => return "",
    };
    match certificate {
        C::Expired | C::ExpiredContext { .. } => ": its certificate has expired",
        C::NotValidYet | C::NotValidYetContext { .. } => ": its certificate is not valid yet",
        C::NotValidForName | C::NotValidForNameContext { .. } => ": its certificate is for another host name",
        C::Revoked => ": its certificate was revoked",
        C::BadSignature => ": its certificate is not signed by the authority it names",
        C::UnknownIssuer => {
            ": its certificate is self-signed or from an authority that is not trusted here (SSL_CERT_FILE names others)"
        }
        _ => ": its certificate is not acceptable",
    }
}
