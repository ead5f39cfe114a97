//! Leases as rows.

macro_rules! impl_lease_store {
    ($store:ty) => {
        const _: () = {
            use diesel::prelude::*;
            use tollgate_domain::Timestamp;
            use tollgate_store::{LeaseStore, StoreError, check_lease};

            use $crate::rows::Rows;
            use $crate::schema::leases::dsl;

            impl LeaseStore for $store {
                fn take_lease(
                    &self,
                    name: &str,
                    holder: &str,
                    now: Timestamp,
                    until: Timestamp,
                ) -> Result<bool, StoreError> {
                    check_lease(name, holder)?;
                    let end = dsl::until_us.eq(until.micros());
                    self.write(Rows::Shared, |connection| {
                        let new = (dsl::name.eq(name), dsl::holder.eq(holder), end);
                        let made = diesel::insert_into(dsl::leases)
                            .values(new)
                            .on_conflict_do_nothing()
                            .execute(connection)?;
                        if made > 0 {
                            return Ok(true);
                        }
                        let is_free = dsl::holder.eq(holder).or(dsl::until_us.le(now.micros()));
                        let taken = diesel::update(dsl::leases.find(name).filter(is_free))
                            .set((dsl::holder.eq(holder), end))
                            .execute(connection)?;
                        Ok(taken > 0)
                    })
                }

                fn end_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
                    check_lease(name, holder)?;
                    self.write(Rows::Shared, |connection| {
                        let held = dsl::leases.find(name).filter(dsl::holder.eq(holder));
                        diesel::delete(held).execute(connection)?;
                        Ok(())
                    })
                }
            }
        };
    };
}
pub(crate) use impl_lease_store;
