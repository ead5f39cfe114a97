//! Where checkpoints go: a file, a syslog, a URL.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::UdpSocket;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use secrecy::ExposeSecret as _;
use tollgate_egress::webhook::{self, MessageId, WebhookSecret, WebhookSecrets};
use tollgate_egress::{AllowList, EgressClient, EgressConfig, Target};
use tollgate_engine::now;
use uuid::Uuid;

use crate::audit_settings::{AuditSettings, SyslogSetting, WebhookSetting};
use crate::problem::Problem;
use crate::secrets::resolve;

/// How long one attempt to deliver may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// The waits after attempts that failed; what is left waits for the next checkpoints.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long the machine's own syslog may take.
const SYSLOG_TIMEOUT: Duration = Duration::from_secs(2);
/// Facility 13, "log audit", severity 5, "notice":
/// <https://www.rfc-editor.org/rfc/rfc5424#section-6.2.1>.
const SYSLOG_PRIORITY: u8 = 13 * 8 + 5;
/// The most checkpoints in one message to a URL.
const MESSAGE_LINES_MAX: usize = 500;
/// How much of the end of a file is looked at for a line that was cut off.
const TAIL_BYTES: u64 = 4_096;

/// Where checkpoints go.
#[derive(Debug)]
pub(crate) enum Sink {
    File(File),
    Syslog(SyslogSetting),
    Webhook(Box<Hook>),
}

#[derive(Debug)]
pub(crate) struct Hook {
    client: EgressClient,
    target: Target,
    secrets: WebhookSecrets,
}

/// Makes every sink of the settings.
pub(crate) fn sinks(settings: &AuditSettings) -> Result<Vec<Sink>, Problem> {
    let mut sinks = Vec::new();
    if let Some(path) = &settings.checkpoint_file {
        let file = open_file(path).map_err(|error| {
            let place = format!("audit.checkpoint_file ({})", path.display());
            Problem::new(&place, format!("it cannot be written: {error}"))
        })?;
        sinks.push(Sink::File(file));
    }
    sinks.extend(settings.checkpoint_syslog.clone().map(Sink::Syslog));
    if let Some(setting) = &settings.checkpoint_webhook {
        sinks.push(Sink::Webhook(Box::new(hook(setting)?)));
    }
    Ok(sinks)
}

/// Opens a file to append to, for the owner alone. What the power took the end of is cut off, so that
/// every line is a whole one.
fn open_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true).mode(0o600);
    let mut file = options.open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    (&file).take(TAIL_BYTES).read_to_end(&mut tail)?;
    let whole = tail
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    if whole < tail.len() {
        file.set_len(from + whole as u64)?;
    }
    Ok(file)
}

fn hook(setting: &WebhookSetting) -> Result<Hook, Problem> {
    let place = "audit.checkpoint_webhook";
    let problem = |error: String| Problem::new(place, error);
    // The settings name it, so it may be inside: this host and port alone.
    let host = host_and_port(&setting.url).ok_or_else(|| problem("url: no host".to_owned()))?;
    let allowed = AllowList::parse([host]).map_err(|error| problem(format!("url: {error}")))?;
    let client = EgressClient::new(EgressConfig {
        allowed,
        total_timeout: DELIVERY_TIMEOUT,
        ..EgressConfig::default()
    });
    let client = client.map_err(|error| problem(error.to_string()))?;
    let target = client.target(&setting.url);
    let target = target.map_err(|error| problem(format!("url: {error}")))?;
    let secret = resolve(place, "secret", &setting.secret)?;
    let secret = secret.ok_or_else(|| problem("secret: it is empty".to_owned()))?;
    let secrets = WebhookSecret::parse(secret.expose_secret())
        .and_then(|secret| WebhookSecrets::new(secret, Vec::new()))
        .map_err(|error| problem(format!("secret: {error}")))?;
    Ok(Hook {
        client,
        target,
        secrets,
    })
}

fn host_and_port(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    let usual = if url.scheme_str()? == "https" {
        443
    } else {
        80
    };
    let port = url.port_u16().unwrap_or(usual);
    Some(format!("{}:{port}", url.host()?))
}

impl Sink {
    /// The name in logs and metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Syslog(_) => "syslog",
            Self::Webhook(_) => "webhook",
        }
    }

    /// Sends lines.
    pub(crate) async fn send(&mut self, lines: &[String]) -> anyhow::Result<()> {
        match self {
            Self::File(file) => {
                let mut text = lines.join("\n");
                text.push('\n');
                file.write_all(text.as_bytes())?;
                file.sync_data()?;
                Ok(())
            }
            Self::Syslog(SyslogSetting::Udp(address)) => send_udp(address, lines),
            Self::Syslog(SyslogSetting::Unix(path)) => send_unix(path, lines),
            Self::Webhook(hook) => {
                for some in lines.chunks(MESSAGE_LINES_MAX) {
                    hook.send(some).await?;
                }
                Ok(())
            }
        }
    }
}

/// As <https://www.rfc-editor.org/rfc/rfc5424#section-6> has it.
fn send_udp(address: &str, lines: &[String]) -> anyhow::Result<()> {
    let resolved = std::net::ToSocketAddrs::to_socket_addrs(address)?.next();
    let to = resolved.context("the syslog's name has no address")?;
    let local = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local)?;
    socket.connect(to)?;
    let (at, pid) = (now(), std::process::id());
    for line in lines {
        let message = format!("<{SYSLOG_PRIORITY}>1 {at} - tollgate {pid} checkpoint - {line}");
        socket.send(message.as_bytes())?;
    }
    Ok(())
}

/// As daemons of one machine take it: <https://www.rfc-editor.org/rfc/rfc3164#section-4.1.3>, the time is
/// theirs.
fn send_unix(path: &Path, lines: &[String]) -> anyhow::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SYSLOG_TIMEOUT))?;
    socket.connect(path)?;
    let pid = std::process::id();
    for line in lines {
        socket.send(format!("<{SYSLOG_PRIORITY}>tollgate[{pid}]: {line}").as_bytes())?;
    }
    Ok(())
}

impl Hook {
    async fn send(&self, lines: &[String]) -> anyhow::Result<()> {
        let message = serde_json::json!({
            "type": "audit.checkpoints",
            "timestamp": now(),
            "data": { "checkpoints": lines },
        });
        let body = bytes::Bytes::from(message.to_string());
        let id = MessageId::parse(&format!("audit_{}", Uuid::now_v7().simple()))?;
        let mut waits = WAITS.iter();
        loop {
            let target = self.target.clone();
            let request = webhook::request(target, &self.secrets, &id, now(), body.clone())?;
            let failed = match self.client.send(request).await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => anyhow!("it answered {}", answer.status),
                Err(error) => error.into(),
            };
            let Some(wait) = waits.next() else {
                return Err(failed);
            };
            tokio::time::sleep(*wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str) -> Vec<String> {
        vec![format!("{name} 1"), format!("{name} 2")]
    }

    #[tokio::test]
    async fn a_file_has_whole_lines_whatever_was_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoints");
        for (before, expected) in [
            ("", "a 1\na 2\n"),
            ("whole\n", "whole\na 1\na 2\n"),
            ("whole\ntor", "whole\na 1\na 2\n"),
            ("torn", "a 1\na 2\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            let settings = AuditSettings {
                checkpoint_file: Some(path.clone()),
                ..AuditSettings::default()
            };
            let mut all = sinks(&settings).unwrap();
            all[0].send(&lines("a")).await.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        }
        let settings = AuditSettings {
            checkpoint_file: Some(folder.path().join("no/such/folder")),
            ..AuditSettings::default()
        };
        let problem = sinks(&settings).unwrap_err().to_string();
        assert!(problem.contains("audit.checkpoint_file"), "{problem}");
    }

    #[tokio::test]
    async fn syslogs_get_a_message_for_each_line() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let mut sink = Sink::Syslog(SyslogSetting::Udp(address));
        sink.send(&lines("a")).await.unwrap();
        let mut buffer = [0; 2_048];
        for expected in ["a 1", "a 2"] {
            let count = server.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..count]).unwrap();
            assert!(
                text.starts_with("<109>1 20") && text.ends_with(expected),
                "{text}"
            );
            assert_eq!(text.splitn(8, ' ').nth(7), Some(expected), "{text}");
        }

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let server = UnixDatagram::bind(&path).unwrap();
        let mut sink = Sink::Syslog(SyslogSetting::Unix(path.clone()));
        sink.send(&lines("b")).await.unwrap();
        let count = server.recv(&mut buffer).unwrap();
        let expected = format!("<109>tollgate[{}]: b 1", std::process::id());
        assert_eq!(&buffer[..count], expected.as_bytes());
        drop(server);
        assert!(sink.send(&lines("c")).await.is_err());
    }

    #[test]
    fn a_url_opens_its_own_host_and_port_alone() {
        let host = |url: &str| host_and_port(url);
        assert_eq!(host("http://127.0.0.1:9/x").as_deref(), Some("127.0.0.1:9"));
        assert_eq!(
            host("https://logs.corp/x").as_deref(),
            Some("logs.corp:443")
        );
        assert_eq!(host("http://[::1]/").as_deref(), Some("[::1]:80"));
        assert_eq!(host("/x"), None);
        let setting = |url: &str, secret: &str| WebhookSetting {
            url: url.to_owned(),
            secret: secret.into(),
        };
        let good = WebhookSecret::generate().unwrap();
        assert!(hook(&setting("http://10.0.0.1:8080/in", good.expose())).is_ok());
        for (url, secret) in [
            ("ftp://a.example/", good.expose()),
            ("https://a.example/", "short"),
            ("https://a.example/", ""),
            ("a", good.expose()),
        ] {
            let problem = hook(&setting(url, secret)).unwrap_err().to_string();
            assert!(problem.starts_with("audit.checkpoint_webhook"), "{problem}");
        }
    }

    /// Reads one request, answers with this status, and returns the head and the body.
    fn serve_once(listener: &std::net::TcpListener, status: &str) -> (String, Vec<u8>) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        loop {
            let mut some = [0; 4_096];
            let count = stream.read(&mut some).unwrap();
            assert!(count > 0, "the request ended early");
            bytes.extend(&some[..count]);
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = header(&head, "content-length").parse::<usize>().unwrap();
            if bytes.len() == end + 4 + length {
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                return (head, bytes[end + 4..].to_vec());
            }
        }
    }

    fn header<'a>(head: &'a str, name: &str) -> &'a str {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .unwrap()
            .1
    }

    #[tokio::test]
    async fn a_url_gets_a_signed_message_again_when_it_fails() {
        crate::tools::install_crypto();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let secret = WebhookSecret::generate().unwrap();
        let setting = WebhookSetting {
            url,
            secret: secret.expose().into(),
        };
        let served = std::thread::spawn(move || {
            ["500 Oops", "204 Taken"].map(|status| serve_once(&listener, status))
        });
        let mut sink = Sink::Webhook(Box::new(hook(&setting).unwrap()));
        sink.send(&lines("a")).await.unwrap();
        let [first, second] = served.join().unwrap();
        let secrets = WebhookSecrets::new(secret, Vec::new()).unwrap();
        for (head, body) in [&first, &second] {
            let received = webhook::Received {
                id: header(head, "webhook-id"),
                timestamp: header(head, "webhook-timestamp"),
                signature: header(head, "webhook-signature"),
            };
            assert!(secrets.verify(&received, body, now()).is_ok());
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(
                body["data"]["checkpoints"],
                serde_json::json!(["a 1", "a 2"])
            );
        }
        assert_eq!(
            header(&first.0, "webhook-id"),
            header(&second.0, "webhook-id")
        );
    }
}
