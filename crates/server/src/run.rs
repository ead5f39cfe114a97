//! The life of the process: open, listen, serve, drain.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::KeepAlive;
use actix_web::web::Data;
use actix_web::{App, HttpServer, web};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_auth::{KeyText, SecretToken};
use tollgate_control::Bootstrapped;
use tollgate_engine::now;
use tollgate_upkeep::AuditLog;

use crate::assemble::Parts;
use crate::body::BodyLimits;
use crate::checkpoints::Publisher;
use crate::client::Proxies;
use crate::hardening::Harden;
use crate::installation::failure;
use crate::observe::{Observer, Telemetry};
use crate::people::People;
use crate::problem::Failure;
use crate::routes::register;
use crate::settings::{ServerSettings, Settings};
use crate::state::{Gate, Shared, WorkerState};
use crate::strangers::Doors;
use crate::sweeper::Sweeper;
use crate::tls::Tls;
use crate::tools::{base_url, install_crypto, setup_text};

/// How often changes made elsewhere are looked for, and connections swept.
const TICK: Duration = Duration::from_secs(1);

/// The largest body of an admin request.
const ADMIN_BODY_BYTES_MAX: usize = 256 << 10;

/// How long a stream may go unread by its client.
const UNREAD_MAX: Duration = Duration::from_secs(60);

/// How long what is settled may take to get into the database at the end.
const DRAIN_LEDGER: Duration = Duration::from_secs(10);

/// Returns a server that was bound to an address, running, with the address that it got.
macro_rules! running {
    ($http:expr, $address:expr) => {{
        let address = $address;
        let bound = $http.map_err(|source| Failure::Listen { address, source })?;
        let address = bound.addrs().first().copied().unwrap_or(address);
        Ok((bound.run(), address))
    }};
}

/// What a start is given besides the settings.
#[derive(Debug, Default)]
pub struct Options {
    /// The owner's key of an empty database.
    pub bootstrap_key: Option<KeyText>,
    /// A file descriptor that gets one byte when requests are accepted.
    pub ready_fd: Option<u32>,
    /// What to print when requests are accepted.
    pub announcement: Option<String>,
}

/// Serves until SIGTERM or SIGINT, then finishes what is under way. A second signal ends at once.
///
/// # Errors
/// See [`Failure`].
pub fn serve(settings: &Settings, options: &Options) -> Result<(), Failure> {
    // Before any secret is read.
    let hardened = tollgate_vault::harden_process();
    install_crypto();
    let telemetry = Telemetry::start(settings)?;
    if let Err(error) = hardened {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the system does not let core files be turned off"
        );
    }
    let parts = Arc::new(Parts::new(settings)?);
    let recovery = &parts.recovery;
    tracing::info!(
        segments = recovery.segments,
        events = recovery.events,
        unknown = recovery.unknown,
        corrupt_bytes = recovery.corrupt_bytes,
        "the journal is recovered"
    );
    bootstrap(&parts, options.bootstrap_key.as_ref())?;
    // Makes the keys of access tokens at the first start, and keeps them under a new master key.
    parts
        .accounts
        .jwks(now())
        .map_err(|error| Failure::Database(error.into()))?;
    let setup = first_token(&parts, options)?;
    let done =
        actix_web::rt::System::new().block_on(run(settings, (options, setup), &parts, &telemetry));
    if !parts.ledger.clone().close(DRAIN_LEDGER) {
        tracing::warn!("some usage waits in the journal for the next start");
    }
    tracing::info!("stopped");
    telemetry.stop();
    done
}

fn bootstrap(parts: &Parts, key: Option<&KeyText>) -> Result<(), Failure> {
    let Some(key) = key else { return Ok(()) };
    match parts.control.bootstrap(key, now()) {
        Ok(Bootstrapped::Created) => {
            tracing::info!(
                key.public_id = key.public_id(),
                "made organization default and its owner's key"
            );
            parts
                .engine
                .callers()
                .refresh()
                .map_err(|error| Failure::Database(error.into()))
        }
        Ok(Bootstrapped::InUse) => Ok(()),
        Err(error) => Err(Failure::Database(error.into())),
    }
}

/// Makes the token that lets the first person into an empty database that nobody has a key to.
fn first_token(parts: &Parts, options: &Options) -> Result<Option<SecretToken>, Failure> {
    if options.bootstrap_key.is_some() {
        return Ok(None);
    }
    let accounts = &parts.accounts;
    let made = accounts
        .is_empty()
        .and_then(|is_empty| is_empty.then(|| accounts.setup_token(now())).transpose());
    made.map_err(|error| Failure::Database(error.into()))
}

async fn run(
    settings: &Settings,
    (options, setup): (&Options, Option<SecretToken>),
    parts: &Arc<Parts>,
    telemetry: &Telemetry,
) -> Result<(), Failure> {
    // From here on a signal drains; before, it ends the process, which has nothing to lose yet.
    let signals = Signals::new().map_err(|error| Failure::Other(error.into()))?;
    let server = &settings.server;
    let tasks = TaskTracker::new();
    let shared = Arc::new(shared(settings, parts));
    let observer = Arc::new(telemetry.observer(parts)?);
    let waits = [Duration::from_secs(server.keep_alive_s), UNREAD_MAX];
    let doors = Doors::new(server.connections_per_address_max);
    let sweeper = Sweeper::new(waits, doors, Proxies::new(server));

    let publisher = publisher(settings, parts, &observer)?;
    let tls = server.tls.as_ref().map(Tls::new).transpose();
    let tls = tls?.map(Arc::new);

    let (http, address) = http_server(
        (server, tls.as_ref()),
        parts,
        &shared,
        &observer,
        &sweeper,
        &tasks,
    )?;
    let (metrics, metrics_address) = metrics_server(server.metrics_listen, &observer)?;
    let handles = [http.handle(), metrics.handle()];
    let metrics = actix_web::rt::spawn(metrics);
    let stop = Arc::new(AtomicBool::new(false));
    let ticker = ticker(parts, &shared, &sweeper, tls.clone(), &stop);
    if let Some(tls) = tls {
        look_on_hangup(tls, ticker.thread().clone())?;
    }
    let stop_checkpoints = CancellationToken::new();
    let checkpoints = publisher.map(|publisher| publisher.start(stop_checkpoints.clone()));
    let checkpoints = checkpoints
        .transpose()
        .map_err(|error| Failure::Other(error.into()))?;
    let mut drained = actix_web::rt::spawn(drain_on_signal(signals, Arc::clone(&shared), handles));

    tracing::info!(
        server.address = %address,
        metrics.address = %metrics_address,
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    announce(options)?;
    if let Some(token) = setup {
        let base = base_url(&settings.accounts, address);
        say(&setup_text(&base, &token));
    }
    let served = tokio::select! {
        served = http => served,
        // A second signal: what is under way is left.
        _ = &mut drained => Ok(()),
    };
    drained.abort();
    metrics.abort();
    stop.store(true, Ordering::Release);
    ticker.thread().unpark();
    tasks.close();
    drop(tokio::time::timeout(Duration::from_secs(1), tasks.wait()).await);
    drop(ticker.join());
    stop_checkpoints.cancel();
    drop(checkpoints.map(std::thread::JoinHandle::join));
    served.map_err(|source| Failure::Listen { address, source })
}

fn people(settings: &Settings, parts: &Parts) -> People {
    let cookies = settings
        .accounts
        .cookies(settings.server.listen.ip().is_loopback() && settings.server.tls.is_none());
    let origins = settings.accounts.origins(cookies);
    People::new(parts.accounts.clone(), cookies, origins)
}

fn shared(settings: &Settings, parts: &Parts) -> Shared {
    let timeout = Duration::from_millis(settings.server.body_timeout_ms);
    let body = |bytes_max| BodyLimits { bytes_max, timeout };
    Shared::new(
        (parts.control.clone(), people(settings, parts)),
        parts.ledger.clone(),
        Gate::new(&settings.server),
        [
            body(settings.server.body_bytes_max),
            body(ADMIN_BODY_BYTES_MAX),
        ],
        settings
            .providers
            .iter()
            .map(|provider| provider.name.clone())
            .collect(),
    )
}

fn publisher(
    settings: &Settings,
    parts: &Parts,
    observer: &Arc<Observer>,
) -> Result<Option<Publisher>, Failure> {
    let log = AuditLog::new(&parts.audit_root).map_err(failure)?;
    let observer = Arc::clone(observer);
    let told = Arc::new(move |sink, is_sent| observer.checkpoints(sink, is_sent));
    Publisher::new(&settings.audit, log, Arc::clone(&parts.database), told)
        .map_err(Failure::Settings)
}

fn http_server(
    (server, tls): (&ServerSettings, Option<&Arc<Tls>>),
    parts: &Arc<Parts>,
    shared: &Arc<Shared>,
    observer: &Arc<Observer>,
    sweeper: &Arc<Sweeper>,
    tasks: &TaskTracker,
) -> Result<(actix_web::dev::Server, SocketAddr), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if server.workers == 0 {
        cores
    } else {
        server.workers
    };
    let (parts, shared, observer) = (Arc::clone(parts), Arc::clone(shared), Arc::clone(observer));
    let (sweeper, tasks) = (Arc::clone(sweeper), tasks.clone());
    let http = HttpServer::new(move || {
        let app = App::new().wrap(Harden).configure(register);
        match parts.worker(&tasks) {
            Ok(worker) => app.app_data(Data::new(WorkerState::new(
                worker,
                Arc::clone(&shared),
                Arc::clone(&observer),
            ))),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a worker has no journal"
                );
                app
            }
        }
    })
    .workers(workers)
    .worker_max_blocking_threads(16)
    .max_connections(server.connections_max.div_ceil(workers))
    .backlog(4_096)
    // Without this, Nagle's algorithm holds the first events of a stream back for 40 ms.
    .tcp_nodelay(true)
    // A client that closes its side has left: its upstream call is cancelled at once.
    .h1_allow_half_closed(false)
    // The sweeper ends idle connections, without a timer for each answer.
    .keep_alive(KeepAlive::Os)
    .client_request_timeout(Duration::from_millis(server.head_timeout_ms))
    .client_disconnect_timeout(Duration::from_secs(2))
    .shutdown_timeout(server.drain_timeout_s)
    .on_connect(move |io, extensions| sweeper.connected(io, extensions))
    .disable_signals();
    let listen = server.listen;
    match tls {
        Some(tls) => {
            let config = tls.config()?;
            running!(http.bind_rustls_0_23(listen, config), listen)
        }
        None => running!(http.bind(listen), listen),
    }
}

fn metrics_server(
    listen: SocketAddr,
    observer: &Arc<Observer>,
) -> Result<(actix_web::dev::Server, SocketAddr), Failure> {
    let observer = Arc::clone(observer);
    let http = HttpServer::new(move || {
        let observer = Arc::clone(&observer);
        let render = move || {
            let observer = Arc::clone(&observer);
            async move {
                actix_web::HttpResponse::Ok()
                    .content_type("text/plain; version=0.0.4; charset=utf-8")
                    .body(observer.render_metrics())
            }
        };
        App::new()
            .wrap(Harden)
            .route("/metrics", web::get().to(render))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals();
    running!(http.bind(listen), listen)
}

/// Looks for changes made elsewhere, and sweeps connections, each second, on a thread of its own.
fn ticker(
    parts: &Arc<Parts>,
    shared: &Arc<Shared>,
    sweeper: &Arc<Sweeper>,
    tls: Option<Arc<Tls>>,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<()> {
    let (parts, shared) = (Arc::clone(parts), Arc::clone(shared));
    let (sweeper, stop) = (Arc::clone(sweeper), Arc::clone(stop));
    std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            sweeper.sweep();
            if let Some(tls) = &tls {
                tls.tick();
            }
            let asked = Instant::now();
            let answered = parts.engine.callers().refresh();
            if let Err(error) = &answered {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "the database does not answer"
                );
            }
            shared.note_database(answered.is_ok().then(|| asked.elapsed()));
            std::thread::park_timeout(TICK);
        }
    })
}

/// Has the certificates looked at on each SIGHUP.
fn look_on_hangup(tls: Arc<Tls>, ticker: std::thread::Thread) -> Result<(), Failure> {
    let hangup = signal(SignalKind::hangup());
    let mut hangup = hangup.map_err(|error| Failure::Other(error.into()))?;
    actix_web::rt::spawn(async move {
        while hangup.recv().await.is_some() {
            tls.ask();
            ticker.unpark();
        }
    });
    Ok(())
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for a signal, says "not ready" and lets what is under way finish. Returns at a second one.
async fn drain_on_signal(mut signals: Signals, shared: Arc<Shared>, handles: [ServerHandle; 2]) {
    signals.next().await;
    tracing::info!("draining");
    shared.drain();
    let [http, metrics] = handles;
    let draining = actix_web::rt::spawn(async move {
        http.stop(true).await;
        metrics.stop(false).await;
    });
    signals.next().await;
    tracing::warn!("a second signal: requests under way are left");
    draining.abort();
}

fn announce(options: &Options) -> Result<(), Failure> {
    if let Some(fd) = options.ready_fd {
        let written = OpenOptions::new()
            .write(true)
            .open(format!("/dev/fd/{fd}"))
            .and_then(|mut file| file.write_all(b"1"));
        written.map_err(|error| {
            Failure::Other(anyhow::anyhow!(
                "--ready-fd {fd} cannot be written: {error}"
            ))
        })?;
    }
    if let Some(text) = &options.announcement {
        say(text);
    }
    Ok(())
}

/// Prints for the operator; this is not a log line.
fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}
