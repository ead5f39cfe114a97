//! A provider that does what a test tells it.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::call::{Call, Connection, End};
use crate::script::{Script, Step, read_asked};

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    queues: HashMap<String, VecDeque<Script>>,
    scripts: HashMap<String, Script>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Call)) {
        let mut state = self.lock();
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let Some(call) = state.calls.get_mut(index) {
            change(call);
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// An HTTP/1.1 server on a port of its own that answers by script and remembers every call.
///
/// A script belongs to a model: the queue of the model is used up first, then the model's own
/// script, then [`Script::default`]. It runs on its own thread and ends when it is dropped.
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for ScriptedUpstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedUpstream")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl ScriptedUpstream {
    /// Starts one on a free port of the loopback.
    #[must_use]
    pub fn start() -> Self {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener that does not block");
        let address = listener.local_addr().expect("the address of the listener");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for the scripted upstream");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL to configure, with `/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Sets what every call of a model gets.
    pub fn on(&self, model: &str, script: Script) {
        self.shared.lock().scripts.insert(model.to_owned(), script);
    }

    /// Adds what the next calls of a model get, one each.
    pub fn queue(&self, model: &str, scripts: impl IntoIterator<Item = Script>) {
        self.shared
            .lock()
            .queues
            .entry(model.to_owned())
            .or_default()
            .extend(scripts);
    }

    /// Returns every call so far, in the order in which they arrived.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    /// Returns every call of a model so far.
    #[must_use]
    pub fn calls_of(&self, model: &str) -> Vec<Call> {
        let state = self.shared.lock();
        state
            .calls
            .iter()
            .filter(|call| call.model == model)
            .cloned()
            .collect()
    }

    /// Returns how many calls the caller gave up before their answer was whole.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        let state = self.shared.lock();
        state
            .calls
            .iter()
            .filter(|call| matches!(call.end, End::Cancelled(_)))
            .count()
    }

    /// Waits until the calls so far satisfy the condition; returns whether they did in time.
    pub fn wait_until(&self, timeout: Duration, is_met: impl Fn(&[Call]) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        while !is_met(&state.calls) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Waits up to 10 seconds until there are `count` calls, and returns them.
    #[must_use]
    pub fn wait_for_calls(&self, count: usize) -> Vec<Call> {
        let is_met = self.wait_until(Duration::from_secs(10), |calls| calls.len() >= count);
        let calls = self.calls();
        assert!(is_met, "{} calls instead of {count}", calls.len());
        calls
    }
}

impl Drop for ScriptedUpstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Returns a base URL at a port where nobody listens.
#[must_use]
pub fn refusing_url() -> String {
    format!("http://127.0.0.1:{}/v1", free_port())
}

/// Returns a port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener
        .local_addr()
        .expect("the address of the listener")
        .port()
}

async fn accept(listener: StdListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listener on this runtime");
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&shared)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves the calls of one connection, one after the other.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    drop(stream.set_nodelay(true));
    let mut connection = Connection::new(stream);
    while let Ok(Some(call)) = connection.read_call().await {
        let (number, script, asked) = {
            let mut state = shared.lock();
            let number = u64::try_from(state.calls.len()).unwrap_or(u64::MAX) + 1;
            let asked = read_asked(number, &call.path, &call.body);
            let queued = state
                .queues
                .get_mut(&asked.model)
                .and_then(VecDeque::pop_front);
            let script = queued.or_else(|| state.scripts.get(&asked.model).cloned());
            state.calls.push(Call {
                number,
                model: asked.model.clone(),
                ..call
            });
            (number, script.unwrap_or_default(), asked)
        };
        shared.changed.notify_all();
        let note = |step: &Step| shared.change(number, |call| call.note(step));
        let end = connection.play(&script.steps(&asked), &note).await;
        shared.change(number, |call| call.end = end);
        if end != End::Whole {
            return;
        }
    }
}
