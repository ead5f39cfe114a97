//! The client itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::address::AddressPolicy;
use crate::allow_list::AllowList;
use crate::error::EgressError;
use crate::request::{EgressRequest, EgressResponse};
use crate::resolver::{GuardedResolver, Resolver, SystemResolver};
use crate::target::{Target, UrlError};
use crate::url_policy::UrlPolicy;

/// The most headers of an answer that are read.
const ANSWER_HEADERS_MAX: usize = 100;
/// The most own certificate authorities.
const EXTRA_ROOTS_MAX: usize = 64;

/// What the client may do, and how much of it.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// What the operator opens beyond the public internet.
    pub allowed: AllowList,
    /// Ports that are open on every host, beside 443.
    pub ports_extra: Vec<u16>,
    /// Certificate authorities that are trusted beside the public ones, as PEM. There is no way to
    /// trust everybody.
    pub extra_roots_pem: Option<String>,
    /// The longest time to look up a name, connect and agree on keys.
    pub connect_timeout: Duration,
    /// The longest time for all of a request, to the end of its answer.
    pub total_timeout: Duration,
    /// The largest body to send, in bytes.
    pub request_bytes_max: usize,
    /// The largest body of an answer, in bytes.
    pub answer_bytes_max: usize,
    /// The most connections to one host that are kept open without use.
    pub idle_connections_max: usize,
    /// How long they are kept. A host's address is checked when a connection is made, not again.
    pub idle_timeout: Duration,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allowed: AllowList::default(),
            ports_extra: Vec::new(),
            extra_roots_pem: None,
            connect_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(30),
            request_bytes_max: 1 << 20,
            answer_bytes_max: 1 << 20,
            idle_connections_max: 4,
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// Why no client can be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The PEM text holds no certificate, a bad one, or too many.
    #[error("the extra certificate authorities must be 1 to {EXTRA_ROOTS_MAX} certificates as PEM")]
    ExtraRoots,
    /// A bound is zero, so that nothing could ever be asked.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// The client's parts do not fit together.
    #[error("the HTTP client could not be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Asks for URLs that somebody else chose: over TLS, from checked addresses alone, once, without
/// proxies, redirects, cookies or decompression, in bounded time and size. Cheap to clone.
#[derive(Clone)]
pub struct EgressClient {
    http: reqwest::Client,
    shared: Arc<Shared>,
}

struct Shared {
    urls: UrlPolicy,
    config: EgressConfig,
}

impl fmt::Debug for EgressClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EgressClient")
            .field(&self.shared.config)
            .finish()
    }
}

impl EgressClient {
    /// Makes a client that asks the system for addresses.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn new(config: EgressConfig) -> Result<Self, ConfigError> {
        Self::with_resolver(config, Arc::new(SystemResolver::default()))
    }

    /// Makes a client that asks `resolver` for addresses, and checks what it answers.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn with_resolver(
        config: EgressConfig,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, ConfigError> {
        for (name, is_zero) in [
            ("connect_timeout", config.connect_timeout.is_zero()),
            ("total_timeout", config.total_timeout.is_zero()),
            ("answer_bytes_max", config.answer_bytes_max == 0),
        ] {
            if is_zero {
                return Err(ConfigError::Zero(name));
            }
        }
        let allowed = Arc::new(config.allowed.clone());
        let guard = GuardedResolver {
            resolver,
            policy: AddressPolicy::new(Arc::clone(&allowed)),
            allowed: Arc::clone(&allowed),
        };
        let http = reqwest::Client::builder()
            .dns_resolver(guard)
            .tls_backend_preconfigured(tls_config(config.extra_roots_pem.as_deref())?)
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            // Whoever calls decides on retries; here a request is made once.
            .retry(reqwest::retry::never())
            // Other crates may switch these on for the whole build: an answer of a megabyte must not
            // unfold to a gigabyte.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .http1_max_headers(ANSWER_HEADERS_MAX)
            .connect_timeout(config.connect_timeout)
            .timeout(config.total_timeout)
            .pool_max_idle_per_host(config.idle_connections_max)
            .pool_idle_timeout(config.idle_timeout)
            .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ConfigError::Client(Box::new(error)))?;
        let urls = UrlPolicy::new(allowed, config.ports_extra.clone());
        let shared = Arc::new(Shared { urls, config });
        Ok(Self { http, shared })
    }

    /// Reads a URL that somebody chose, and decides whether this client may ask for it.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn target(&self, url: &str) -> Result<Target, UrlError> {
        Target::parse(url, &self.shared.urls)
    }

    /// Sends a request once and returns the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`EgressError`].
    pub async fn send(&self, request: EgressRequest) -> Result<EgressResponse, EgressError> {
        let Shared { urls, config } = &*self.shared;
        let EgressRequest {
            method,
            target,
            headers,
            body,
        } = request;
        // It may have been read under another policy.
        urls.check(target.url())?;
        if body.len() > config.request_bytes_max {
            return Err(EgressError::RequestTooLarge {
                max: config.request_bytes_max,
            });
        }
        let mut outgoing = reqwest::Request::new(method.into(), target.url().clone());
        *outgoing.headers_mut() = headers;
        if !body.is_empty() {
            *outgoing.body_mut() = Some(body.into());
        }
        let sort = |error: reqwest::Error| EgressError::sort(&error, config.total_timeout);
        let mut answer = self.http.execute(outgoing).await.map_err(sort)?;
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        let body = read_body(&mut answer, config).await?;
        Ok(EgressResponse {
            status,
            headers,
            body,
        })
    }
}

/// Reads a body piece by piece, so that an endless one ends at the bound.
async fn read_body(
    answer: &mut reqwest::Response,
    config: &EgressConfig,
) -> Result<Bytes, EgressError> {
    let max = config.answer_bytes_max;
    let mut body = BytesMut::new();
    loop {
        let piece = answer.chunk().await;
        match piece.map_err(|error| EgressError::sort(&error, config.total_timeout))? {
            Some(piece) if piece.len() > max - body.len() => {
                return Err(EgressError::AnswerTooLarge { max });
            }
            Some(piece) => body.extend_from_slice(&piece),
            None => return Ok(body.freeze()),
        }
    }
}

/// Verification is always on; the cryptography is named here, so that no process-wide choice matters.
fn tls_config(extra_roots_pem: Option<&str>) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(pem) = extra_roots_pem {
        add_roots(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Client(Box::new(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn add_roots(roots: &mut RootCertStore, pem: &str) -> Result<(), ConfigError> {
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| ConfigError::ExtraRoots)?;
        roots
            .add(certificate)
            .map_err(|_| ConfigError::ExtraRoots)?;
        count += 1;
    }
    if (1..=EXTRA_ROOTS_MAX).contains(&count) {
        Ok(())
    } else {
        Err(ConfigError::ExtraRoots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_configuration_makes_a_client() {
        EgressClient::new(EgressConfig::default()).unwrap();
    }

    #[test]
    fn extra_authorities_must_be_certificates() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no pem", garbage, "-----BEGIN CERTIFICATE-----\n"] {
            let config = EgressConfig {
                extra_roots_pem: Some(pem.to_owned()),
                ..EgressConfig::default()
            };
            let made = EgressClient::new(config);
            assert!(matches!(made, Err(ConfigError::ExtraRoots)), "{pem}");
        }
    }

    #[test]
    fn a_bound_of_zero_is_refused_by_name() {
        let config = EgressConfig {
            total_timeout: Duration::ZERO,
            ..EgressConfig::default()
        };
        let error = EgressClient::new(config).unwrap_err();
        assert_eq!(error.to_string(), "total_timeout must not be zero");
    }
}
