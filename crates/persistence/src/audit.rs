//! Audit entries as rows, and the change that each is written with.

use diesel::prelude::*;
use tollgate_domain::{AuditEntry, DIGEST_BYTES, OrgId, Timestamp};
use tollgate_store::{AuditHead, StoreError};

use crate::error::bad_row;
use crate::rows::{id_bytes, mac_bytes, version, version_column};
use crate::schema::audit_entries;

/// The organization of the installation's chain.
pub(crate) const INSTALLATION: OrgId = OrgId::from_bytes([0; 16]);

/// What a unit of work did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: there is nothing to write down.
    None,
    /// Something that is written down.
    Audited,
    /// Something that also matters to who may do what.
    Auth,
}

impl Change {
    pub(crate) const fn auth_if(is_change: bool) -> Self {
        if is_change { Self::Auth } else { Self::None }
    }

    pub(crate) const fn audited_if(is_change: bool) -> Self {
        if is_change { Self::Audited } else { Self::None }
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = audit_entries, treat_none_as_default_value = false)]
pub(crate) struct AuditRow {
    org_id: Vec<u8>,
    seq: i64,
    at_us: i64,
    actor: String,
    action: String,
    object: String,
    outcome: String,
    request_id: String,
    client_ip: Option<String>,
    before_sha256: Option<Vec<u8>>,
    after_sha256: Option<Vec<u8>>,
    details: String,
    previous: Vec<u8>,
    seal: Vec<u8>,
}

impl From<AuditEntry> for AuditRow {
    fn from(entry: AuditEntry) -> Self {
        let digest = |digest: Option<[u8; DIGEST_BYTES]>| digest.map(|bytes| bytes.to_vec());
        Self {
            org_id: entry.org_id.unwrap_or(INSTALLATION).as_bytes().to_vec(),
            seq: version_column(entry.seq),
            at_us: entry.at.micros(),
            actor: entry.actor.to_string(),
            action: entry.action,
            object: entry.object,
            outcome: entry.outcome.as_str().to_owned(),
            request_id: entry.request_id,
            client_ip: entry.client_ip.map(|address| address.to_string()),
            before_sha256: digest(entry.before),
            after_sha256: digest(entry.after),
            details: entry.details,
            previous: entry.previous.to_vec(),
            seal: entry.seal.to_vec(),
        }
    }
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let digest = |bytes: Option<Vec<u8>>| bytes.as_deref().map(mac_bytes).transpose();
        let address = row.client_ip.map(|text| text.parse()).transpose();
        Ok(Self {
            org_id: chain_of(&row.org_id)?,
            seq: version(row.seq)?,
            at: Timestamp::from_micros(row.at_us),
            actor: row.actor.parse().map_err(|_| bad_row("an actor"))?,
            action: row.action,
            object: row.object,
            outcome: row.outcome.parse().map_err(|_| bad_row("an outcome"))?,
            request_id: row.request_id,
            client_ip: address.map_err(|_| bad_row("an address"))?,
            before: digest(row.before_sha256)?,
            after: digest(row.after_sha256)?,
            details: row.details,
            previous: mac_bytes(&row.previous)?,
            seal: mac_bytes(&row.seal)?,
        })
    }
}

/// Returns where a chain ends, from its row of `audit_heads`.
pub(crate) fn head((org_id, seq, seal): (Vec<u8>, i64, Vec<u8>)) -> Result<AuditHead, StoreError> {
    Ok(AuditHead {
        org_id: chain_of(&org_id)?,
        seq: version(seq)?,
        seal: mac_bytes(&seal)?,
    })
}

fn chain_of(bytes: &[u8]) -> Result<Option<OrgId>, StoreError> {
    let org = OrgId::from_bytes(id_bytes(bytes)?);
    Ok((org != INSTALLATION).then_some(org))
}

/// Updates a row that is at the version which was read, as the last step of a change: its new version,
/// `Outdated` when it is at another one, `Missing` when there is none.
macro_rules! updated {
    ($connection:expr, $dsl:ident, $found:expr, $version:expr, $row:expr, $what:expr) => {{
        let found = $found;
        let new: Option<i64> =
            diesel::update(found.filter($dsl::version.eq(version_column($version))))
                .set(($row, $dsl::version.eq($dsl::version + 1)))
                .returning($dsl::version)
                .get_result($connection)
                .optional()
                .map_err(Failure::taken($what, $what))?;
        match new {
            Some(new) => Ok(($crate::rows::version(new)?, Change::Auth)),
            None => {
                let other: Option<i64> =
                    found.select($dsl::version).first($connection).optional()?;
                Err(match other {
                    Some(_) => StoreError::Outdated { what: $what },
                    None => StoreError::Missing { what: $what },
                })?
            }
        }
    }};
}
pub(crate) use updated;

macro_rules! impl_audit_store {
    ($store:ty, $connection:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, AuditEntry, DIGEST_BYTES, OrgId};
            use tollgate_store::{AuditFilter, AuditHead, AuditStore, StoreError, check_audit};

            use $crate::audit::{AuditRow, Change, INSTALLATION, head};
            use $crate::error::Failure;
            use $crate::rows::{Rows, mac_bytes, version};
            use $crate::schema::{audit_entries, audit_heads, auth_epoch};

            impl $store {
                /// Runs a unit of work, within an organization if it is of one, and writes down what it
                /// did, in one transaction. Concurrent changes queue up for the end of the chain, and
                /// then for the epoch.
                pub(crate) fn change<T>(
                    &self,
                    org: Option<OrgId>,
                    audit: &AuditDraft,
                    work: impl Fn(&mut $connection) -> Result<(T, Change), Failure>,
                ) -> Result<T, StoreError> {
                    check_audit(org, audit)?;
                    self.write(org.map_or(Rows::All, Rows::Of), |connection| {
                        let (answer, change) = work(connection)?;
                        if change != Change::None {
                            self.append_audit(connection, audit)?;
                        }
                        if change == Change::Auth {
                            diesel::update(auth_epoch::table)
                                .set(auth_epoch::epoch.eq(auth_epoch::epoch + 1))
                                .execute(connection)?;
                        }
                        Ok(answer)
                    })
                }

                /// Puts an entry at the end of its chain, which nobody else can do until this
                /// transaction ends: the update holds the row of the chain's head.
                pub(crate) fn append_audit(
                    &self,
                    connection: &mut $connection,
                    draft: &AuditDraft,
                ) -> Result<AuditEntry, Failure> {
                    let chain = draft.org_id.unwrap_or(INSTALLATION).as_bytes().to_vec();
                    let advance = |connection: &mut $connection| {
                        diesel::update(audit_heads::table.find(&chain))
                            .set(audit_heads::seq.eq(audit_heads::seq + 1))
                            .returning((audit_heads::seq, audit_heads::seal))
                            .get_result::<(i64, Vec<u8>)>(connection)
                            .optional()
                    };
                    let mut found = advance(connection)?;
                    if found.is_none() {
                        diesel::insert_into(audit_heads::table)
                            .values((
                                audit_heads::org_id.eq(&chain),
                                audit_heads::seq.eq(0),
                                audit_heads::seal.eq(vec![0; DIGEST_BYTES]),
                            ))
                            .on_conflict_do_nothing()
                            .execute(connection)?;
                        found = advance(connection)?;
                    }
                    let (seq, previous) = found.ok_or(diesel::result::Error::NotFound)?;
                    let mut entry = draft.follow(version(seq)?, mac_bytes(&previous)?);
                    entry.seal = self.sealer.get()?.seal(&entry);
                    diesel::insert_into(audit_entries::table)
                        .values(AuditRow::from(entry.clone()))
                        .execute(connection)?;
                    diesel::update(audit_heads::table.find(&chain))
                        .set(audit_heads::seal.eq(entry.seal.as_slice()))
                        .execute(connection)?;
                    Ok(entry)
                }
            }

            impl AuditStore for $store {
                fn record_audit(&self, draft: &AuditDraft) -> Result<AuditEntry, StoreError> {
                    check_audit(None, draft)?;
                    let rows = Rows::Of(draft.org_id.unwrap_or(INSTALLATION));
                    self.write(rows, |connection| self.append_audit(connection, draft))
                }

                fn list_audit(
                    &self,
                    chain: Option<OrgId>,
                    filter: &AuditFilter,
                    before: Option<u64>,
                    limit: u16,
                ) -> Result<Vec<AuditEntry>, StoreError> {
                    use audit_entries::*;
                    let texts = [&filter.actor, &filter.action, &filter.object];
                    if texts.into_iter().flatten().any(|text| text.contains('\0')) {
                        return Ok(Vec::new());
                    }
                    let chain = chain.unwrap_or(INSTALLATION);
                    self.read(Rows::Of(chain), |connection| {
                        let mut query = table
                            .filter(org_id.eq(chain.as_bytes().as_slice()))
                            .order(seq.desc())
                            .limit(i64::from(limit))
                            .into_boxed();
                        if let Some(before) = before {
                            query = query.filter(seq.lt(i64::try_from(before).unwrap_or(i64::MAX)));
                        }
                        if let Some(wanted) = &filter.actor {
                            query = query.filter(actor.eq(wanted));
                        }
                        if let Some(wanted) = &filter.action {
                            query = query.filter(action.eq(wanted));
                        }
                        if let Some(wanted) = &filter.object {
                            query = query.filter(object.eq(wanted));
                        }
                        if let Some(wanted) = filter.outcome {
                            query = query.filter(outcome.eq(wanted.as_str()));
                        }
                        if let Some(from) = filter.from {
                            query = query.filter(at_us.ge(from.micros()));
                        }
                        if let Some(until) = filter.until {
                            query = query.filter(at_us.lt(until.micros()));
                        }
                        let rows: Vec<AuditRow> = query.load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(AuditEntry::try_from).collect();
                        Ok(all?)
                    })
                }

                fn read_audit(
                    &self,
                    chain: Option<OrgId>,
                    after: u64,
                    limit: u16,
                ) -> Result<Vec<AuditEntry>, StoreError> {
                    use audit_entries::*;
                    let chain = chain.unwrap_or(INSTALLATION);
                    self.read(Rows::Of(chain), |connection| {
                        let rows: Vec<AuditRow> = table
                            .filter(org_id.eq(chain.as_bytes().as_slice()))
                            .filter(seq.gt(i64::try_from(after).unwrap_or(i64::MAX)))
                            .order(seq)
                            .limit(i64::from(limit))
                            .load(connection)?;
                        let all: Result<_, _> =
                            rows.into_iter().map(AuditEntry::try_from).collect();
                        Ok(all?)
                    })
                }

                fn find_audit_head(
                    &self,
                    chain: Option<OrgId>,
                ) -> Result<Option<AuditHead>, StoreError> {
                    let chain = chain.unwrap_or(INSTALLATION);
                    self.read(Rows::Of(chain), |connection| {
                        let found = audit_heads::table
                            .find(chain.as_bytes().as_slice())
                            .first(connection)
                            .optional()?;
                        Ok(found.map(head).transpose()?)
                    })
                }
            }
        };
    };
}
pub(crate) use impl_audit_store;
