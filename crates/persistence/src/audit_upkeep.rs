//! The chains of audit entries as a whole: which there are, how far each has come, what was dropped.

macro_rules! impl_audit_upkeep_store {
    ($store:ty, $connection:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::{AuditDraft, OrgId};
            use tollgate_store::{
                AUDIT_PRUNED, AuditHead, AuditPruned, AuditUpkeepStore, StoreError,
                check_audit_pruned,
            };

            use $crate::audit::{Change, INSTALLATION, head};
            use $crate::rows::{Rows, id_bytes, version, version_column};
            use $crate::schema::{audit_entries, audit_heads, audit_pruned};

            /// The ids of a page, from a table that has one for each row or several.
            macro_rules! chains {
                ($table:ident, $after:expr, $limit:expr, $db:expr) => {
                    $table::table
                        .select($table::org_id)
                        .distinct()
                        .filter($table::org_id.gt($after.as_bytes().as_slice()))
                        .order($table::org_id)
                        .limit(i64::from($limit))
                        .load::<Vec<u8>>($db)
                };
            }

            impl AuditUpkeepStore for $store {
                fn list_audit_chains(
                    &self,
                    after: Option<OrgId>,
                    limit: u16,
                ) -> Result<Vec<OrgId>, StoreError> {
                    // The installation's comes before all others.
                    let after = after.unwrap_or(INSTALLATION);
                    self.read(Rows::All, |connection| {
                        let mut all = chains!(audit_heads, after, limit, connection)?;
                        all.extend(chains!(audit_entries, after, limit, connection)?);
                        all.extend(chains!(audit_pruned, after, limit, connection)?);
                        all.sort();
                        all.dedup();
                        all.truncate(usize::from(limit));
                        let ids = all
                            .iter()
                            .map(|bytes| id_bytes(bytes).map(OrgId::from_bytes));
                        Ok(ids.collect::<Result<_, _>>()?)
                    })
                }

                fn list_audit_heads(
                    &self,
                    after: Option<OrgId>,
                    limit: u16,
                ) -> Result<Vec<AuditHead>, StoreError> {
                    let after = after.unwrap_or(INSTALLATION);
                    self.read(Rows::All, |connection| {
                        let rows: Vec<(Vec<u8>, i64, Vec<u8>)> = audit_heads::table
                            .filter(audit_heads::org_id.gt(after.as_bytes().as_slice()))
                            .order(audit_heads::org_id)
                            .limit(i64::from(limit))
                            .load(connection)?;
                        Ok(rows.into_iter().map(head).collect::<Result<_, _>>()?)
                    })
                }

                fn count_audit(&self) -> Result<u64, StoreError> {
                    // The sum of whole numbers is a decimal in PostgreSQL.
                    let sum = diesel::dsl::sql::<diesel::sql_types::BigInt>(
                        "COALESCE(CAST(SUM(seq) AS BIGINT), 0)",
                    );
                    self.read(Rows::All, |connection| {
                        let sum: i64 = audit_heads::table.select(sum.clone()).first(connection)?;
                        Ok(version(sum)?)
                    })
                }

                fn find_audit_pruned(
                    &self,
                    chain: Option<OrgId>,
                ) -> Result<Option<AuditPruned>, StoreError> {
                    let whose = chain.unwrap_or(INSTALLATION);
                    self.read(Rows::Of(whose), |connection| {
                        let found: Option<(i64, String)> = audit_pruned::table
                            .find(whose.as_bytes().as_slice())
                            .select((audit_pruned::seq, audit_pruned::record))
                            .first(connection)
                            .optional()?;
                        let Some((seq, record)) = found else {
                            return Ok(None);
                        };
                        Ok(Some(AuditPruned {
                            org_id: chain,
                            seq: version(seq)?,
                            record,
                        }))
                    })
                }

                fn add_audit_pruned(
                    &self,
                    pruned: &AuditPruned,
                    audit: &AuditDraft,
                ) -> Result<(), StoreError> {
                    check_audit_pruned(pruned)?;
                    let chain = pruned.org_id.unwrap_or(INSTALLATION);
                    let (id, seq) = (chain.as_bytes().as_slice(), version_column(pruned.seq));
                    self.change(pruned.org_id, audit, |connection| {
                        let last: Option<i64> = audit_heads::table
                            .find(id)
                            .select(audit_heads::seq)
                            .first(connection)
                            .optional()?;
                        if last.is_none_or(|last| last < seq) {
                            Err(StoreError::Invalid { what: AUDIT_PRUNED })?;
                        }
                        let row = (
                            audit_pruned::seq.eq(seq),
                            audit_pruned::record.eq(&pruned.record),
                        );
                        let found = audit_pruned::table.find(id);
                        let is_there = found.count().get_result::<i64>(connection)? > 0;
                        let changed = if is_there {
                            let before = found.filter(audit_pruned::seq.lt(seq));
                            diesel::update(before).set(row).execute(connection)?
                        } else {
                            diesel::insert_into(audit_pruned::table)
                                .values((audit_pruned::org_id.eq(id), row.0, row.1))
                                .on_conflict_do_nothing()
                                .execute(connection)?
                        };
                        if changed == 0 {
                            Err(StoreError::Outdated { what: AUDIT_PRUNED })?;
                        }
                        Ok(((), Change::Audited))
                    })
                }

                fn remove_pruned_audit(
                    &self,
                    chain: Option<OrgId>,
                    limit: u16,
                ) -> Result<usize, StoreError> {
                    let chain = chain.unwrap_or(INSTALLATION);
                    let id = chain.as_bytes().as_slice();
                    self.write(Rows::Of(chain), |connection| {
                        let until: Option<i64> = audit_pruned::table
                            .find(id)
                            .select(audit_pruned::seq)
                            .first(connection)
                            .optional()?;
                        let until = until.unwrap_or_default();
                        let of_chain = || {
                            let chain = audit_entries::org_id.eq(id);
                            audit_entries::table.filter(chain.and(audit_entries::seq.le(until)))
                        };
                        let page: Vec<i64> = of_chain()
                            .select(audit_entries::seq)
                            .order(audit_entries::seq)
                            .limit(i64::from(limit))
                            .load(connection)?;
                        let Some(last) = page.last() else {
                            return Ok(0);
                        };
                        let dropped = of_chain().filter(audit_entries::seq.le(*last));
                        Ok(diesel::delete(dropped).execute(connection)?)
                    })
                }
            }
        };
    };
}
pub(crate) use impl_audit_upkeep_store;
