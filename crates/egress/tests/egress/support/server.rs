//! A server that speaks TLS and answers every request with the same bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::SERVER;

/// The name that the server's certificate is for.
pub(crate) const NAME: &str = "hooks.example";

/// A certificate authority of the test's own.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    /// The authority's certificate as an operator would write it into the settings.
    pub(crate) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// Makes a certificate for a name, valid within these years.
    pub(crate) fn issue(&self, name: &str, years: [i32; 2]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }
}

pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    /// Vouches for itself.
    pub(crate) fn self_signed(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        Self {
            certificate: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    fn acceptor(self) -> TlsAcceptor {
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![self.certificate],
                PrivateKeyDer::try_from(self.key).unwrap(),
            );
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }
}

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes the connection.
    Bytes(Vec<u8>),
    /// Sends these bytes, then the others again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends these bytes, and nothing more.
    Stall(Vec<u8>),
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        Self::head("200 OK", "", body)
    }

    /// An answer with its status, further header lines and its body.
    pub(crate) fn head(status: &str, lines: &str, body: &str) -> Self {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
        Self::Bytes(format!("{head}{lines}\r\n{body}").into_bytes())
    }
}

/// The heads of the requests that came, in their order.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// Serves TLS at the server's address and this port.
pub(crate) async fn serve_tls(
    port: u16,
    identity: Identity,
    reply: Reply,
    tasks: &TaskTracker,
) -> Seen {
    serve(port, Some(identity.acceptor()), reply, tasks).await
}

/// Serves plain HTTP there.
pub(crate) async fn serve_plain(port: u16, reply: Reply, tasks: &TaskTracker) -> Seen {
    serve(port, None, reply, tasks).await
}

async fn serve(
    port: u16,
    acceptor: Option<TlsAcceptor>,
    reply: Reply,
    tasks: &TaskTracker,
) -> Seen {
    let address = SocketAddr::from((SERVER.parse::<Ipv4Addr>().unwrap(), port));
    let listener = TcpListener::bind(address).await.unwrap();
    let seen = Seen::default();
    let (kept, more) = (Arc::clone(&seen), tasks.clone());
    tasks.spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, reply, seen) = (acceptor.clone(), reply.clone(), Arc::clone(&kept));
            more.spawn(async move {
                match acceptor {
                    None => answer(tcp, &reply, &seen).await,
                    Some(acceptor) => {
                        // A client that does not trust us leaves here.
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            answer(tls, &reply, &seen).await;
                        }
                    }
                }
            });
        }
    });
    seen
}

async fn answer(mut io: impl AsyncRead + AsyncWrite + Unpin, reply: &Reply, seen: &Seen) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 4_096];
        match io.read(&mut piece).await {
            Ok(1..) => head.extend(piece.iter().copied().take_while(|byte| *byte != 0)),
            _ => return,
        }
    }
    seen.lock().unwrap().push(String::from_utf8(head).unwrap());
    // The client may leave at any time; that is what some tests are about.
    match reply {
        Reply::Bytes(bytes) => drop(io.write_all(bytes).await),
        Reply::Endless(first, again) => {
            let mut next = first;
            while io.write_all(next).await.is_ok() {
                next = again;
            }
        }
        Reply::Stall(bytes) => {
            drop(io.write_all(bytes).await);
            drop(io.flush().await);
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
    drop(io.shutdown().await);
}
