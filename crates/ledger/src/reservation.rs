//! The life of one attempt in the books: reserved, perhaps checkpointed, settled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_domain::{
    AttemptId, BudgetScope, Charge, KeyId, ModelPrice, Money, OrgId, Provenance, RequestId,
    Surface, TerminalState, Timestamp, Usage, UsageEvent,
};
use tollgate_store::NAME_BYTES_MAX;

use crate::books::{Account, Hold};
use crate::codec::{Checkpoint, ReservedParts};
use crate::error::LedgerError;
use crate::prices::LongContext;
use crate::writer::{JournalWriter, Wait};

/// An attempt's checkpoints are written at most this often.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// Longer times are held at this: 292,000 years, the most that a store keeps.
const TIME_US_MAX: u64 = i64::MAX.unsigned_abs();

/// What is known of an attempt before its upstream call. Names are bounded by
/// [`NAME_BYTES_MAX`](tollgate_store::NAME_BYTES_MAX).
#[derive(Debug, Clone)]
pub struct AttemptDraft {
    /// Which attempt: time-ordered, unique for ever, made by the caller.
    pub attempt_id: AttemptId,
    /// The request it belongs to.
    pub request_id: RequestId,
    /// Its place within the request, from 1.
    pub attempt: u16,
    /// Whose call it is.
    pub org_id: OrgId,
    /// The API key that was used.
    pub key_id: KeyId,
    /// The inbound API.
    pub surface: Surface,
    /// The model that the client asked for.
    pub model: Arc<str>,
    /// The provider that is called.
    pub provider: Arc<str>,
    /// The model that the provider is asked for.
    pub upstream_model: Arc<str>,
    /// Now; decides in which windows of the budgets the call counts.
    pub started_at: Timestamp,
    /// What its tokens cost.
    pub price: ModelPrice,
    /// What they cost when the prompt is long, where the provider has such a rate.
    pub long_context: Option<LongContext>,
    /// Which price list that is.
    pub price_version: Arc<str>,
    /// How many prompt tokens it has at least: charged if the process dies before the answer.
    pub prompt_tokens_known: u64,
}

impl AttemptDraft {
    /// Returns what this usage costs at the draft's price, rounded once.
    ///
    /// # Errors
    /// When that is more than can be expressed.
    pub fn cost(&self, usage: &Usage) -> Result<Money, tollgate_domain::MoneyError> {
        cost(&self.price, self.long_context.as_ref(), usage)
    }

    /// Returns the event of which all is known but its end.
    fn into_event(self, [org_charge, key_charge]: [Option<Charge>; 2]) -> UsageEvent {
        UsageEvent {
            attempt_id: self.attempt_id,
            request_id: self.request_id,
            attempt: self.attempt,
            is_final: true,
            org_id: self.org_id,
            key_id: self.key_id,
            surface: self.surface,
            model: self.model,
            provider: self.provider,
            upstream_model: self.upstream_model,
            started_at: self.started_at,
            latency_us: 0,
            first_token_us: None,
            usage: Usage::default(),
            provenance: Provenance::Missing,
            cost: Money::ZERO,
            price_version: self.price_version,
            state: TerminalState::Unknown,
            upstream_status: None,
            org_charge,
            key_charge,
        }
    }

    fn check(&self, org: &Account, key: &Account) -> Result<(), LedgerError> {
        for (what, name) in [
            ("model", &self.model),
            ("provider", &self.provider),
            ("upstream model", &self.upstream_model),
            ("price version", &self.price_version),
        ] {
            if name.len() > NAME_BYTES_MAX || name.contains('\0') {
                return Err(LedgerError::Unbookable { what });
            }
        }
        for (account, owner) in [
            (org, BudgetScope::Org(self.org_id)),
            (key, BudgetScope::Key(self.key_id)),
        ] {
            let scope = account.scope();
            if scope != owner {
                return Err(LedgerError::WrongAccount { scope });
            }
        }
        Ok(())
    }
}

/// What a usage costs; a long prompt may have a price of its own.
fn cost(
    price: &ModelPrice,
    long_context: Option<&LongContext>,
    usage: &Usage,
) -> Result<Money, tollgate_domain::MoneyError> {
    let prompt_tokens = usage.prompt_tokens();
    long_context
        .filter(|tier| prompt_tokens > tier.above_prompt_tokens)
        .map_or(price, |tier| &tier.price)
        .cost(usage)
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What it used.
    pub usage: Usage,
    /// Where those figures come from.
    pub provenance: Provenance,
    /// How it ended.
    pub state: TerminalState,
    /// The status that the provider answered, when it did.
    pub upstream_status: Option<u16>,
    /// From its beginning to its end, in microseconds.
    pub latency_us: u64,
    /// To the first content of a stream, in microseconds.
    pub first_token_us: Option<u64>,
    /// Whether no further attempt of the request follows.
    pub is_final: bool,
}

/// Money set aside for an attempt under way.
///
/// Dropped without [`settle`](Self::settle), as when the future that holds it is dropped, it settles
/// itself as [`TerminalState::ClientGone`] with what was checkpointed.
#[must_use = "a reservation that is dropped is settled as if the client had left"]
#[derive(Debug)]
pub struct Reservation {
    /// Apart, since a reservation is handed on more often than it is looked into; gone once settled.
    open: Option<Box<Open>>,
    attempt_id: AttemptId,
    reserved: Money,
}

/// An attempt under way, with the event that it will be.
#[derive(Debug)]
struct Open {
    writer: JournalWriter,
    event: UsageEvent,
    price: ModelPrice,
    long_context: Option<LongContext>,
    holds: [Option<Hold>; 2],
    seen: Usage,
    journaled_at: Option<Instant>,
}

impl JournalWriter {
    /// Sets `amount` aside in the budgets of the organization and the key, in both or in none, and
    /// notes the attempt in the journal. A negative amount counts as nothing.
    ///
    /// # Errors
    /// [`LedgerError::BudgetExceeded`] when a budget has less left; [`LedgerError::JournalFailed`]
    /// while the journal cannot be written; [`LedgerError::Closed`] after the ledger was;
    /// [`LedgerError::Unbookable`] and [`LedgerError::WrongAccount`] when the arguments are at fault.
    /// After an error nothing is reserved.
    pub fn reserve(
        &self,
        draft: AttemptDraft,
        org: &Account,
        key: &Account,
        amount: Money,
    ) -> Result<Reservation, LedgerError> {
        self.core.admit()?;
        draft.check(org, key)?;
        let amount = amount.max(Money::ZERO);
        let holds = Hold::take(org, key, amount, draft.started_at)?;
        let [org_charge, key_charge] = holds.each_ref().map(|hold| hold.as_ref().map(|h| h.charge));
        let prompt = Usage {
            input: draft.prompt_tokens_known,
            ..Usage::default()
        };
        self.core.push_reserved(&ReservedParts {
            attempt_id: draft.attempt_id,
            request_id: draft.request_id,
            attempt: draft.attempt,
            org_id: draft.org_id,
            key_id: draft.key_id,
            surface: draft.surface,
            model: &draft.model,
            provider: &draft.provider,
            upstream_model: &draft.upstream_model,
            started_at: draft.started_at,
            org_charge,
            key_charge,
            amount,
            known_prompt_tokens: draft.prompt_tokens_known,
            known_cost: draft.cost(&prompt).unwrap_or(amount),
            price_version: &draft.price_version,
        });
        let attempt_id = draft.attempt_id;
        let (price, long_context) = (draft.price, draft.long_context);
        let open = Open {
            writer: self.clone(),
            event: draft.into_event([org_charge, key_charge]),
            price,
            long_context,
            holds,
            seen: Usage::default(),
            journaled_at: None,
        };
        Ok(Reservation {
            open: Some(Box::new(open)),
            attempt_id,
            reserved: amount,
        })
    }
}

impl Reservation {
    /// Returns which attempt it is for.
    #[must_use]
    pub const fn attempt_id(&self) -> AttemptId {
        self.attempt_id
    }

    /// Returns how much is set aside.
    #[must_use]
    pub const fn reserved(&self) -> Money {
        self.reserved
    }

    /// Notes what was used so far: all of it, not what is new. It is charged if the reservation is
    /// dropped. Cheap enough for every chunk of a stream: it goes to the journal, to be charged if
    /// the process dies, at most once a second.
    pub fn checkpoint(&mut self, usage: &Usage) {
        let (reserved, Some(open)) = (self.reserved, &mut self.open) else {
            return;
        };
        let usage = believed(*usage);
        if open.seen == usage {
            return;
        }
        open.seen = usage;
        let is_recent = |at: Instant| at.elapsed() < CHECKPOINT_INTERVAL;
        if open.journaled_at.is_some_and(is_recent) {
            return;
        }
        open.journaled_at = Some(Instant::now());
        open.writer.core.push_checkpoint(&Checkpoint {
            attempt_id: self.attempt_id,
            usage,
            cost: open.cost(&usage, reserved),
        });
    }

    /// Gives back what is set aside: for an attempt that has failed, and that is settled only when it
    /// is known whether another follows. If it has cost something after all, that is charged in full.
    pub fn release(&mut self) {
        for hold in self
            .open
            .iter()
            .flat_map(|open| open.holds.iter().flatten())
        {
            hold.release(self.reserved);
        }
        self.reserved = Money::ZERO;
    }

    /// Books the attempt: computes its cost, writes it to the journal, gives the reservation back
    /// and charges the budgets. Never fails the caller, who has an answer that is paid for: while the
    /// journal cannot be written the record waits in memory, and nothing new is admitted.
    pub fn settle(mut self, outcome: Outcome) -> Settled {
        let wait = self.book(outcome);
        Settled {
            cost: self
                .open
                .as_ref()
                .map_or(Money::ZERO, |open| open.event.cost),
            open: self.open.take(),
            wait,
        }
    }

    /// Books the attempt, which stays for whoever wants to see the event.
    fn book(&mut self, outcome: Outcome) -> Option<Wait> {
        let open = self.open.as_mut()?;
        let usage = believed(outcome.usage);
        open.event.cost = open.cost(&usage, self.reserved);
        let event = &mut open.event;
        event.usage = usage;
        event.is_final = outcome.is_final;
        event.latency_us = outcome.latency_us.min(TIME_US_MAX);
        event.first_token_us = outcome.first_token_us.map(|time| time.min(TIME_US_MAX));
        event.provenance = outcome.provenance;
        event.state = outcome.state;
        event.upstream_status = outcome.upstream_status;
        let wait = open.writer.core.push_settled(event);
        if event.cost > self.reserved {
            open.writer.books.note_overrun();
        }
        let cycle = open.writer.core.journal.cycle();
        for hold in open.holds.iter_mut().filter_map(Option::take) {
            hold.settle(self.reserved, event.cost, cycle);
        }
        wait
    }
}

impl Open {
    /// A cost that cannot be expressed is no usage that anybody had: the reserve bounds it.
    fn cost(&self, usage: &Usage, reserved: Money) -> Money {
        cost(&self.price, self.long_context.as_ref(), usage).unwrap_or_else(|error| {
            tracing::error!(attempt.id = %self.event.attempt_id, %error, "unbelievable usage is charged as reserved");
            reserved
        })
    }
}

/// Holds what a provider claims to what is possible.
fn believed(usage: Usage) -> Usage {
    let hold = |tokens: u64| tokens.min(Usage::BUCKET_MAX);
    Usage {
        input: hold(usage.input),
        cached_input: hold(usage.cached_input),
        cache_write: hold(usage.cache_write),
        audio_input: hold(usage.audio_input),
        output: hold(usage.output),
        reasoning: hold(usage.reasoning),
        audio_output: hold(usage.audio_output),
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let Some(open) = &self.open else { return };
        let now = (open.writer.core.journal.now)();
        let latency = now.micros().saturating_sub(open.event.started_at.micros());
        let provenance = if open.seen.is_zero() {
            Provenance::Missing
        } else {
            Provenance::Partial
        };
        let usage = open.seen;
        self.book(Outcome {
            usage,
            provenance,
            state: TerminalState::ClientGone,
            upstream_status: None,
            latency_us: u64::try_from(latency).unwrap_or(0),
            first_token_us: None,
            is_final: true,
        });
    }
}

/// A booked attempt.
#[derive(Debug)]
pub struct Settled {
    /// What it cost.
    pub cost: Money,
    open: Option<Box<Open>>,
    wait: Option<Wait>,
}

impl Settled {
    /// Returns the event as it will be in the store.
    #[must_use]
    pub fn event(&self) -> Option<&UsageEvent> {
        self.open.as_ref().map(|open| &open.event)
    }

    /// Returns whether [`durable`](Self::durable) has nothing to wait for.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.wait.as_ref().is_none_or(Wait::is_over)
    }

    /// Waits until the record is as durable as the ledger was told to make it: on the disk under
    /// [`Durability::Power`](crate::Durability::Power), with the operating system otherwise. Returns
    /// whether it is.
    /// False means that the disk fails, which closes admission and is reported by
    /// [`Ledger::health`](crate::Ledger::health); the answer is to be sent all the same.
    pub fn durable(self) -> impl Future<Output = bool> + Send + 'static {
        let wait = self.wait;
        async move {
            match wait {
                Some(wait) => wait.end().await,
                None => true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_domain::Price;
    use tollgate_store::UsageStore;

    use super::*;
    use crate::Ledger;
    use crate::testing::{
        FlakyStore, KEY, NOW, ORG, PATIENCE, TempDir, cost, draft, now, outcome, policy, usage,
    };

    const ORG_SCOPE: BudgetScope = BudgetScope::Org(ORG);

    struct Open {
        dir: TempDir,
        store: Arc<FlakyStore>,
        ledger: Ledger,
        writer: JournalWriter,
        org: Account,
        key: Account,
    }

    fn open() -> Open {
        let dir = TempDir::new();
        let store = Arc::new(FlakyStore::default());
        let kept: Arc<FlakyStore> = Arc::clone(&store);
        let (ledger, _) = Ledger::open(dir.config(), kept, now).unwrap();
        Open {
            dir,
            store,
            writer: ledger.writer().unwrap(),
            org: ledger.account(ORG_SCOPE, policy(100, "1d")).unwrap(),
            key: ledger.account(BudgetScope::Key(KEY), None).unwrap(),
            ledger,
        }
    }

    #[test]
    fn a_settled_call_is_charged_what_it_cost_and_booked_as_it_was() {
        let open = open();
        let reservation = open
            .writer
            .reserve(draft(1), &open.org, &open.key, cost(40))
            .unwrap();
        assert_eq!(reservation.reserved(), cost(40));
        assert_eq!(open.org.balance(NOW).unwrap().held, cost(40));
        let settled = reservation.settle(outcome(25));
        assert!(settled.is_durable());
        let balance = open.org.balance(NOW).unwrap();
        assert_eq!((balance.spent, balance.held), (cost(25), Money::ZERO));
        assert!(open.ledger.drained(PATIENCE));
        assert_eq!(open.store.events(), [settled.event().unwrap().clone()]);
        let start = balance.window_start;
        let spent = open.store.kept.budget_spent(ORG_SCOPE, start);
        assert_eq!(spent.unwrap(), cost(25));
        assert_eq!(open.ledger.overruns(), 0);
    }

    #[test]
    fn what_was_released_makes_room_and_is_charged_all_the_same() {
        let open = open();
        let reserve = |n| {
            open.writer
                .reserve(draft(n), &open.org, &open.key, cost(100))
        };
        let mut failed = reserve(1).unwrap();
        failed.release();
        failed.release();
        let held = |open: &Open| open.org.balance(NOW).unwrap().held;
        assert_eq!((failed.reserved(), held(&open)), (Money::ZERO, Money::ZERO));
        let next = reserve(2).unwrap();
        assert_eq!(failed.settle(outcome(7)).cost, cost(7));
        assert_eq!(open.org.balance(NOW).unwrap().spent, cost(7));
        assert_eq!(held(&open), cost(100), "the other's is still held");
        drop(next);
        assert_eq!(held(&open), Money::ZERO);
    }

    #[test]
    fn a_dropped_reservation_is_charged_what_was_seen() {
        let open = open();
        for (n, seen, provenance) in [(1, 0, Provenance::Missing), (2, 7, Provenance::Partial)] {
            let mut dropped = open
                .writer
                .reserve(draft(n), &open.org, &open.key, cost(40))
                .unwrap();
            dropped.checkpoint(&usage(seen / 2));
            dropped.checkpoint(&usage(seen));
            drop(dropped);
            assert!(open.ledger.drained(PATIENCE));
            let event = open.store.events().pop().unwrap();
            assert_eq!(event.state, TerminalState::ClientGone);
            assert_eq!((event.cost, event.provenance), (cost(seen), provenance));
        }
        let balance = open.org.balance(NOW).unwrap();
        assert_eq!((balance.spent, balance.held), (cost(7), Money::ZERO));
    }

    #[test]
    fn the_window_of_the_reservation_is_charged() {
        let open = open();
        let yesterday = AttemptDraft {
            started_at: NOW,
            ..draft(1)
        };
        let tomorrow = AttemptDraft {
            started_at: NOW.plus_seconds(86_400),
            ..draft(2)
        };
        let old = open
            .writer
            .reserve(yesterday, &open.org, &open.key, cost(100))
            .unwrap();
        let new = open
            .writer
            .reserve(tomorrow, &open.org, &open.key, cost(100))
            .unwrap();
        let charged = [old, new].map(|reservation| {
            let settled = reservation.settle(outcome(1));
            settled.event().unwrap().org_charge
        });
        let starts = charged.map(|charge| charge.unwrap().window_start);
        assert_eq!(starts, [NOW.day(), NOW.plus_seconds(86_400).day()]);
    }

    #[test]
    fn a_call_beyond_its_reserve_is_counted_and_an_unbelievable_one_is_held_to_what_is_possible() {
        let open = open();
        let reservation = open
            .writer
            .reserve(draft(1), &open.org, &open.key, cost(1))
            .unwrap();
        let settled = reservation.settle(outcome(u64::MAX));
        assert_eq!(settled.event().unwrap().usage, usage(Usage::BUCKET_MAX));
        assert_eq!(settled.cost, cost(Usage::BUCKET_MAX));
        assert_eq!(open.ledger.overruns(), 1);
        let dear = Price::from_pico_per_token(i64::MAX).unwrap();
        let priceless = AttemptDraft {
            price: ModelPrice::flat(dear, dear),
            ..draft(2)
        };
        let no_budget = Account::unlimited(ORG_SCOPE);
        let reservation = open
            .writer
            .reserve(priceless, &no_budget, &open.key, cost(3))
            .unwrap();
        assert_eq!(reservation.settle(outcome(u64::MAX)).cost, cost(3));
    }

    #[test]
    fn a_long_prompt_has_its_own_rate_for_all_tokens() {
        let rate = |text| Price::from_usd_per_million(text).unwrap();
        let draft = AttemptDraft {
            long_context: Some(LongContext {
                above_prompt_tokens: 100,
                price: ModelPrice::flat(rate("2"), rate("3")),
            }),
            ..draft(1)
        };
        let cost = |input, output| {
            let usage = Usage {
                input,
                output,
                ..Usage::default()
            };
            draft.cost(&usage).unwrap().nano()
        };
        assert_eq!(cost(100, 1_000), 1_100_000);
        assert_eq!(cost(101, 1_000), 3_202_000);
    }

    #[test]
    fn faulty_arguments_are_refused_and_hold_nothing() {
        let open = open();
        let long = AttemptDraft {
            model: "m".repeat(NAME_BYTES_MAX + 1).into(),
            ..draft(1)
        };
        let nul = AttemptDraft {
            provider: "a\0b".into(),
            ..draft(1)
        };
        for draft in [long, nul] {
            let refused = open.writer.reserve(draft, &open.org, &open.key, cost(1));
            assert!(matches!(refused, Err(LedgerError::Unbookable { .. })));
        }
        let stranger = Account::unlimited(BudgetScope::Org(OrgId::from_bytes([9; 16])));
        for (org, key) in [
            (&stranger, &open.key),
            (&open.key, &open.key),
            (&open.org, &open.org),
        ] {
            let refused = open.writer.reserve(draft(1), org, key, cost(1));
            assert!(matches!(refused, Err(LedgerError::WrongAccount { .. })));
        }
        let negative = open
            .writer
            .reserve(draft(1), &open.org, &open.key, Money::from_nano(-5));
        assert_eq!(negative.unwrap().reserved(), Money::ZERO);
        assert_eq!(open.org.balance(NOW).unwrap().held, Money::ZERO);
    }

    #[test]
    fn a_closed_ledger_admits_nothing_but_settles_what_is_under_way() {
        let open = open();
        let under_way = open
            .writer
            .reserve(draft(1), &open.org, &open.key, cost(1))
            .unwrap();
        assert!(open.ledger.clone().close(PATIENCE));
        let refused = open.writer.reserve(draft(2), &open.org, &open.key, cost(1));
        assert!(matches!(refused, Err(LedgerError::Closed)));
        assert!(matches!(open.ledger.writer(), Err(LedgerError::Closed)));
        under_way.settle(outcome(1));
        let image = open.dir.image();
        let kept: Arc<FlakyStore> = Arc::clone(&open.store);
        let (_ledger, recovery) = Ledger::open(image.config(), kept, now).unwrap();
        assert_eq!((recovery.events, recovery.unknown), (1, 0));
    }

    #[test]
    fn the_reservations_of_one_tick_share_a_write() {
        use crate::testing::{Fault, TestDisk};
        let dir = TempDir::new();
        let disk = TestDisk::new(Fault::Never);
        let config = crate::LedgerConfig {
            sync_interval: std::time::Duration::from_secs(60),
            ..dir.config()
        };
        let store = Arc::new(FlakyStore::default());
        let (ledger, _) = Ledger::open_on(Box::new(disk.clone()), config, store, now).unwrap();
        let writer = ledger.writer().unwrap();
        let (org, key) = (
            Account::unlimited(ORG_SCOPE),
            Account::unlimited(BudgetScope::Key(KEY)),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let local = tokio::task::LocalSet::new();
        let reserved = local.block_on(&runtime, async {
            let flusher = tokio::task::spawn_local(writer.flusher());
            let reserve = |n| writer.reserve(draft(n), &org, &key, cost(n)).unwrap();
            let reserved = [reserve(1), reserve(2), reserve(3)];
            assert_eq!(disk.appends(), 0);
            while disk.appends() == 0 {
                tokio::task::yield_now().await;
            }
            assert_eq!(disk.appends(), 1);
            drop(ledger);
            flusher.await.unwrap();
            reserved
        });
        let kept = Arc::new(FlakyStore::default());
        let image = dir.image();
        let (_ledger, recovery) = Ledger::open(image.config(), kept, now).unwrap();
        assert_eq!(recovery.unknown, 3);
        drop(reserved);
    }
}
