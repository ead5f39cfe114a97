//! The models that clients may ask for, and the targets behind them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tollgate_domain::ModelPrice;
use tollgate_ledger::{Mode, PriceTable, PricedModel};
use tollgate_resilience::{Breaker, BreakerConfig, Parallel};

/// The longest name of a model. Patterns match names that clients make up; those go into the
/// books, which hold no longer ones.
const NAME_BYTES_MAX: usize = 256;

/// A model as it is configured.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// What clients ask for. A `*` at the end matches any ending, which is passed on as asked.
    pub name: String,
    /// Where it is served.
    pub targets: Vec<TargetConfig>,
    /// Models to try when every target has failed, in order.
    pub fallbacks: Vec<String>,
    /// Its price; `None` takes the price list's.
    pub price: Option<ModelPrice>,
}

/// A target as it is configured.
#[derive(Debug, Clone)]
pub struct TargetConfig {
    /// The place of the provider in the list of providers.
    pub provider_index: usize,
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model; ignored for names that end in `*`.
    pub model: String,
    /// Its share among targets of the same order.
    pub weight: u32,
    /// Lower ones are tried first.
    pub order: u32,
    /// Calls at once; 0 is no bound.
    pub max_parallel: u32,
    /// From the start of a call to its end.
    pub total_timeout: Duration,
    /// Whether calls cost nothing because the model runs in this process.
    pub is_free: bool,
}

/// What happens to a call whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownPrice {
    /// It is refused.
    #[default]
    Deny,
    /// It is let through, and its events carry the price version `unknown`.
    AllowFlagged,
}

/// Why a list of models cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Two models have one name.
    #[error("the model {0} is there twice")]
    Duplicate(String),
    /// A fallback names no model.
    #[error("the model {model} falls back to {fallback}, which does not exist")]
    UnknownFallback {
        /// The model.
        model: String,
        /// What it names.
        fallback: String,
    },
    /// A model has nowhere to go.
    #[error("the model {0} has no targets")]
    NoTargets(String),
}

/// A provider and the model that it is asked for, with its health.
#[derive(Debug)]
pub struct Target {
    pub(crate) provider_index: usize,
    /// The provider's name.
    pub provider: Arc<str>,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) weight: u32,
    pub(crate) order: u32,
    pub(crate) total_timeout: Duration,
    pub(crate) bulkhead: Option<Arc<Parallel>>,
    /// Opens when the target fails, and lets one call at a time find out whether it is back.
    pub breaker: Breaker,
    /// What a call costs; `None` when that depends on the model that is asked for.
    priced: Option<Arc<PricedModel>>,
}

impl Target {
    /// Returns what the provider is asked for.
    pub(crate) fn upstream_model(&self, asked: &Arc<str>) -> Arc<str> {
        Arc::clone(self.model.as_ref().unwrap_or(asked))
    }
}

/// A model and its targets.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: Arc<str>,
    pub(crate) targets: Vec<Target>,
    pub(crate) fallbacks: Vec<Arc<str>>,
}

/// Every model, by name.
#[derive(Debug)]
pub struct Catalog {
    models: HashMap<Arc<str>, Arc<Model>>,
    prefixes: Vec<Arc<Model>>,
    prices: PriceTable,
    unknown_price: UnknownPrice,
}

impl Catalog {
    /// Checks and indexes models.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub fn new(
        models: Vec<ModelConfig>,
        prices: PriceTable,
        unknown_price: UnknownPrice,
        breaker: &BreakerConfig,
    ) -> Result<Self, CatalogError> {
        let mut catalog = Self {
            models: HashMap::new(),
            prefixes: Vec::new(),
            prices,
            unknown_price,
        };
        for config in models {
            let name: Arc<str> = Arc::from(config.name.as_str());
            if config.targets.is_empty() {
                return Err(CatalogError::NoTargets(config.name));
            }
            let model = Arc::new(Model::new(&name, config, breaker, &catalog.prices));
            if catalog
                .models
                .insert(Arc::clone(&name), Arc::clone(&model))
                .is_some()
            {
                return Err(CatalogError::Duplicate(name.to_string()));
            }
            if name.ends_with('*') {
                catalog.prefixes.push(model);
            }
        }
        // The longest prefix is the closest match.
        catalog
            .prefixes
            .sort_by_key(|model| std::cmp::Reverse(model.name.len()));
        for model in catalog.models.values() {
            for fallback in &model.fallbacks {
                if catalog.find(fallback).is_none() {
                    return Err(CatalogError::UnknownFallback {
                        model: model.name.to_string(),
                        fallback: fallback.to_string(),
                    });
                }
            }
        }
        Ok(catalog)
    }

    /// Returns the model that a name asks for, and the name as it goes into the books.
    pub(crate) fn find(&self, asked: &str) -> Option<(Arc<str>, Arc<Model>)> {
        if asked.len() > NAME_BYTES_MAX || asked.chars().any(char::is_control) {
            return None;
        }
        if let Some(model) = self.models.get(asked) {
            if !asked.ends_with('*') {
                return Some((Arc::clone(&model.name), Arc::clone(model)));
            }
            return None;
        }
        let model = self.prefixes.iter().find(|model| {
            model
                .name
                .strip_suffix('*')
                .is_some_and(|prefix| asked.starts_with(prefix))
        })?;
        Some((Arc::from(asked), Arc::clone(model)))
    }

    /// Returns whether a name asks for a model.
    #[must_use]
    pub fn contains(&self, asked: &str) -> bool {
        self.find(asked).is_some()
    }

    /// Returns the names of all models, sorted; patterns are not names.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self
            .models
            .keys()
            .filter(|name| !name.ends_with('*'))
            .cloned()
            .collect();
        names.sort_unstable();
        names
    }

    /// Returns each model's name with its targets.
    pub fn targets(&self) -> impl Iterator<Item = (&Arc<str>, &Target)> {
        self.models.values().flat_map(|model| {
            model
                .targets
                .iter()
                .map(move |target| (&model.name, target))
        })
    }

    /// Returns what a call costs; `None` when it is not known and must not go on.
    pub(crate) fn price(&self, target: &Target, upstream: &str) -> Option<Arc<PricedModel>> {
        if let Some(priced) = &target.priced {
            return Some(Arc::clone(priced));
        }
        let listed = self.prices.lookup(upstream).cloned().map(Arc::new);
        match self.unknown_price {
            UnknownPrice::AllowFlagged => Some(listed.unwrap_or_else(|| Arc::new(unknown()))),
            UnknownPrice::Deny => listed,
        }
    }
}

/// The price of a call whose price is not known, and that is let through all the same.
fn unknown() -> PricedModel {
    PricedModel {
        provider: Arc::default(),
        mode: Mode::Chat,
        price: ModelPrice::FREE,
        long_context: None,
        max_output_tokens: None,
        context_tokens: None,
        version: Arc::from("unknown"),
    }
}

impl Model {
    fn new(
        name: &Arc<str>,
        config: ModelConfig,
        breaker: &BreakerConfig,
        prices: &PriceTable,
    ) -> Self {
        let is_pattern = name.ends_with('*');
        let targets = config.targets.into_iter().map(|target| Target {
            priced: priced(&target, config.price, is_pattern, prices),
            provider_index: target.provider_index,
            provider: Arc::from(target.provider),
            model: (!is_pattern).then(|| Arc::from(target.model)),
            weight: target.weight,
            order: target.order,
            total_timeout: target.total_timeout,
            bulkhead: (target.max_parallel > 0)
                .then(|| Arc::new(Parallel::new(target.max_parallel))),
            breaker: Breaker::new(breaker),
        });
        Self {
            targets: targets.collect(),
            name: Arc::clone(name),
            fallbacks: config.fallbacks.into_iter().map(Arc::from).collect(),
        }
    }
}

/// What a target's calls cost, where that does not depend on the model that is asked for.
fn priced(
    target: &TargetConfig,
    price: Option<ModelPrice>,
    is_pattern: bool,
    prices: &PriceTable,
) -> Option<Arc<PricedModel>> {
    let price = price.or(target.is_free.then_some(ModelPrice::FREE));
    let table = match price {
        Some(price) => &prices.clone().with(&target.model, price),
        None if is_pattern => return None,
        None => prices,
    };
    table.lookup(&target.model).cloned().map(Arc::new)
}
