//! From settings to parts: the store, the ledger, the engine, and a worker per thread.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tollgate_audit::RootKey;
use tollgate_auth::PasswordHasher;
use tollgate_control::{Accounts, AccountsParts, Control, NoOutbox};
use tollgate_engine::{
    Catalog, Engine, EngineConfig, ModelConfig, TargetConfig, UnknownPrice, Worker, now,
};
use tollgate_ledger::{Durability, Ledger, LedgerConfig, LedgerError, PriceTable, Recovery};
use tollgate_local::{LocalConfig, LocalModel};
use tollgate_persistence::Database;
use tollgate_providers::{HttpLimits, HttpProvider, OriginError, Providers, Upstream};
use tollgate_resilience::{BreakerConfig, RetryPolicy};
use tollgate_store::{Store, UsageStore};
use tollgate_upkeep::Secrets;

use crate::installation::Installation;
use crate::problem::{Failure, Problem};
use crate::secrets::resolve;
use crate::settings::{
    DialectSetting, DurabilitySetting, LedgerSettings, ModelSettings, ProviderSettings,
    ResilienceSettings, Settings, UnknownPriceSetting,
};

/// Everything that all threads share, and what their own parts are made from.
pub(crate) struct Parts {
    pub(crate) database: Arc<dyn Database>,
    pub(crate) ledger: Ledger,
    pub(crate) recovery: Recovery,
    pub(crate) engine: Arc<Engine>,
    pub(crate) control: Control,
    pub(crate) audit_root: RootKey,
    pub(crate) accounts: Accounts,
    providers: Vec<ProviderParts>,
}

/// What a provider of a thread is made from.
enum ProviderParts {
    Http {
        base_url: String,
        api_key: Option<secrecy::SecretString>,
        limits: HttpLimits,
    },
    Shared(Arc<dyn Upstream>),
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Parts {
    /// Opens and connects everything.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let providers = provider_parts(&settings.providers).map_err(Failure::Settings)?;
        let catalog = catalog(settings).map_err(Failure::Settings)?;
        let Installation { database, secrets } = Installation::open(settings)?;
        let store: Arc<dyn Store> = Arc::clone(&database) as Arc<dyn Store>;
        let usage: Arc<dyn UsageStore> = Arc::clone(&database) as Arc<dyn UsageStore>;
        let (ledger, recovery) =
            Ledger::open(ledger_config(&settings.ledger), usage, now).map_err(other)?;
        let pepper = Arc::clone(&secrets.pepper);
        let tokens = Arc::clone(&secrets.token_pepper);
        let control = Control::new(Arc::clone(&store), Arc::clone(&pepper), tokens);
        let accounts = accounts(settings, &store, &secrets)?;
        let config = EngineConfig {
            retry: retry(&settings.resilience),
            ..EngineConfig::default()
        };
        let engine = Engine::new(store, ledger.clone(), pepper, catalog, config)
            .map_err(|error| Failure::Database(error.into()))?;
        let parts = Self {
            database,
            ledger,
            recovery,
            engine: Arc::new(engine),
            control,
            audit_root: secrets.audit_root,
            accounts,
            providers,
        };
        // What a thread would fail on is found now, not when it starts.
        parts
            .providers(&TaskTracker::new())
            .map_err(|(at, error)| {
                let name = settings
                    .providers
                    .get(at)
                    .map_or("", |provider| &provider.name);
                Failure::Settings(Problem::new(
                    &format!("providers[{at}] ({name})"),
                    error.to_string(),
                ))
            })?;
        Ok(parts)
    }

    /// Makes the worker of this thread.
    pub(crate) fn worker(&self, tasks: &TaskTracker) -> Result<Worker, LedgerError> {
        let providers = self.providers(tasks).unwrap_or_default();
        let providers = Providers::new(providers);
        Worker::new(
            Arc::clone(&self.engine),
            providers,
            &self.ledger,
            tasks.clone(),
        )
    }

    fn providers(
        &self,
        tasks: &TaskTracker,
    ) -> Result<Vec<Arc<dyn Upstream>>, (usize, OriginError)> {
        let make = |(at, parts): (usize, &ProviderParts)| -> Result<Arc<dyn Upstream>, _> {
            match parts {
                ProviderParts::Shared(provider) => Ok(Arc::clone(provider)),
                ProviderParts::Http {
                    base_url,
                    api_key,
                    limits,
                } => HttpProvider::new(base_url, api_key.as_ref(), *limits, tasks.clone())
                    .map(|provider| Arc::new(provider) as Arc<dyn Upstream>)
                    .map_err(|error| (at, error)),
            }
        };
        self.providers.iter().enumerate().map(make).collect()
    }
}

/// Makes the use cases of people.
pub(crate) fn accounts(
    settings: &Settings,
    store: &Arc<dyn Store>,
    secrets: &Secrets,
) -> Result<Accounts, Failure> {
    let parts = AccountsParts {
        store: Arc::clone(store),
        pepper: Arc::clone(&secrets.token_pepper),
        vault: Arc::clone(&secrets.vault),
        hasher: Arc::new(PasswordHasher::new().map_err(other)?),
        rules: Arc::default(),
        outbox: Arc::new(NoOutbox),
    };
    Ok(Accounts::new(parts, settings.accounts.config()))
}

pub(crate) fn ledger_config(settings: &LedgerSettings) -> LedgerConfig {
    LedgerConfig {
        journal_dir: settings.journal_dir.clone(),
        fallback_dir: settings.fallback_dir.clone(),
        durability: match settings.durability {
            DurabilitySetting::Process => Durability::Process,
            DurabilitySetting::Power => Durability::Power,
        },
        segment_bytes_max: settings.segment_bytes_max,
        ballast_bytes: settings.ballast_bytes,
        ..LedgerConfig::default()
    }
}

fn other(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Other(error.into())
}

fn retry(settings: &ResilienceSettings) -> RetryPolicy {
    RetryPolicy {
        attempts_max: settings.attempts_max,
        backoff_base: Duration::from_millis(settings.backoff_base_ms),
        backoff_max: Duration::from_millis(settings.backoff_max_ms),
    }
}

fn provider_parts(providers: &[ProviderSettings]) -> Result<Vec<ProviderParts>, Problem> {
    providers
        .iter()
        .enumerate()
        .map(|(at, provider)| parts_of(at, provider))
        .collect()
}

fn parts_of(at: usize, provider: &ProviderSettings) -> Result<ProviderParts, Problem> {
    let place = format!("providers[{at}] ({})", provider.name);
    let resolved = provider
        .api_key
        .as_ref()
        .map(|reference| resolve(&place, "api_key", reference));
    let api_key = resolved.transpose()?.flatten();
    if provider.dialect == DialectSetting::Local {
        let path = provider.path.clone().unwrap_or_default();
        let config = LocalConfig {
            threads: provider.threads,
            queue_max: provider.queue_max,
            ..LocalConfig::new(path, &provider.name)
        };
        return Ok(ProviderParts::Shared(Arc::new(LocalModel::new(config))));
    }
    let limits = HttpLimits {
        connect_timeout: Duration::from_millis(provider.connect_timeout_ms),
        first_byte_timeout: Duration::from_millis(provider.first_byte_timeout_ms),
        idle_timeout: Duration::from_millis(provider.idle_timeout_ms),
        ..HttpLimits::default()
    };
    Ok(ProviderParts::Http {
        base_url: provider.base_url.clone(),
        api_key,
        limits,
    })
}

fn catalog(settings: &Settings) -> Result<Catalog, Problem> {
    let breaker = BreakerConfig {
        failures_min: settings.resilience.breaker_failures,
        open_for: Duration::from_millis(settings.resilience.breaker_open_ms),
        ..BreakerConfig::default()
    };
    let unknown_price = match settings.ledger.unknown_price {
        UnknownPriceSetting::Deny => UnknownPrice::Deny,
        UnknownPriceSetting::AllowFlagged => UnknownPrice::AllowFlagged,
    };
    let prices = PriceTable::built_in()
        .map_err(|error| Problem::new("the bundled price list", error.to_string()))?;
    let models = settings
        .models
        .iter()
        .map(|model| model_config(model, &settings.providers));
    Catalog::new(models.collect(), prices, unknown_price, &breaker)
        .map_err(|error| Problem::new("models", error.to_string()))
}

fn model_config(model: &ModelSettings, providers: &[ProviderSettings]) -> ModelConfig {
    let target = |target: &crate::settings::TargetSettings| {
        let found = providers
            .iter()
            .position(|provider| provider.name == target.provider);
        let provider_index = found?;
        let provider = providers.get(provider_index)?;
        Some(TargetConfig {
            provider_index,
            provider: provider.name.clone(),
            model: target.model.clone().unwrap_or_else(|| model.name.clone()),
            weight: target.weight,
            order: target.order,
            max_parallel: provider.max_parallel,
            total_timeout: provider.total_timeout(),
            is_free: provider.dialect == DialectSetting::Local,
        })
    };
    ModelConfig {
        name: model.name.clone(),
        targets: model.targets.iter().filter_map(target).collect(),
        fallbacks: model.fallbacks.clone(),
        price: model.price,
    }
}
