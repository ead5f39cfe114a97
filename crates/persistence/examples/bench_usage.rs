//! Measures what booking usage events costs: `cargo run --release -p tollgate-persistence --example
//! bench_usage -- [url [batches]]`. The default is an SQLite file in a new directory.

#![expect(
    clippy::print_stdout,
    reason = "a program that measures says what it found"
)]

use std::time::{Duration, Instant};

use tollgate_domain::Timestamp;
use tollgate_persistence::{PoolOptions, open};
use tollgate_store::conformance::fixtures::TestSealer;
use tollgate_store::conformance::fixtures::{NOW, charged, event, key_id, org_id};

const BATCH: u64 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = tempfile::TempDir::new()?;
    let file = format!("sqlite://{}", directory.path().join("bench.db").display());
    let url = arguments.next().unwrap_or(file);
    let batches: u64 = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let store = open(&url, &PoolOptions::default(), TestSealer::shared())?;

    let mut wall = Duration::ZERO;
    let cpu_before = cpu_time()?;
    let mut preparing = Duration::ZERO;
    for batch in 0..batches {
        let started = cpu_time()?;
        let events: Vec<_> = (0..BATCH).map(|n| realistic(batch * BATCH + n)).collect();
        preparing += cpu_time()?.saturating_sub(started);
        let started = Instant::now();
        store.record_usage(&events)?;
        wall += started.elapsed();
    }
    let cpu = cpu_time()?.saturating_sub(cpu_before + preparing);
    let events = batches * BATCH;
    let per_event = |time: Duration| time.as_nanos() / u128::from(events);
    println!(
        "{events} events in batches of {BATCH}: {} ns of CPU in this process and {} ns of time per event",
        per_event(cpu),
        per_event(wall),
    );

    let started = Instant::now();
    let books = store.verify_books()?;
    println!(
        "recounted {} events against {} roll-ups and {} budgets in {:?}; {} differ",
        books.events,
        books.rollups,
        books.budgets,
        started.elapsed(),
        books.mismatches.len()
    );
    Ok(())
}

/// Returns an event of one of 20 organizations with 5 keys each, that call 3 models.
fn realistic(n: u64) -> tollgate_domain::UsageEvent {
    let mut event = event(n);
    event.org_id = org_id(n % 20);
    event.key_id = key_id(n % 100);
    event.model = match n % 3 {
        0 => "gpt-4o",
        1 => "gpt-4o-mini",
        _ => "claude-sonnet-4-5",
    }
    .into();
    charged(event, NOW.day(), Timestamp::default())
}

/// Returns how long this thread has run on a processor.
fn cpu_time() -> std::io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| std::io::Error::other("no CPU time"))
}
