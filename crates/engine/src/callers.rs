//! Who calls: from the text of a key to everything that is checked per call.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::Semaphore;
use tollgate_auth::{Denied, Granted, KeyText, ModelsUse, Pepper, Principal};
use tollgate_domain::{
    Actor, ApiKey, BudgetScope, ErrorKind, Organization, Team, Timestamp, is_model_allowed,
};
use tollgate_ledger::{Account, Ledger};
use tollgate_store::{Store, StoreError};

use crate::clock::now;
use crate::error::EngineError;
use crate::limits::{LimitTable, ScopeLimits};
use crate::rights::rights_of_key;

/// Look-ups in the store at once; more callers than that wait for a turn.
const LOOKUPS_MAX: usize = 16;

/// An API key, its organization and what it may do, with their live counters and accounts.
#[derive(Debug)]
pub struct Caller {
    /// The key.
    pub key: ApiKey,
    /// Its organization.
    pub organization: Organization,
    /// The team that it works for.
    pub team: Option<Team>,
    principal: Principal,
    pub(crate) limits: [Arc<ScopeLimits>; 2],
    pub(crate) org_account: Account,
    pub(crate) key_account: Account,
    epoch: u64,
}

impl Caller {
    /// Returns who this is, for permission checks: what it may do was worked out when it was looked up.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.principal.clone()
    }

    /// Checks that this caller may call models: those of its team when it works for one.
    ///
    /// # Errors
    /// When it may not.
    pub fn check_models_use(&self) -> Result<(), Denied> {
        match self.key.team_id {
            None => Granted::<ModelsUse>::check(self.principal()).map(drop),
            Some(team) => Granted::<ModelsUse>::on_team(self.principal(), team).map(drop),
        }
    }

    /// Returns whether this caller may call this model: the lists of the key and of its team allow it.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        let team = self.team.as_ref();
        self.key.may_use(model) && team.is_none_or(|team| is_model_allowed(&team.models, model))
    }

    /// Returns whether some budget bounds what this caller may spend.
    pub(crate) const fn has_budget(&self) -> bool {
        self.key.budget.is_some() || self.organization.budget.is_some()
    }
}

/// Finds callers, and remembers them until something about who may do what changes.
///
/// Every record is kept under the epoch that was read before it: a change advances the epoch, and
/// with it every older record is read anew. So a slow look-up cannot bring a revoked key back.
pub struct Callers {
    store: Arc<dyn Store>,
    ledger: Ledger,
    pepper: Arc<Pepper>,
    limits: LimitTable,
    known: Cache<Box<str>, Arc<Caller>>,
    unknown: Cache<Box<str>, u64>,
    epoch: AtomicU64,
    lookups: Arc<Semaphore>,
}

impl std::fmt::Debug for Callers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callers")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Callers {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        ledger: Ledger,
        pepper: Arc<Pepper>,
        callers_max: u64,
    ) -> Result<Self, StoreError> {
        let epoch = AtomicU64::new(store.auth_epoch()?);
        Ok(Self {
            store,
            ledger,
            pepper,
            limits: LimitTable::new(callers_max.saturating_mul(2)),
            known: Cache::builder().max_capacity(callers_max).build(),
            unknown: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(5))
                .build(),
            epoch,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        })
    }

    /// Returns the caller whose key this is, if it may be used from this address.
    ///
    /// # Errors
    /// `Unauthenticated` when no live key is this one; `Forbidden` when it or its organization is
    /// blocked, or it may not be used from there; `Unavailable` when that cannot be found out: never a
    /// wrong 401.
    pub async fn authenticate(
        self: &Arc<Self>,
        key: &KeyText,
        client_ip: Option<IpAddr>,
    ) -> Result<Arc<Caller>, EngineError> {
        let caller = match self.remembered(key.public_id()) {
            Some(found) => found?,
            None => Box::pin(self.look_up(key.public_id())).await?,
        };
        let now = now();
        if !self.is_key_of(key, &caller.key, now) {
            return Err(not_valid());
        }
        // Only whoever has the key is told why it does not work.
        if caller.key.blocked {
            return Err(forbidden("key_blocked", "this API key is blocked"));
        }
        if !caller.key.is_live(now) {
            return Err(not_valid());
        }
        if caller.organization.blocked {
            return Err(forbidden(
                "organization_blocked",
                "this organization is blocked",
            ));
        }
        if !caller.key.may_come_from(client_ip) {
            return Err(forbidden(
                "address_not_allowed",
                "this API key may not be used from this address",
            ));
        }
        Ok(caller)
    }

    /// Returns whether this is the text of the key, or the one before its last rotation while that
    /// works.
    fn is_key_of(&self, text: &KeyText, key: &ApiKey, now: Timestamp) -> bool {
        self.pepper.matches(text, &key.mac)
            || key
                .previous_mac(now)
                .is_some_and(|mac| self.pepper.matches(text, mac))
    }

    /// Reads the epoch from the store, so that changes made elsewhere take effect. Blocks.
    ///
    /// # Errors
    /// When the store cannot be read; what is remembered stays in use.
    pub fn refresh(&self) -> Result<(), StoreError> {
        self.epoch
            .fetch_max(self.store.auth_epoch()?, Ordering::AcqRel);
        Ok(())
    }

    /// Returns the pepper under which keys are stored.
    #[must_use]
    pub const fn pepper(&self) -> &Arc<Pepper> {
        &self.pepper
    }

    fn remembered(&self, public_id: &str) -> Option<Result<Arc<Caller>, EngineError>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if let Some(caller) = self.known.get(public_id) {
            return (caller.epoch >= epoch).then_some(Ok(caller));
        }
        let missed_at = self.unknown.get(public_id)?;
        (missed_at >= epoch).then(|| Err(not_valid()))
    }

    async fn look_up(self: &Arc<Self>, public_id: &str) -> Result<Arc<Caller>, EngineError> {
        let busy = || {
            EngineError::new(
                ErrorKind::Unavailable,
                "service_unavailable",
                "look-ups have stopped",
            )
        };
        let _turn = Arc::clone(&self.lookups)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        // Somebody else may have looked it up while this one waited for its turn.
        if let Some(found) = self.remembered(public_id) {
            return found;
        }
        let (callers, public_id) = (Arc::clone(self), Box::<str>::from(public_id));
        tokio::task::spawn_blocking(move || callers.load(&public_id))
            .await
            .map_err(|_| busy())?
    }

    fn load(&self, public_id: &str) -> Result<Arc<Caller>, EngineError> {
        let epoch = self.store.auth_epoch()?;
        let Some(key) = self.store.find_api_key_by_public_id(public_id)? else {
            self.unknown.insert(public_id.into(), epoch);
            return Err(not_valid());
        };
        let organization = self
            .store
            .find_organization(key.org_id)?
            .ok_or_else(not_valid)?;
        let team = match key.team_id {
            Some(id) => self.store.find_team(key.org_id, id)?,
            None => None,
        };
        let principal = Principal {
            org_id: key.org_id,
            actor: Actor::Key(key.id),
            rights: rights_of_key(&*self.store, &key, team.as_ref())?,
        };
        let (org_scope, key_scope) = (BudgetScope::Org(organization.id), BudgetScope::Key(key.id));
        let caller = Arc::new(Caller {
            limits: [
                self.limits.scope(org_scope, organization.limits),
                self.limits.scope(key_scope, key.limits),
            ],
            org_account: self.ledger.account(org_scope, organization.budget)?,
            key_account: self.ledger.account(key_scope, key.budget)?,
            key,
            organization,
            team,
            principal,
            epoch,
        });
        self.known.insert(public_id.into(), Arc::clone(&caller));
        Ok(caller)
    }
}

fn forbidden(code: &'static str, message: &'static str) -> EngineError {
    EngineError::new(ErrorKind::Forbidden, code, message)
}

fn not_valid() -> EngineError {
    EngineError::new(
        ErrorKind::Unauthenticated,
        "invalid_api_key",
        "the API key is not valid, has expired or was revoked",
    )
}
