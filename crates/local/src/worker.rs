//! The thread of the model: loads it, and answers one call after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use parking_lot::Mutex;
use rayon::ThreadPoolBuilder;
use tollgate_providers::Health;

use crate::config::LocalConfig;
use crate::loaded::Loaded;
use crate::matrix::Threads;
use crate::model_file::LoadError;
use crate::queue::{Event, Queue, Woken};

/// How often a file that could not be loaded is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What the thread shares with who calls.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: LocalConfig,
    pub(crate) queue: Arc<Queue>,
    /// `None` as long as nobody asked for the model.
    pub(crate) health: Mutex<Option<Health>>,
}

/// By what a file is known to have changed.
type Stamp = Option<(u64, SystemTime)>;

/// Starts the thread.
pub(crate) fn spawn(shared: Arc<Shared>) -> io::Result<()> {
    let thread = thread::Builder::new().name("local-model".to_owned());
    thread.spawn(move || {
        lower_priority();
        match threads(shared.config.threads) {
            1 => run(&shared, Threads::One),
            count => run_in_pool(&shared, count),
        }
    })?;
    Ok(())
}

/// Returns how many threads compute.
fn threads(wanted: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if wanted == 0 {
        (cores / 2).clamp(1, 4)
    } else {
        wanted.min(cores)
    }
}

fn run_in_pool(shared: &Shared, count: usize) {
    let pool = ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|index| format!("local-model-{index}"))
        .build();
    match pool {
        Ok(pool) => pool.install(|| run(shared, Threads::Pool)),
        Err(_) => run(shared, Threads::One),
    }
}

/// Lets those who serve requests go first.
fn lower_priority() {
    // On Linux this is the priority of the calling thread alone, and of those that it starts.
    // Where it is not allowed, the model competes as an equal.
    #[cfg(target_os = "linux")]
    rustix::process::nice(10).ok();
}

fn run(shared: &Shared, threads: Threads) {
    let path = shared.config.path.as_path();
    loop {
        let stamp = stamp(path);
        let loaded = guarded(|| Loaded::load(&shared.config, threads))
            .unwrap_or_else(|| Err(LoadError("it is not a sound GGUF file".to_owned())));
        match loaded {
            Ok(model) => {
                *shared.health.lock() = Some(Health::Ready);
                return serve(&shared.queue, &model);
            }
            Err(error) => {
                let advice = advice(path, &error);
                tracing::warn!(advice, "the local model cannot be loaded");
                let failed = Health::Failed {
                    advice: advice.clone(),
                };
                *shared.health.lock() = Some(failed);
                if !is_changed(shared, stamp, &advice) {
                    return;
                }
                *shared.health.lock() = Some(Health::Starting);
            }
        }
    }
}

fn serve(queue: &Queue, model: &Loaded) {
    while queue.wait(None) != Woken::Closed {
        let Some(job) = queue.pop() else { continue };
        let started = Instant::now();
        guarded(|| model.answer(&job.chat, &job.events));
        queue.took(started.elapsed());
    }
}

/// Waits until the file is another one, and says until then what is wrong with it. Returns
/// false if the queue is closed before.
fn is_changed(shared: &Shared, known: Stamp, advice: &str) -> bool {
    loop {
        let woken = shared.queue.wait(Some(LOOK_AGAIN));
        if woken == Woken::Closed {
            return false;
        }
        if stamp(&shared.config.path) != known {
            return true;
        }
        // One at a time: the next may come when the file is another one already.
        if let Some(job) = shared.queue.pop() {
            let advice = advice.to_owned();
            // Who left in the meantime needs no advice.
            job.events.try_send(Event::NotReady { advice }).ok();
        }
    }
}

/// Keeps a panic, which the libraries below may hold, from taking the thread along.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Returns what to do when the file is not there.
pub(crate) fn advice_for_missing(path: &Path) -> String {
    let path = path.display();
    format!("there is no model at {path}: run scripts/fetch-model, or correct the path")
}

fn advice(path: &Path, error: &LoadError) -> String {
    if !path.is_file() {
        return advice_for_missing(path);
    }
    let path = path.display();
    format!(
        "the model at {path} cannot be used, {error}: remove it and run scripts/fetch-model, or \
         choose another one"
    )
}
