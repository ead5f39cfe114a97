//! A store that forgets everything when it is dropped.

mod accounts;
mod audit;
mod audit_upkeep;
mod identities;
mod invitations;
mod keys;
mod leases;
mod people;
mod repetition;
mod secrets;
mod sessions;
mod teams;
mod tokens;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_domain::{
    ApiKey, AttemptId, AuditDraft, AuditEntry, CustomRole, DIGEST_BYTES, Invitation, InvitationId,
    KeyId, MAC_BYTES, Membership, OneTimeToken, OrgId, Organization, RoleId, Session, SessionId,
    Team, TeamId, TeamMembership, Timestamp, UsageEvent, User, UserId,
};

use crate::Store;
use crate::audit::AuditSealer;
use crate::audit_upkeep::AuditPruned;
use crate::books::Books;
use crate::check::check_audit;
use crate::error::StoreError;
use crate::identities::UserIdentity;
use crate::memory::repetition::{BegunRequest, RequestName};
use crate::secrets::SealedSecret;
use crate::tokens::{RefreshToken, SealedSigningKey};

/// Keeps everything in memory, without a bound: for tests and throw-away servers.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    sealer: Arc<dyn AuditSealer>,
}

/// What is gone with the process needs no seal.
#[derive(Debug)]
struct NoSeal;

impl AuditSealer for NoSeal {
    fn seal(&self, _: &AuditEntry) -> [u8; DIGEST_BYTES] {
        [0; DIGEST_BYTES]
    }
}

impl Default for MemoryStore {
    /// Makes an empty store whose audit entries are not sealed.
    fn default() -> Self {
        Self::new(Arc::new(NoSeal))
    }
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    organizations: BTreeMap<OrgId, Organization>,
    keys: BTreeMap<KeyId, ApiKey>,
    keys_by_public_id: HashMap<String, KeyId>,
    teams: BTreeMap<TeamId, Team>,
    users: BTreeMap<UserId, User>,
    members: BTreeMap<(OrgId, UserId), Membership>,
    team_members: BTreeMap<(TeamId, UserId), TeamMembership>,
    roles: BTreeMap<RoleId, CustomRole>,
    invitations: BTreeMap<InvitationId, Invitation>,
    sessions: BTreeMap<SessionId, Session>,
    tokens: HashMap<[u8; MAC_BYTES], OneTimeToken>,
    audit: BTreeMap<Option<OrgId>, Vec<AuditEntry>>,
    pruned: BTreeMap<Option<OrgId>, AuditPruned>,
    secrets: BTreeMap<String, SealedSecret>,
    requests: HashMap<RequestName, BegunRequest>,
    refresh_tokens: HashMap<[u8; MAC_BYTES], RefreshToken>,
    signing_keys: BTreeMap<u32, SealedSigningKey>,
    identities: BTreeMap<(String, String), UserIdentity>,
    /// Who holds each, and until when.
    leases: BTreeMap<String, (String, Timestamp)>,
    events: BTreeMap<AttemptId, UsageEvent>,
    books: Books,
}

/// What a unit of work did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Nothing: there is nothing to write down.
    None,
    /// Something that is written down.
    Audited,
    /// Something that also matters to who may do what.
    Auth,
}

impl Change {
    const fn auth_if(is_change: bool) -> Self {
        if is_change { Self::Auth } else { Self::None }
    }

    const fn audited_if(is_change: bool) -> Self {
        if is_change { Self::Audited } else { Self::None }
    }
}

impl MemoryStore {
    /// Makes an empty store whose audit entries are sealed by this.
    #[must_use]
    pub fn new(sealer: Arc<dyn AuditSealer>) -> Self {
        Self {
            state: Mutex::default(),
            sealer,
        }
    }

    /// Returns every usage event, in the order of their ids.
    #[must_use]
    pub fn usage_events(&self) -> Vec<UsageEvent> {
        self.state.lock().events.values().cloned().collect()
    }

    /// Runs a unit of work, within an organization if it is of one, and writes down what it did. The
    /// work changes nothing before it fails.
    fn change<T>(
        &self,
        org: Option<OrgId>,
        audit: &AuditDraft,
        work: impl FnOnce(&mut State) -> Result<(T, Change), StoreError>,
    ) -> Result<T, StoreError> {
        check_audit(org, audit)?;
        let mut state = self.state.lock();
        let (answer, change) = work(&mut state)?;
        if change != Change::None {
            state.append_audit(audit, &*self.sealer);
        }
        state.epoch += u64::from(change == Change::Auth);
        Ok(answer)
    }
}

impl Store for MemoryStore {
    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Returns up to `limit` of what is to be listed after the one given.
fn page<K: Ord + Copy, V: Clone>(
    map: &BTreeMap<K, V>,
    after: Option<K>,
    limit: u16,
    is_listed: impl Fn(&V) -> bool,
) -> Vec<V> {
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    map.range((start, Bound::Unbounded))
        .map(|(_, value)| value)
        .filter(|value| is_listed(value))
        .take(usize::from(limit))
        .cloned()
        .collect()
}
