//! A process that books calls is killed again and again; nothing that it acknowledged may be lost
//! or booked twice. `TOLLGATE_CRASH_ROUNDS` says how often.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what fails here fails the test, which tells what it did"
)]

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tollgate_domain::{
    AttemptId, BudgetPolicy, BudgetScope, KeyId, ModelPrice, Money, OrgId, Price, Provenance,
    RequestId, Surface, TerminalState, Timestamp, Usage, UsageEvent,
};
use tollgate_ledger::{AttemptDraft, Ledger, LedgerConfig, Outcome};
use tollgate_store::{BooksReport, MemoryStore, StoreError, UsageQuery, UsageRow, UsageStore};

const DIR: &str = "TOLLGATE_CRASH_DIR";
const ROUND: &str = "TOLLGATE_CRASH_ROUND";
const ROUNDS_VARIABLE: &str = "TOLLGATE_CRASH_ROUNDS";
const ROUNDS: u64 = 20;
const ORG: OrgId = OrgId::from_bytes([1; 16]);
const KEY: KeyId = KeyId::from_bytes([2; 16]);
const LIMIT: Money = Money::from_nano(200_000_000);
/// In the place of an id: the budget is used up.
const REFUSED: u64 = u64::MAX;
const PATIENCE: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Survives `kill -9`: a line for each event in a file, of which a last line that is not whole does
/// not count. A batch is not atomic here, which is harder on the ledger than any real store.
struct FileStore {
    kept: MemoryStore,
    lines: Mutex<(File, HashSet<AttemptId>)>,
}

impl FileStore {
    fn open(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let events: Vec<UsageEvent> = text[..whole]
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let kept = MemoryStore::default();
        let new = kept.record_usage(&events).unwrap();
        assert_eq!(new, events.len(), "an event was booked twice");
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(path).unwrap();
        file.set_len(u64::try_from(whole).unwrap()).unwrap();
        let ids = events.iter().map(|event| event.attempt_id).collect();
        Self {
            kept,
            lines: Mutex::new((file, ids)),
        }
    }
}

impl UsageStore for FileStore {
    fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError> {
        let mut lines = self.lines.lock();
        let (file, ids) = &mut *lines;
        let mut text = String::new();
        for event in events.iter().filter(|event| ids.insert(event.attempt_id)) {
            text += &serde_json::to_string(event).unwrap();
            text.push('\n');
        }
        file.write_all(text.as_bytes()).unwrap();
        self.kept.record_usage(events)
    }

    fn usage_totals(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
        self.kept.usage_totals(query)
    }

    fn budget_spent(&self, scope: BudgetScope, start: Timestamp) -> Result<Money, StoreError> {
        self.kept.budget_spent(scope, start)
    }

    fn verify_books(&self) -> Result<BooksReport, StoreError> {
        self.kept.verify_books()
    }
}

fn config(dir: &Path) -> LedgerConfig {
    LedgerConfig {
        journal_dir: dir.join("journal"),
        segment_bytes_max: 32 << 10,
        ballast_bytes: 0,
        sync_interval: Duration::from_millis(2),
        drain_interval: Duration::from_millis(3),
        ..LedgerConfig::default()
    }
}

/// The n-th call of a round used n tokens, at a dollar per million.
fn draft(id: u64) -> AttemptDraft {
    let dollar = Price::from_usd_per_million("1").unwrap();
    AttemptDraft {
        attempt_id: attempt(id),
        request_id: RequestId::from_bytes([3; 16]),
        attempt: 1,
        org_id: ORG,
        key_id: KEY,
        surface: Surface::ChatCompletions,
        model: "fast".into(),
        provider: "openai".into(),
        upstream_model: "gpt-4o-mini".into(),
        started_at: now(),
        price: ModelPrice::flat(dollar, dollar),
        long_context: None,
        price_version: "2026-11-23".into(),
        prompt_tokens_known: 1,
    }
}

fn attempt(id: u64) -> AttemptId {
    AttemptId::from_bytes(u128::from(id).to_be_bytes())
}

fn tokens(id: u64) -> u64 {
    id % 7 + 1
}

fn cost(tokens: u64) -> Money {
    Money::from_nano(i64::try_from(tokens).unwrap() * 1_000)
}

fn outcome(input: u64) -> Outcome {
    Outcome {
        usage: Usage {
            input,
            ..Usage::default()
        },
        provenance: Provenance::Provider,
        state: TerminalState::Ok,
        upstream_status: Some(200),
        latency_us: 1,
        first_token_us: None,
        is_final: true,
    }
}

fn budget() -> Option<BudgetPolicy> {
    Some(BudgetPolicy {
        max_budget: LIMIT,
        duration: None,
    })
}

/// The process that is killed: two workers book calls and note each that is settled in a file.
/// It does nothing unless the other test starts it.
#[test]
fn the_process_that_is_killed() {
    let (Some(dir), Some(round)) = (std::env::var_os(DIR), std::env::var_os(ROUND)) else {
        return;
    };
    let dir = PathBuf::from(dir);
    let round: u64 = round.to_str().unwrap().parse().unwrap();
    let store = Arc::new(FileStore::open(&dir.join("store")));
    let (ledger, _) = Ledger::open(config(&dir), store, now).unwrap();
    let acks = Mutex::new(File::create(dir.join(format!("acks-{round}"))).unwrap());
    let acks = &acks;
    thread::scope(|scope| {
        for worker in 0..2 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                let writer = ledger.writer().unwrap();
                let org = ledger.account(BudgetScope::Org(ORG), budget()).unwrap();
                let key = ledger.account(BudgetScope::Key(KEY), None).unwrap();
                let mut open = Vec::new();
                for n in 0.. {
                    let id = round * 10_000_000 + n * 2 + worker;
                    let Ok(reservation) = writer.reserve(draft(id), &org, &key, cost(8)) else {
                        acks.lock().write_all(&REFUSED.to_be_bytes()).unwrap();
                        thread::sleep(PATIENCE);
                        return;
                    };
                    open.push((id, reservation));
                    if open.len() > 3 {
                        let (id, reservation) = open.remove(0);
                        reservation.settle(outcome(tokens(id)));
                        acks.lock().write_all(&id.to_be_bytes()).unwrap();
                    }
                }
            });
        }
    });
}

/// A process that is killed when this goes away.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn kill_9_at_any_instant_loses_nothing_acknowledged_and_bills_nothing_twice() {
    let dir = std::env::temp_dir().join(format!("tollgate-crash-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let rounds = std::env::var_os(ROUNDS_VARIABLE)
        .map_or(ROUNDS, |rounds| rounds.to_str().unwrap().parse().unwrap());
    let mut chance = now().micros().unsigned_abs();
    for round in 1..=rounds {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(DIR, &dir)
            .env(ROUND, round.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        // One in four dies while it starts or recovers, the others while they work.
        let acks = dir.join(format!("acks-{round}"));
        let is_working = || fs::metadata(&acks).is_ok_and(|acks| acks.len() > 0);
        let deadline = Instant::now() + PATIENCE;
        while round % 4 > 0 && !is_working() {
            assert!(
                Instant::now() < deadline,
                "the process does not get to work"
            );
            thread::sleep(Duration::from_millis(1));
        }
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        thread::sleep(Duration::from_micros((chance >> 33) % 20_000));
        let ended = child.0.try_wait().unwrap();
        assert_eq!(ended, None, "the process failed by itself");
    }
    let store = Arc::new(FileStore::open(&dir.join("store")));
    let kept: Arc<FileStore> = Arc::clone(&store);
    let (ledger, _) = Ledger::open(config(&dir), kept, now).unwrap();
    let org = ledger.account(BudgetScope::Org(ORG), budget()).unwrap();
    let balance = org.balance(now()).unwrap();
    assert!(ledger.close(PATIENCE));

    let events = store.kept.usage_events();
    let by_id: HashMap<_, _> = events
        .iter()
        .map(|event| (event.attempt_id, event))
        .collect();
    let mut acknowledged = 0;
    for round in 1..=rounds {
        let acks = fs::read(dir.join(format!("acks-{round}"))).unwrap_or_default();
        let ids = acks
            .chunks_exact(8)
            .map(|id| u64::from_be_bytes(id.try_into().unwrap()));
        for id in ids.filter(|id| *id != REFUSED) {
            let event = by_id
                .get(&attempt(id))
                .expect("an acknowledged call is lost");
            assert_eq!(
                (event.state, event.cost),
                (TerminalState::Ok, cost(tokens(id)))
            );
            acknowledged += 1;
        }
    }
    let unknown = events
        .iter()
        .filter(|e| e.state == TerminalState::Unknown)
        .count();
    println!(
        "{acknowledged} acknowledged, {} booked, {unknown} of them unknown",
        events.len()
    );
    assert!(
        acknowledged > 100 && unknown > 0,
        "the kills came too early to show anything"
    );
    let sum: Money = events.iter().map(|event| event.cost).sum();
    assert_eq!(balance.spent, sum);
    assert!(balance.spent <= LIMIT);
    let report = Ledger::verify(&*store, &config(&dir)).unwrap();
    assert!(report.is_balanced, "{report}");
    assert_eq!((report.segments, report.open), (0, 0));
    fs::remove_dir_all(dir).unwrap();
}
