//! What the tests of egress share: a sentinel that nobody may reach, a server that may be reached, and
//! resolvers that lie.

pub(crate) mod server;
pub(crate) mod spellings;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tollgate_egress::{
    AllowList, EgressClient, EgressConfig, EgressError, EgressMethod, EgressRequest,
    EgressResponse, ResolveFuture, Resolver,
};

/// Where the sentinel listens, and where the server does: at the same port, so that nothing but the
/// address tells them apart.
pub(crate) const SENTINEL: &str = "127.0.0.1";
pub(crate) const SERVER: &str = "127.0.0.2";

/// Counts the connections to a port of the loopback addresses.
pub(crate) struct Sentinel {
    pub(crate) port: u16,
    seen: Arc<AtomicUsize>,
}

impl Sentinel {
    pub(crate) async fn start(tasks: &TaskTracker) -> Self {
        let v4 = TcpListener::bind((SENTINEL, 0)).await.unwrap();
        let port = v4.local_addr().unwrap().port();
        let seen = Arc::new(AtomicUsize::new(0));
        count(v4, &seen, tasks);
        // Where there is no IPv6 nobody can come that way either.
        if let Ok(v6) = TcpListener::bind(("::1", port)).await {
            count(v6, &seen, tasks);
        }
        Self { port, seen }
    }

    /// Fails unless nobody came. Connects itself, to see that it would have counted: connections are
    /// accepted in their order, so that when this one was seen, each before it was too.
    pub(crate) async fn saw_nobody(&self) {
        drop(TcpStream::connect((SENTINEL, self.port)).await.unwrap());
        for _ in 0..1_000 {
            if self.seen.load(Ordering::SeqCst) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(
            self.seen.load(Ordering::SeqCst),
            1,
            "the sentinel was reached"
        );
    }
}

fn count(listener: TcpListener, seen: &Arc<AtomicUsize>, tasks: &TaskTracker) {
    let seen = Arc::clone(seen);
    tasks.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
}

/// Answers each question for any name with the next of its answers; the last one stays.
pub(crate) struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    pub(crate) asked: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let read = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(read).collect()),
            asked: AtomicUsize::new(0),
        })
    }
}

impl Resolver for Scripted {
    fn resolve(&self, _: &str) -> ResolveFuture {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// A configuration that opens a port on every host, and trusts this authority.
pub(crate) fn config(port: u16, allowed: &[&str], root_pem: Option<String>) -> EgressConfig {
    EgressConfig {
        allowed: AllowList::parse(allowed).unwrap(),
        ports_extra: vec![port],
        extra_roots_pem: root_pem,
        ..EgressConfig::default()
    }
}

pub(crate) fn client(config: EgressConfig, resolver: &Arc<Scripted>) -> EgressClient {
    EgressClient::with_resolver(config, Arc::clone(resolver) as Arc<dyn Resolver>).unwrap()
}

/// Reads a URL and asks for it.
pub(crate) async fn get(client: &EgressClient, url: &str) -> Result<EgressResponse, EgressError> {
    let target = client.target(url)?;
    client
        .send(EgressRequest::new(EgressMethod::Get, target))
        .await
}
