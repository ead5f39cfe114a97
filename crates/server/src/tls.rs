//! TLS for clients, with certificates that are replaced while connections go on.
//!
//! Versions 1.2 and 1.3, with the suites of rustls: all have forward secrecy and authenticated
//! encryption. Source: <https://docs.rs/rustls/latest/rustls/manual/_05_defaults/index.html>

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::{Mutex, RwLock};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::problem::{Failure, Problem};
use crate::settings::TlsSettings;

/// Seconds between two looks at the files.
const LOOK_EVERY: u32 = 10;

/// Why certificates cannot be used. Says which file it is, and nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} has no certificate in PEM")]
    NoCertificate(PathBuf),
    #[error("{0} has no private key in PEM")]
    NoKey(PathBuf),
    #[error("the private key in {0} cannot be used, or is not that of the first certificate")]
    OtherKey(PathBuf),
    #[error("{0} has no certificates of authorities that can be used")]
    NoAuthority(PathBuf),
    #[error("the library refuses the settings: {0}")]
    Config(#[from] rustls::Error),
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::Settings(Problem::new("server.tls", error.to_string()))
    }
}

/// What the files held when they were read.
struct Files {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read(path.to_owned(), source))
        };
        Ok(Self {
            certificate: read(&settings.certificate)?,
            private_key: read(&settings.private_key)?,
            client_ca: settings.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let ca = self.client_ca.as_deref().unwrap_or_default();
        for file in [&*self.certificate, &*self.private_key, ca] {
            context.update(&file.len().to_be_bytes());
            context.update(file);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    fn key(&self, settings: &TlsSettings) -> Result<Arc<CertifiedKey>, TlsError> {
        let chain = certificates(&self.certificate)
            .ok_or_else(|| TlsError::NoCertificate(settings.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&self.private_key)
            .map_err(|_| TlsError::NoKey(settings.private_key.clone()))?;
        CertifiedKey::from_der(chain, key, &default_provider())
            .map(Arc::new)
            .map_err(|_| TlsError::OtherKey(settings.private_key.clone()))
    }

    fn clients(&self, settings: &TlsSettings) -> Result<Option<Verifier>, TlsError> {
        let (Some(file), Some(path)) = (&self.client_ca, &settings.client_ca) else {
            return Ok(None);
        };
        let unusable = || TlsError::NoAuthority(path.clone());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(file).ok_or_else(unusable)? {
            roots.add(certificate).map_err(|_| unusable())?;
        }
        let provider = Arc::new(default_provider());
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map(Some)
            .map_err(|_| unusable())
    }
}

/// The certificates of a PEM file, of which there must be one.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .ok()?;
    (!all.is_empty()).then_some(all)
}

type Verifier = Arc<dyn ClientCertVerifier>;

/// What the next handshake uses.
#[derive(Debug)]
struct Current {
    key: RwLock<Arc<CertifiedKey>>,
    clients: Option<RwLock<Verifier>>,
    provider: CryptoProvider,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read()))
    }
}

impl ClientCertVerifier for Current {
    /// None: which authorities count may change, and clients have one certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let Some(clients) = &self.clients else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let clients = Arc::clone(&clients.read());
        clients.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The certificates in use, and the files that they came from.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsSettings,
    current: Arc<Current>,
    /// What was read last, usable or not; `None` when nothing could be.
    seen: Mutex<Option<[u8; 32]>>,
    is_asked: AtomicBool,
    ticks: AtomicU32,
}

impl Tls {
    pub(crate) fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let files = Files::read(settings)?;
        let current = Current {
            key: RwLock::new(files.key(settings)?),
            clients: files.clients(settings)?.map(RwLock::new),
            provider: default_provider(),
        };
        Ok(Self {
            settings: settings.clone(),
            current: Arc::new(current),
            seen: Mutex::new(Some(files.digest())),
            is_asked: AtomicBool::new(false),
            ticks: AtomicU32::new(0),
        })
    }

    /// Returns what the server listens with.
    pub(crate) fn config(&self) -> Result<ServerConfig, TlsError> {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions)?;
        let current = || Arc::clone(&self.current);
        if self.current.clients.is_none() {
            return Ok(builder.with_no_client_auth().with_cert_resolver(current()));
        }
        let builder = builder.with_client_cert_verifier(current());
        let mut config = builder.with_cert_resolver(current());
        // A session that goes on later would not have its certificate looked at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// Has the files looked at with the next tick.
    pub(crate) fn ask(&self) {
        self.is_asked.store(true, Ordering::Release);
    }

    /// Looks at the files from time to time; called each second. Blocks.
    pub(crate) fn tick(&self) {
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed);
        let is_asked = self.is_asked.swap(false, Ordering::AcqRel);
        if is_asked || ticks % LOOK_EVERY == LOOK_EVERY - 1 {
            self.look();
        }
    }

    /// Takes what is in the files when it is new and whole. Otherwise all stays as it is, which is
    /// told once.
    fn look(&self) {
        let read = Files::read(&self.settings);
        let digest = read.as_ref().ok().map(Files::digest);
        let mut seen = self.seen.lock();
        if *seen == digest {
            return;
        }
        *seen = digest;
        match read.and_then(|files| self.take(&files)) {
            Ok(()) => tracing::info!("new certificates are in use"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "new certificates cannot be used; the old ones stay in use"
            ),
        }
    }

    fn take(&self, files: &Files) -> Result<(), TlsError> {
        let key = files.key(&self.settings)?;
        let clients = files.clients(&self.settings)?;
        *self.current.key.write() = key;
        if let (Some(current), Some(clients)) = (&self.current.clients, clients) {
            *current.write() = clients;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let settings = TlsSettings {
            certificate: path("certificate"),
            private_key: path("key"),
            client_ca: None,
        };
        let problem = || Tls::new(&settings).unwrap_err().to_string();
        assert!(problem().contains("certificate cannot be read"));
        std::fs::write(path("certificate"), "-----BEGIN SECRET").unwrap();
        std::fs::write(path("key"), "-----BEGIN SECRET").unwrap();
        assert!(problem().ends_with("certificate has no certificate in PEM"));
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(path("certificate"), pem).unwrap();
        assert!(problem().ends_with("key has no private key in PEM"));
        assert!(!problem().contains("SECRET"));
        let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        std::fs::write(path("key"), pem).unwrap();
        assert!(problem().contains("cannot be used"));
    }
}
