//! Measures what the books cost: `cargo run --release -p tollgate-ledger --example bench_ledger`.
//!
//! CPU time is that of the thread concerned, as Linux accounts it, system calls included. The journal
//! goes to the directory given as the first argument, or below the system's temporary directory.
#![expect(clippy::print_stdout, reason = "figures are its output")]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tollgate_domain::{
    AttemptId, BudgetPolicy, BudgetScope, KeyId, ModelPrice, Money, OrgId, Price, Provenance,
    RequestId, Surface, TerminalState, Timestamp, Usage, UsageEvent,
};
use tollgate_ledger::{
    Account, AttemptDraft, Durability, JournalWriter, Ledger, LedgerConfig, Outcome,
};
use tollgate_store::{BooksReport, StoreError, UsageQuery, UsageRow, UsageStore};

const CALLS: u64 = 200_000;
const ORG: OrgId = OrgId::from_bytes([1; 16]);
const KEY: KeyId = KeyId::from_bytes([2; 16]);

type Outcomes<T> = Result<T, Box<dyn Error>>;

/// Takes everything and keeps nothing, so that the drain alone is measured.
struct Nowhere;

impl UsageStore for Nowhere {
    fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError> {
        Ok(events.len())
    }

    fn usage_totals(&self, _: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        Ok(Vec::new())
    }

    fn budget_spent(&self, _: BudgetScope, _: Timestamp) -> Result<Money, StoreError> {
        Ok(Money::ZERO)
    }

    fn verify_books(&self) -> Result<BooksReport, StoreError> {
        Ok(BooksReport::default())
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

struct Bench {
    ledger: Ledger,
    writer: JournalWriter,
    org: Account,
    key: Account,
    draft: AttemptDraft,
}

impl Bench {
    fn open(journal_dir: PathBuf, durability: Durability) -> Outcomes<Self> {
        let config = LedgerConfig {
            journal_dir,
            durability,
            ..LedgerConfig::default()
        };
        let (ledger, _) = Ledger::open(config, Arc::new(Nowhere), now)?;
        let policy = BudgetPolicy {
            max_budget: "1000000".parse()?,
            duration: Some("30d".parse()?),
        };
        let dollar = Price::from_usd_per_million("1")?;
        Ok(Self {
            writer: ledger.writer()?,
            org: ledger.account(BudgetScope::Org(ORG), Some(policy))?,
            key: ledger.account(BudgetScope::Key(KEY), Some(policy))?,
            ledger,
            draft: AttemptDraft {
                attempt_id: AttemptId::from_bytes([0; 16]),
                request_id: RequestId::from_bytes([0; 16]),
                attempt: 1,
                org_id: ORG,
                key_id: KEY,
                surface: Surface::ChatCompletions,
                model: "gpt-4o-mini".into(),
                provider: "openai".into(),
                upstream_model: "gpt-4o-mini-2024-07-18".into(),
                started_at: now(),
                price: ModelPrice::flat(dollar, dollar),
                long_context: None,
                price_version: "2026-11-23".into(),
                prompt_tokens_known: 900,
            },
        })
    }

    fn draft(&self, n: u64) -> AttemptDraft {
        AttemptDraft {
            attempt_id: AttemptId::from_bytes(u128::from(n).to_be_bytes()),
            started_at: now(),
            ..self.draft.clone()
        }
    }

    fn drained(self) -> Outcomes<()> {
        if self.ledger.close(Duration::from_secs(60)) {
            Ok(())
        } else {
            Err("the journal was not drained".into())
        }
    }
}

const OUTCOME: Outcome = Outcome {
    usage: Usage {
        input: 900,
        cached_input: 100,
        cache_write: 0,
        audio_input: 0,
        output: 250,
        reasoning: 0,
        audio_output: 0,
    },
    provenance: Provenance::Provider,
    state: TerminalState::Ok,
    upstream_status: Some(200),
    latency_us: 850_000,
    first_token_us: Some(200_000),
    is_final: true,
};

/// Returns the CPU time in nanoseconds of this process's thread of that name, or of this thread.
fn cpu_ns(name: Option<&str>) -> Outcomes<u64> {
    let read = |dir: PathBuf| -> Outcomes<u64> {
        let text = fs::read_to_string(dir.join("schedstat"))?;
        Ok(text.split(' ').next().unwrap_or_default().parse()?)
    };
    let Some(name) = name else {
        return read("/proc/thread-self".into());
    };
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        if fs::read_to_string(path.join("comm"))?.trim() == name {
            return read(path);
        }
    }
    Err("no such thread".into())
}

fn main() -> Outcomes<()> {
    let dir = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("tollgate-bench-{}", std::process::id()));
    together(&dir.join("a"))?;
    apart(&dir.join("b"))?;
    power(&dir.join("c"))?;
    fs::remove_dir_all(dir)?;
    Ok(())
}

/// A reservation and its settling in one write, one call after the other.
fn together(dir: &std::path::Path) -> Outcomes<()> {
    let bench = Bench::open(dir.to_owned(), Durability::Process)?;
    let mut waits = Vec::with_capacity(usize::try_from(CALLS)?);
    let start = cpu_ns(None)?;
    for n in 0..CALLS {
        let draft = bench.draft(n);
        let began = Instant::now();
        let amount = Money::from_nano(2_000_000);
        let reservation = bench
            .writer
            .reserve(draft, &bench.org, &bench.key, amount)?;
        reservation.settle(OUTCOME);
        waits.push(began.elapsed());
    }
    let spent = cpu_ns(None)? - start;
    waits.sort();
    let at = |part: usize| {
        waits
            .get(waits.len() * part / 1_000)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "reserve + settle, one write:  {} ns CPU a call",
        spent / CALLS
    );
    println!(
        "  wall p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}",
        at(500),
        at(990),
        at(999),
        waits.last()
    );
    if !bench.ledger.drained(Duration::from_secs(60)) {
        return Err("the journal was not drained".into());
    }
    println!(
        "drain, before the store:      {} ns CPU an event",
        cpu_ns(Some("ledger-drain"))? / CALLS
    );
    println!(
        "sync thread:                  {} ns CPU a call",
        cpu_ns(Some("ledger-sync"))? / CALLS
    );
    bench.drained()
}

/// The reservation is written by the flusher before the call is settled.
fn apart(dir: &std::path::Path) -> Outcomes<()> {
    let bench = Bench::open(dir.to_owned(), Durability::Process)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let local = tokio::task::LocalSet::new();
    let measure = async |is_reserving: bool| -> Outcomes<u64> {
        let start = cpu_ns(None)?;
        for n in 0..CALLS {
            let draft = bench.draft(n);
            let amount = Money::from_nano(2_000_000);
            let held = is_reserving
                .then(|| bench.writer.reserve(draft, &bench.org, &bench.key, amount))
                .transpose()?;
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            if let Some(reservation) = held {
                reservation.settle(OUTCOME);
            }
        }
        Ok((cpu_ns(None)? - start) / CALLS)
    };
    let (with, without) = local.block_on(&runtime, async {
        tokio::task::spawn_local(bench.writer.flusher());
        Ok::<_, Box<dyn Error>>((measure(true).await?, measure(false).await?))
    })?;
    println!(
        "reserve + settle, two writes: {} ns CPU a call",
        with - without
    );
    bench.drained()
}

/// Every call waits for the disk, a hundred at a time.
fn power(dir: &std::path::Path) -> Outcomes<()> {
    const ROUNDS: u64 = 50;
    const AT_ONCE: u64 = 100;
    let bench = Bench::open(dir.to_owned(), Durability::Power)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let began = Instant::now();
    for round in 0..ROUNDS {
        let mut waiting = Vec::new();
        for n in 0..AT_ONCE {
            let draft = bench.draft(round * AT_ONCE + n);
            let amount = Money::from_nano(2_000_000);
            let reservation = bench
                .writer
                .reserve(draft, &bench.org, &bench.key, amount)?;
            waiting.push(reservation.settle(OUTCOME));
        }
        for settled in waiting {
            if !runtime.block_on(settled.durable()) {
                return Err("not durable".into());
            }
        }
    }
    let each = began.elapsed() / u32::try_from(ROUNDS)?;
    println!("power: {each:?} until 100 calls at once are on the disk");
    bench.drained()
}
