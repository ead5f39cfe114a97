//! Where a provider is, and how a connection to it is made.

use std::io;
use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Scheme};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::h1::Io;

/// Why a base URL or a credential cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct OriginError {
    reason: &'static str,
}

impl OriginError {
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self { reason }
    }
}

/// Scheme, host and port.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    is_tls: bool,
    authority: Authority,
}

impl Origin {
    /// Splits a base URL into its origin and its path, which has no slash at its end.
    pub(crate) fn parse(base_url: &str) -> Result<(Self, String), OriginError> {
        let uri: Uri = base_url
            .parse()
            .map_err(|_| OriginError::new("the base URL is not a URL"))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => {
                return Err(OriginError::new(
                    "the base URL must begin with https:// or http://",
                ));
            }
        };
        let authority = uri
            .authority()
            .cloned()
            .ok_or(OriginError::new("the base URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(OriginError::new(
                "the base URL must not hold a user name or a password",
            ));
        }
        if uri.query().is_some() {
            return Err(OriginError::new("the base URL must not have a query"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok((Self { is_tls, authority }, path))
    }

    /// Returns what the `Host` header says.
    pub(crate) fn host(&self) -> &str {
        self.authority.as_str()
    }

    fn port(&self) -> u16 {
        self.authority
            .port_u16()
            .unwrap_or(if self.is_tls { 443 } else { 80 })
    }
}

/// Makes connections to one origin.
pub(crate) struct Connector {
    origin: Origin,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connector").field(&self.origin).finish()
    }
}

impl Connector {
    pub(crate) fn new(origin: Origin) -> Result<Self, OriginError> {
        let tls = if origin.is_tls {
            let host = origin.authority.host().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(host)
                .map_err(|_| OriginError::new("the host of the base URL is not valid"))?;
            Some((TlsConnector::from(tls_config(public_roots())?), name))
        } else {
            None
        };
        Ok(Self { origin, tls })
    }

    pub(crate) async fn connect(&self) -> io::Result<Io> {
        let host = self.origin.authority.host().trim_matches(['[', ']']);
        let tcp = TcpStream::connect((host, self.origin.port())).await?;
        tcp.set_nodelay(true)?;
        Ok(match &self.tls {
            Some((connector, name)) => {
                Io::Tls(Box::new(connector.connect(name.clone(), tcp).await?))
            }
            None => Io::Plain(tcp),
        })
    }
}

fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

fn tls_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, OriginError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| OriginError::new("TLS cannot be set up"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    #[test]
    fn a_base_url_is_split_into_origin_and_path() {
        let (origin, path) = Origin::parse("https://api.openai.com/v1/").unwrap();
        assert_eq!((origin.port(), path.as_str()), (443, "/v1"));
        let (origin, path) = Origin::parse("http://127.0.0.1:9100").unwrap();
        assert_eq!((origin.port(), path.as_str()), (9100, ""));
    }

    #[test]
    fn what_is_not_a_plain_base_url_is_refused() {
        for url in [
            "",
            "/v1",
            "ftp://a/",
            "https://",
            "https://u:p@a/v1",
            "https://a/v1?k=v",
        ] {
            assert!(Origin::parse(url).is_err(), "{url}");
        }
    }

    /// Serves one TLS handshake with this certificate, and returns where.
    async fn serve_tls(
        certificate: &rcgen::CertifiedKey<rcgen::KeyPair>,
        tasks: &TaskTracker,
    ) -> u16 {
        let key =
            rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der());
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key.unwrap())
            .unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        tasks.spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let Ok(mut tls) = acceptor.accept(tcp).await else {
                return;
            };
            drop(tokio::io::copy(&mut tls, &mut tokio::io::sink()).await);
        });
        port
    }

    #[tokio::test]
    async fn only_a_certificate_of_the_name_that_somebody_vouches_for_is_talked_to() {
        let names = vec!["provider.test".to_owned()];
        let certificate = rcgen::generate_simple_self_signed(names).unwrap();
        let trusting = || {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.cert.der().clone()).unwrap();
            roots
        };
        for (name, roots, is_fine) in [
            ("provider.test", trusting(), true),
            ("other.test", trusting(), false),
            ("127.0.0.1", trusting(), false),
            ("provider.test", public_roots(), false),
        ] {
            let tasks = TaskTracker::new();
            let port = serve_tls(&certificate, &tasks).await;
            let (origin, _) = Origin::parse(&format!("https://127.0.0.1:{port}")).unwrap();
            let connector = TlsConnector::from(tls_config(roots).unwrap());
            let connector = Connector {
                origin,
                tls: Some((connector, ServerName::try_from(name).unwrap().to_owned())),
            };
            let connected = connector.connect().await;
            assert_eq!(connected.is_ok(), is_fine, "{name}");
        }
    }
}
