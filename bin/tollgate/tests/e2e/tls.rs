//! TLS for clients: handshakes, certificates that change, clients that must have one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tollgate_testkit::{
    Call, Connection, End, Gateway, GatewaySettings, Script, ScriptedUpstream, request,
};

use crate::common::{chat, start_with};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// An authority of a test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
struct Made {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    fn make(&self) -> Made {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["gateway.test".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { certificate, key }
    }
}

impl Made {
    fn write(&self, dir: &Path) {
        std::fs::write(dir.join("certificate.pem"), self.certificate.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), self.key.serialize_pem()).unwrap();
    }
}

/// A gateway with TLS, and its files.
struct Site {
    dir: tempfile::TempDir,
    authority: Authority,
    gateway: Gateway,
    upstream: ScriptedUpstream,
}

impl Site {
    /// `clients` is the authority of clients, if they need one.
    fn start(clients: Option<&Authority>, server: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        authority.make().write(dir.path());
        let at = dir.path().display();
        let mut tls =
            format!("certificate = \"{at}/certificate.pem\"\nprivate_key = \"{at}/key.pem\"");
        if let Some(clients) = clients {
            std::fs::write(dir.path().join("clients.pem"), clients.certificate.pem()).unwrap();
            tls += &format!("\nclient_ca = \"{at}/clients.pem\"");
        }
        let (upstream, gateway) = start_with(GatewaySettings {
            tls,
            server: server.to_owned(),
            ..GatewaySettings::default()
        });
        Self {
            dir,
            authority,
            gateway,
            upstream,
        }
    }

    /// Connects as a client that trusts this authority and shows this certificate.
    fn connect(
        &self,
        trusted: &Authority,
        own: Option<&Made>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<Stream> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(made) => {
                let key = PrivatePkcs8KeyDer::from(made.key.serialize_der());
                let chain: Vec<CertificateDer<'static>> = vec![made.certificate.der().clone()];
                let key = PrivateKeyDer::from(key);
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = ServerName::try_from("gateway.test").unwrap();
        let client =
            ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let socket = TcpStream::connect(self.gateway.address())?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(StreamOwned::new(client, socket))
    }

    fn stream(&self) -> Stream {
        self.connect(&self.authority, None, rustls::ALL_VERSIONS)
            .unwrap()
    }

    /// Whether a new client that trusts this authority gets an answer.
    fn serves(&self, trusted: &Authority) -> bool {
        let stream = self.connect(trusted, None, rustls::ALL_VERSIONS);
        stream.and_then(|mut stream| get(&mut stream)).is_ok()
    }

    fn wait_until_served(&self, trusted: &Authority, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.serves(trusted) {
            assert!(Instant::now() < deadline, "{:?}", self.gateway.lines());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Asks for a page on an open connection, and returns the answer's head.
fn get(stream: &mut Stream) -> std::io::Result<String> {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: gateway.test\r\n\r\n")?;
    let mut text = String::new();
    while !text.ends_with("{\"status\":\"ok\"}") {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text += &String::from_utf8_lossy(&piece[..count]);
    }
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    Ok(text)
}

#[test]
fn both_good_versions_are_spoken_and_plain_http_is_not() {
    let site = Site::start(None, "");
    for version in rustls::ALL_VERSIONS {
        let mut stream = site.connect(&site.authority, None, &[version]).unwrap();
        for _ in 0..3 {
            let head = get(&mut stream).unwrap();
            let strict = "strict-transport-security: max-age=63072000; includeSubDomains";
            assert!(head.contains(strict), "{head}");
        }
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(stream.conn.alpn_protocol(), None, "none was offered");
        drop(stream);
    }
    let mut plain = Connection::open(site.gateway.address()).unwrap();
    plain
        .send(&request("GET", "/health/live", &[], None))
        .unwrap();
    assert!(plain.read_answer().is_err(), "no HTTP without TLS");
    assert!(!site.serves(&Authority::new()), "a stranger's authority");
}

#[test]
fn certificates_change_without_a_connection_being_dropped() {
    let site = Site::start(None, "keep_alive_s = 60");
    let mut old = site.stream();
    get(&mut old).unwrap();

    let second = Authority::new();
    second.make().write(site.dir.path());
    site.gateway.sighup();
    site.wait_until_served(&second, Duration::from_secs(5));
    assert!(!site.serves(&site.authority), "the old certificate is gone");

    // A key that is not the certificate's, and then no certificate at all.
    let (third, other) = (Authority::new(), Authority::new());
    let key = other.make().key.serialize_pem();
    for (file, text) in [("key.pem", key.as_str()), ("certificate.pem", "nothing")] {
        std::fs::write(site.dir.path().join(file), text).unwrap();
        let refusals = || {
            let lines = site.gateway.lines();
            let is_it = |line: &&String| line.contains("the old ones stay in use");
            lines.iter().filter(is_it).count()
        };
        let before = refusals();
        site.gateway.sighup();
        let deadline = Instant::now() + Duration::from_secs(5);
        while refusals() == before {
            assert!(Instant::now() < deadline, "{:?}", site.gateway.lines());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(site.serves(&second), "{file}");
    }

    // Without a signal the files are looked at from time to time.
    third.make().write(site.dir.path());
    site.wait_until_served(&third, Duration::from_secs(15));
    get(&mut old).expect("the connection from the beginning");
}

#[test]
fn a_client_without_the_right_certificate_is_refused() {
    let (clients, strangers) = (Authority::new(), Authority::new());
    let site = Site::start(Some(&clients), "");
    let (right, wrong) = (clients.make(), strangers.make());
    let ask = |own: Option<&Made>, version| {
        let stream = site.connect(&site.authority, own, &[version]);
        stream.and_then(|mut stream| get(&mut stream))
    };
    for version in rustls::ALL_VERSIONS {
        ask(Some(&right), version).expect("the right one");
        ask(None, version).expect_err("none");
        ask(Some(&wrong), version).expect_err("that of another authority");
        let servers_own = site.authority.make();
        ask(Some(&servers_own), version).expect_err("that of the server's authority");
    }
    // The authority changes like the certificate does.
    std::fs::write(
        site.dir.path().join("clients.pem"),
        strangers.certificate.pem(),
    )
    .unwrap();
    site.gateway.sighup();
    let deadline = Instant::now() + Duration::from_secs(5);
    while ask(Some(&wrong), &rustls::version::TLS13).is_err() {
        assert!(Instant::now() < deadline, "{:?}", site.gateway.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
    ask(Some(&right), &rustls::version::TLS13).expect_err("the one from before");
}

#[test]
fn connections_end_over_tls_as_they_do_without() {
    let site = Site::start(None, "keep_alive_s = 1\nconnections_per_address_max = 3");
    // A client that leaves cancels its call, with a farewell or without.
    for says_goodbye in [true, false] {
        let before = site.upstream.calls().len();
        site.upstream.on("up-m", Script::hang());
        let bearer = format!("Bearer {}", site.gateway.key());
        let ask = request(
            "POST",
            "/v1/chat/completions",
            &[("authorization", &bearer)],
            Some(&chat("m", (1, 1))),
        );
        let mut stream = site.stream();
        stream.write_all(&ask).unwrap();
        drop(site.upstream.wait_for_calls(before + 1));
        if says_goodbye {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        let left = Instant::now();
        drop(stream);
        let is_cancelled = |calls: &[Call]| matches!(calls[before].end, End::Cancelled(_));
        assert!(
            site.upstream
                .wait_until(Duration::from_secs(5), is_cancelled)
        );
        let End::Cancelled(at) = site.upstream.calls()[before].end else {
            unreachable!()
        };
        assert!(at.saturating_duration_since(left) < Duration::from_secs(1));
    }
    // One that waits is swept.
    let mut idle = site.stream();
    get(&mut idle).unwrap();
    let waited = Instant::now();
    assert!(matches!(idle.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert!(
        waited.elapsed() < Duration::from_secs(5),
        "{:?}",
        waited.elapsed()
    );
    // And an address holds only so many.
    let mut held: Vec<Stream> = (0..3).map(|_| site.stream()).collect();
    assert!(held.iter_mut().all(|stream| get(stream).is_ok()));
    get(&mut site.stream()).expect_err("a fourth one");
}
