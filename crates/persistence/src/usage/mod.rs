//! Usage events, roll-ups and what is spent of budgets, as rows.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod rows;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

pub(crate) use self::rows::{BudgetRow, EventRow, PostingRow, RollupRow, SumsRow, event_columns};

/// How many rows one statement writes or reads at the most: SQLite takes 32,766 values, and the
/// widest row that is written value by value has 15.
pub(crate) const ROWS_MAX: usize = 2_000;

/// The columns of [`SumsRow`], summed over a group. An overflow is an error in both backends;
/// without the cast PostgreSQL's answer would be a decimal.
macro_rules! sums {
    () => {{
        use diesel::dsl::sql;
        use diesel::sql_types::BigInt;
        (
            sql::<BigInt>("CAST(SUM(requests) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(attempts) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(errors) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(input_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(cached_input_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(cache_write_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(audio_input_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(output_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(reasoning_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(audio_output_tokens) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(cost_nano_usd) AS BIGINT)"),
        )
    }};
}
pub(crate) use sums;

macro_rules! impl_usage_store {
    ($store:ty, $insert:path) => {
        const _: () = {
            use diesel::prelude::*;
            use diesel::upsert::excluded;
            use tollgate_domain::{BudgetScope, KeyId, Money, Timestamp, UsageEvent};
            use tollgate_store::{
                Books, BooksReport, StoreError, UsageGroup, UsageQuery, UsageRow, UsageStore,
                check_usage_event, day_name,
            };

            use $crate::rows::{Rows, id_bytes};
            use $crate::schema::{budget_spent, usage_events, usage_rollups};
            use $crate::usage::{BudgetRow, PostingRow, ROWS_MAX, RollupRow, SumsRow, sums};

            impl UsageStore for $store {
                fn record_usage(&self, events: &[UsageEvent]) -> Result<usize, StoreError> {
                    events.iter().try_for_each(check_usage_event)?;
                    self.write(Rows::All, |connection| {
                        let books = $insert(connection, events)?;
                        let rollups = books.rollups.iter().map(RollupRow::try_from);
                        let rollups: Vec<_> = rollups.collect::<Result<_, _>>()?;
                        for rows in rollups.chunks(ROWS_MAX) {
                            use usage_rollups::*;
                            diesel::insert_into(table)
                                .values(rows)
                                .on_conflict((org_id, day, key_id, model))
                                .do_update()
                                .set((
                                    requests.eq(requests + excluded(requests)),
                                    attempts.eq(attempts + excluded(attempts)),
                                    errors.eq(errors + excluded(errors)),
                                    input_tokens.eq(input_tokens + excluded(input_tokens)),
                                    cached_input_tokens
                                        .eq(cached_input_tokens + excluded(cached_input_tokens)),
                                    cache_write_tokens
                                        .eq(cache_write_tokens + excluded(cache_write_tokens)),
                                    audio_input_tokens
                                        .eq(audio_input_tokens + excluded(audio_input_tokens)),
                                    output_tokens.eq(output_tokens + excluded(output_tokens)),
                                    reasoning_tokens
                                        .eq(reasoning_tokens + excluded(reasoning_tokens)),
                                    audio_output_tokens
                                        .eq(audio_output_tokens + excluded(audio_output_tokens)),
                                    cost_nano_usd.eq(cost_nano_usd + excluded(cost_nano_usd)),
                                ))
                                .execute(connection)?;
                        }
                        let budgets = books.budgets.iter().map(BudgetRow::try_from);
                        let budgets: Vec<_> = budgets.collect::<Result<_, _>>()?;
                        for rows in budgets.chunks(ROWS_MAX) {
                            use budget_spent::*;
                            diesel::insert_into(table)
                                .values(rows)
                                .on_conflict((scope, window_start_us))
                                .do_update()
                                .set(spent_nano_usd.eq(spent_nano_usd + excluded(spent_nano_usd)))
                                .execute(connection)?;
                        }
                        Ok(usize::try_from(books.events).unwrap_or(usize::MAX))
                    })
                }

                fn usage_totals(&self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError> {
                    use usage_rollups::*;
                    let from = query.from.map(day_name).unwrap_or_default();
                    let until = query.until.map_or_else(|| "~~".to_owned(), day_name);
                    // A text with a NUL cannot be sent; groups, which have none, compare the same
                    // with what is before it.
                    let after = query
                        .after
                        .as_deref()
                        .map(|after| after.split('\0').next().unwrap_or_default());
                    macro_rules! totals {
                        ($column:expr, $after:expr) => {
                            self.read(Rows::Of(query.org), |connection| {
                                let mut rows = table
                                    .group_by($column)
                                    .select(($column, sums!()))
                                    .filter(org_id.eq(query.org.as_bytes().as_slice()))
                                    .filter(day.ge(&from))
                                    .filter(day.lt(&until))
                                    .order($column)
                                    .limit(i64::from(query.limit))
                                    .into_boxed();
                                if let Some(after) = $after {
                                    rows = rows.filter($column.gt(after));
                                }
                                Ok(rows.load::<(_, SumsRow)>(connection)?)
                            })?
                        };
                    }
                    let text = |(group, sums): (String, SumsRow)| sums.into_row(group);
                    match query.group_by {
                        UsageGroup::Model => totals!(model, after).into_iter().map(text).collect(),
                        UsageGroup::Day => totals!(day, after).into_iter().map(text).collect(),
                        UsageGroup::Key => {
                            let after = match after.map(str::parse::<KeyId>).transpose() {
                                Ok(after) => after,
                                Err(_) => return Ok(Vec::new()),
                            };
                            let after = after.as_ref().map(|id| id.as_bytes().as_slice());
                            let rows: Vec<(Vec<u8>, SumsRow)> = totals!(key_id, after);
                            let rows = rows.into_iter().map(|(id, sums)| {
                                sums.into_row(KeyId::from_bytes(id_bytes(&id)?).to_string())
                            });
                            rows.collect()
                        }
                    }
                }

                fn budget_spent(
                    &self,
                    scope: BudgetScope,
                    window_start: Timestamp,
                ) -> Result<Money, StoreError> {
                    self.read(Rows::Shared, |connection| {
                        let spent = budget_spent::table
                            .find((scope.to_string(), window_start.micros()))
                            .select(budget_spent::spent_nano_usd)
                            .first(connection)
                            .optional()?;
                        Ok(Money::from_nano(spent.unwrap_or_default()))
                    })
                }

                fn verify_books(&self) -> Result<BooksReport, StoreError> {
                    use usage_events::*;
                    self.snapshot(Rows::All, |connection| {
                        let mut recount = Books::default();
                        let mut after = Vec::new();
                        loop {
                            let rows: Vec<PostingRow> = table
                                .select(PostingRow::as_select())
                                .filter(attempt_id.gt(&after))
                                .order(attempt_id)
                                .limit(i64::try_from(ROWS_MAX).unwrap_or(1))
                                .load(connection)?;
                            for row in &rows {
                                recount.post(&row.posting()?);
                            }
                            match rows.into_iter().next_back() {
                                Some(last) => after = last.into_attempt_id(),
                                None => break,
                            }
                        }
                        let mut kept = Books::default();
                        let rollups = usage_rollups::table.select(RollupRow::as_select());
                        for row in rollups.load(connection)? {
                            let (key, sums) = row.try_into()?;
                            kept.rollups.insert(key, sums);
                        }
                        for row in budget_spent::table.load::<BudgetRow>(connection)? {
                            let (budget, spent) = row.try_into()?;
                            kept.budgets.insert(budget, spent);
                        }
                        Ok(recount.compare(&kept))
                    })
                }
            }
        };
    };
}
pub(crate) use impl_usage_store;
