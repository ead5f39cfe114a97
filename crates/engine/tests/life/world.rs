//! An engine with everything around it, made as an embedder makes it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;
use tollgate_auth::{KeyText, Pepper};
use tollgate_domain::{
    Actor, ApiKey, AuditDraft, BudgetPolicy, BudgetScope, KeyId, Limits, ModelPrice, OrgId,
    Organization, Price, Role, Timestamp, UsageEvent,
};
use tollgate_engine::{
    Catalog, Engine, EngineConfig, Inbound, ModelConfig, Reply, ReplyBody, TargetConfig,
    UnknownPrice, Worker, now,
};
use tollgate_ledger::{Balance, Ledger, LedgerConfig, PriceTable};
use tollgate_providers::{Providers, Upstream};
use tollgate_resilience::BreakerConfig;
use tollgate_store::{ApiKeyStore, OrganizationStore, Store, UsageStore};
use uuid::Uuid;

use crate::provider::Scripted;
use crate::store::SwitchedStore;

/// What is longer than this does not end at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A model with a target at each of these providers, tried in this order. A prompt token costs
/// 1,000 nano-dollars, an answer token 2,000.
pub(crate) fn model(name: &str, providers: &[usize]) -> ModelConfig {
    let per_million = |usd: &str| Price::from_usd_per_million(usd).unwrap();
    let target = |(order, provider): (usize, &usize)| TargetConfig {
        provider_index: *provider,
        provider: format!("p{provider}"),
        model: format!("up-{name}"),
        weight: 1,
        order: u32::try_from(order).unwrap(),
        max_parallel: 0,
        total_timeout: Duration::from_secs(600),
        is_free: false,
    };
    ModelConfig {
        name: name.to_owned(),
        targets: providers.iter().enumerate().map(target).collect(),
        fallbacks: Vec::new(),
        price: Some(ModelPrice::flat(per_million("1"), per_million("2"))),
    }
}

/// What a world is made from.
pub(crate) struct Plan {
    pub(crate) models: Vec<ModelConfig>,
    pub(crate) unknown_price: UnknownPrice,
    pub(crate) config: EngineConfig,
    pub(crate) org_limits: Limits,
    pub(crate) org_budget: Option<BudgetPolicy>,
}

impl Default for Plan {
    /// One model, `m`, at the provider 0.
    fn default() -> Self {
        Self {
            models: vec![model("m", &[0])],
            unknown_price: UnknownPrice::Deny,
            config: EngineConfig::default(),
            org_limits: Limits::default(),
            org_budget: None,
        }
    }
}

/// A budget of this many nano-dollars for all time.
pub(crate) fn budget(nano: i64) -> Option<BudgetPolicy> {
    Some(BudgetPolicy {
        max_budget: tollgate_domain::Money::from_nano(nano),
        duration: None,
    })
}

pub(crate) struct World {
    pub(crate) store: Arc<SwitchedStore>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) worker: Worker,
    pub(crate) providers: Vec<Arc<Scripted>>,
    pub(crate) org: OrgId,
    pub(crate) pepper: Arc<Pepper>,
    ledger: Ledger,
    _dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Plan::default())
    }

    pub(crate) fn of(plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SwitchedStore::default());
        let org = OrgId::new(Uuid::now_v7());
        store
            .add_organization(
                &Organization {
                    id: org,
                    name: "acme".to_owned(),
                    limits: plan.org_limits,
                    budget: plan.org_budget,
                    blocked: false,
                    created_at: now(),
                    version: 1,
                },
                &audit(org),
            )
            .unwrap();
        let config = LedgerConfig {
            journal_dir: dir.path().join("journal"),
            ballast_bytes: 0,
            drain_interval: Duration::from_millis(1),
            ..LedgerConfig::default()
        };
        let usage: Arc<dyn UsageStore> = Arc::<SwitchedStore>::clone(&store);
        let (ledger, _) = Ledger::open(config, usage, now).unwrap();
        let pepper = Arc::new(Pepper::derive(&[7; 32]));
        let catalog = Catalog::new(
            plan.models,
            PriceTable::built_in().unwrap(),
            plan.unknown_price,
            &BreakerConfig::default(),
        );
        let keys: Arc<dyn Store> = Arc::<SwitchedStore>::clone(&store);
        let engine = Engine::new(
            keys,
            ledger.clone(),
            Arc::clone(&pepper),
            catalog.unwrap(),
            plan.config,
        );
        let engine = Arc::new(engine.unwrap());
        let providers: Vec<Arc<Scripted>> = (0..4).map(|_| Arc::default()).collect();
        let upstreams = providers
            .iter()
            .map(|one| Arc::clone(one) as Arc<dyn Upstream>);
        let worker = Worker::new(
            Arc::clone(&engine),
            Providers::new(upstreams.collect()),
            &ledger,
            TaskTracker::new(),
        );
        Self {
            store,
            engine,
            worker: worker.unwrap(),
            providers,
            org,
            pepper,
            ledger,
            _dir: dir,
        }
    }

    /// The provider that the model `m` is at.
    pub(crate) fn provider(&self) -> &Scripted {
        &self.providers[0]
    }

    /// Makes a key, after `change`.
    pub(crate) fn key_with(&self, change: impl FnOnce(&mut ApiKey)) -> (KeyText, KeyId) {
        let text = KeyText::generate().unwrap();
        let mut key = ApiKey {
            id: KeyId::new(Uuid::now_v7()),
            org_id: self.org,
            team_id: None,
            owner: None,
            created_by: Actor::System,
            public_id: text.public_id().to_owned(),
            mac: self.pepper.mac(&text),
            previous: None,
            name: "test".to_owned(),
            role: Role::Member.into(),
            scopes: None,
            models: Vec::new(),
            allowed_ips: Vec::new(),
            limits: Limits::default(),
            budget: None,
            metadata: "{}".to_owned(),
            tags: Vec::new(),
            blocked: false,
            created_at: now(),
            expires_at: None,
            revoked_at: None,
            version: 1,
        };
        change(&mut key);
        self.store.add_api_key(&key, &self.audit()).unwrap();
        self.engine.callers().refresh().unwrap();
        (text, key.id)
    }

    /// What is written down of a change in the organization.
    pub(crate) fn audit(&self) -> AuditDraft {
        audit(self.org)
    }

    pub(crate) fn key(&self) -> KeyText {
        self.key_with(|_| {}).0
    }

    pub(crate) async fn chat(&self, key: &KeyText, body: &Value) -> Reply {
        self.send(key, body.to_string().into()).await
    }

    pub(crate) async fn send(&self, key: &KeyText, body: Bytes) -> Reply {
        self.worker.chat(Inbound::new(Ok(key.clone()), body)).await
    }

    /// Every event of the books, once all is booked, in the order in which they began.
    pub(crate) fn events(&self) -> Vec<UsageEvent> {
        assert!(self.ledger.drained(PATIENCE), "the journal does not drain");
        let report = self.store.verify_books().unwrap();
        assert_eq!(report.mismatches, []);
        self.store.kept.usage_events()
    }

    /// The one event of the books.
    pub(crate) fn event(&self) -> UsageEvent {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.into_iter().next().unwrap()
    }

    /// How a budget stands.
    pub(crate) fn balance(&self, scope: BudgetScope, policy: Option<BudgetPolicy>) -> Balance {
        let account = self.ledger.account(scope, policy).unwrap();
        account.balance(now()).unwrap()
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.store.is_down.store(is_down, Ordering::SeqCst);
    }
}

fn audit(org: OrgId) -> AuditDraft {
    AuditDraft::done(Actor::System, "test", now()).in_chain(org)
}

/// A chat request of the model `m`.
pub(crate) fn ask() -> Value {
    ask_for("m")
}

pub(crate) fn ask_for(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

/// A streamed chat request of the model `m`.
pub(crate) fn ask_stream() -> Value {
    let mut body = ask();
    body["stream"] = json!(true);
    body
}

/// The JSON of a whole answer.
pub(crate) fn json_of(reply: &Reply) -> Value {
    match &reply.body {
        ReplyBody::Whole(body) => serde_json::from_slice(body).unwrap(),
        ReplyBody::Stream(_) => panic!("a stream"),
    }
}

/// The status of an error and its code.
pub(crate) fn error_of(reply: &Reply) -> (u16, String) {
    let code = json_of(reply)["error"]["code"].clone();
    (reply.status, code.as_str().unwrap_or_default().to_owned())
}

/// The next chunk of a streamed answer.
pub(crate) async fn next_chunk(reply: &mut Reply) -> Option<String> {
    let ReplyBody::Stream(stream) = &mut reply.body else {
        panic!("not a stream: {}", json_of(reply))
    };
    let chunk = stream.next().await?;
    let Ok(chunk) = chunk;
    Some(String::from_utf8(chunk.to_vec()).unwrap())
}

/// All of a streamed answer.
pub(crate) async fn read_all(reply: &mut Reply) -> String {
    let mut text = String::new();
    while let Some(chunk) = next_chunk(reply).await {
        text += &chunk;
    }
    text
}

/// A point in time that has passed.
pub(crate) fn long_ago() -> Timestamp {
    Timestamp::from_micros(1)
}
