//! Real reverse proxies before a server, each with connections that it keeps and shares.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::upstream::free_port;

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A proxy as a process. It is killed when it is dropped.
#[derive(Debug)]
pub struct ReverseProxy {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl ReverseProxy {
    /// Starts nginx before a server.
    ///
    /// # Panics
    /// When nginx is not installed or does not start.
    #[must_use]
    pub fn nginx(server: SocketAddr) -> Self {
        Self::start("nginx", |dir, address| {
            let settings = format!(
                "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/error;\n\
                 events {{ worker_connections 256; }}\n\
                 http {{\n  access_log off;\n  client_body_temp_path {dir}/body;\n\
                 proxy_temp_path {dir}/proxy;\n  fastcgi_temp_path {dir}/fastcgi;\n\
                 uwsgi_temp_path {dir}/uwsgi;\n  scgi_temp_path {dir}/scgi;\n\
                 upstream server {{ server {server}; keepalive 1; }}\n\
                 server {{\n    listen {address};\n    location / {{\n\
                 proxy_pass http://server;\n      proxy_http_version 1.1;\n\
                 proxy_set_header Connection \"\";\n      proxy_set_header Host $http_host;\n\
                 proxy_request_buffering off;\n      proxy_buffering off;\n    }}\n  }}\n}}\n"
            );
            (settings, vec!["-c".to_owned()])
        })
    }

    /// Starts `HAProxy` before a server.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    #[must_use]
    pub fn haproxy(server: SocketAddr) -> Self {
        Self::start("haproxy", |_, address| {
            let settings = format!(
                "global\n  nbthread 1\n  maxconn 256\n\
                 defaults\n  mode http\n  timeout connect 5s\n  timeout client 20s\n\
                 timeout server 20s\n  http-reuse always\n\
                 frontend clients\n  bind {address}\n  default_backend servers\n\
                 backend servers\n  server one {server} maxconn 1 pool-max-conn 1\n"
            );
            (settings, vec!["-db".to_owned(), "-f".to_owned()])
        })
    }

    fn start(name: &str, settings: impl Fn(&str, SocketAddr) -> (String, Vec<String>)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let (text, arguments) = settings(&dir.path().display().to_string(), address);
        let file = dir.path().join("settings");
        std::fs::write(&file, text).expect("a settings file");
        let mut command = Command::new(format!("/usr/sbin/{name}"));
        let child = command
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().expect("the state of the process");
            assert!(ended.is_none(), "{name} ended: {ended:?}");
            assert!(Instant::now() < deadline, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self {
            child,
            address,
            _dir: dir,
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ReverseProxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
