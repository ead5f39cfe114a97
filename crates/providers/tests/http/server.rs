//! A server on a port of its own, by script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use tollgate_providers::{Endpoint, HttpLimits, HttpProvider, UpstreamRequest};

/// What is longer than this does not happen at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A step of the answer to one request.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    Send(String),
    Sleep(Duration),
    /// Waits until the test lets it go on.
    WaitForTest,
    /// Waits until the client has left.
    WaitForClient,
    Close,
}

/// A whole answer in JSON.
pub(crate) fn whole(body: &str) -> Vec<Do> {
    status(200, "content-type: application/json\r\n", body)
}

pub(crate) fn status(status: u16, headers: &str, body: &str) -> Vec<Do> {
    let length = body.len();
    vec![Do::Send(format!(
        "HTTP/1.1 {status} S\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))]
}

/// The head of a stream.
pub(crate) fn stream_head() -> Do {
    Do::Send(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
         transfer-encoding: chunked\r\n\r\n"
            .to_owned(),
    )
}

pub(crate) fn chunk(text: &str) -> Do {
    Do::Send(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// A request that arrived: on which connection, its head and its body.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) head: String,
    pub(crate) body: String,
}

#[derive(Debug, Default)]
struct Log {
    connections: usize,
    seen: Vec<Seen>,
    left: Vec<Instant>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    pub(crate) go_on: Arc<Notify>,
    _serving: JoinSet<()>,
}

impl Server {
    /// Answers the requests with these, the last one again and again.
    pub(crate) async fn start(answers: Vec<Vec<Do>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, go_on) = (Arc::<Mutex<Log>>::default(), Arc::<Notify>::default());
        let (kept, waited_for) = (Arc::clone(&log), Arc::clone(&go_on));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = {
                    let mut log = kept.lock().unwrap();
                    log.connections += 1;
                    log.connections
                };
                let connection = Connection {
                    stream,
                    number,
                    log: Arc::clone(&kept),
                    go_on: Arc::clone(&waited_for),
                    answers: answers.clone(),
                };
                connections.spawn(async move { drop(connection.serve().await) });
            }
        });
        Self {
            address,
            log,
            go_on,
            _serving: serving,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().seen.clone()
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn wait_for(&self, requests: usize) {
        self.wait_until(|log| log.seen.len() >= requests).await;
    }

    /// Waits until a client has left, and returns when it did.
    pub(crate) async fn left(&self) -> Instant {
        self.wait_until(|log| !log.left.is_empty()).await;
        self.log.lock().unwrap().left[0]
    }

    async fn wait_until(&self, is_met: impl Fn(&Log) -> bool) {
        let poll = async {
            while !is_met(&self.log.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.unwrap();
    }

    /// A provider at this server.
    pub(crate) fn provider(&self, limits: HttpLimits) -> HttpProvider {
        let url = format!("http://{}/v1", self.address);
        let key = "sk-secret".to_owned().into();
        HttpProvider::new(&url, Some(&key), limits, TaskTracker::new()).unwrap()
    }
}

struct Connection {
    stream: TcpStream,
    number: usize,
    log: Arc<Mutex<Log>>,
    go_on: Arc<Notify>,
    answers: Vec<Vec<Do>>,
}

impl Connection {
    async fn serve(mut self) -> std::io::Result<()> {
        loop {
            let (head, body) = self.read_request().await?;
            let place = {
                let mut log = self.log.lock().unwrap();
                let connection = self.number;
                log.seen.push(Seen {
                    connection,
                    head,
                    body,
                });
                log.seen.len() - 1
            };
            let answer = self.answers.get(place).or(self.answers.last()).cloned();
            for step in answer.unwrap_or_default() {
                match step {
                    Do::Send(text) => self.stream.write_all(text.as_bytes()).await?,
                    Do::Sleep(wait) => tokio::time::sleep(wait).await,
                    Do::WaitForTest => self.go_on.notified().await,
                    Do::WaitForClient => {
                        while self.stream.read(&mut [0; 1024]).await.unwrap_or(0) > 0 {}
                        self.log.lock().unwrap().left.push(Instant::now());
                        return Ok(());
                    }
                    Do::Close => return Ok(()),
                }
            }
        }
    }

    async fn read_request(&mut self) -> std::io::Result<(String, String)> {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    return Ok((head.clone(), body.to_owned()));
                }
            }
            if self.stream.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A request for a whole answer.
pub(crate) fn request() -> UpstreamRequest {
    UpstreamRequest {
        endpoint: Endpoint::ChatCompletions,
        body: Bytes::from_static(b"{\"model\":\"m\"}"),
        is_stream: false,
        trace_parent: None,
        deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(30),
    }
}

/// A request for a stream.
pub(crate) fn stream_request() -> UpstreamRequest {
    UpstreamRequest {
        is_stream: true,
        ..request()
    }
}
