//! The rows of the books.

use diesel::prelude::*;
use tollgate_domain::{
    BudgetScope, Charge, KeyId, Money, OrgId, TerminalState, Timestamp, Usage, UsageEvent,
};
use tollgate_store::{Posting, RollupKey, StoreError, Sums, UsageRow, day_name, money};

use crate::error::bad_row;
use crate::rows::{id_bytes, timestamp};
use crate::schema::{budget_spent, usage_events, usage_rollups};

/// Calls a macro with the columns of `usage_events` and their types.
macro_rules! event_columns {
    ($callback:ident) => {
        $callback! {
            attempt_id: Binary,
            request_id: Binary,
            attempt: BigInt,
            is_final: Bool,
            org_id: Binary,
            key_id: Binary,
            surface: Text,
            model: Text,
            provider: Text,
            upstream_model: Text,
            started_at_us: BigInt,
            latency_us: BigInt,
            first_token_us: Nullable<BigInt>,
            input_tokens: BigInt,
            cached_input_tokens: BigInt,
            cache_write_tokens: BigInt,
            audio_input_tokens: BigInt,
            output_tokens: BigInt,
            reasoning_tokens: BigInt,
            audio_output_tokens: BigInt,
            provenance: Text,
            cost_nano_usd: BigInt,
            price_version: Text,
            state: Text,
            upstream_status: Nullable<BigInt>,
            org_window_start_us: Nullable<BigInt>,
            key_window_start_us: Nullable<BigInt>,
        }
    };
}
pub(crate) use event_columns;

/// A usage event that is written.
pub(crate) struct EventRow<'a> {
    pub(crate) attempt_id: &'a [u8],
    pub(crate) request_id: &'a [u8],
    pub(crate) attempt: i64,
    pub(crate) is_final: bool,
    pub(crate) org_id: &'a [u8],
    pub(crate) key_id: &'a [u8],
    pub(crate) surface: &'a str,
    pub(crate) model: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) upstream_model: &'a str,
    pub(crate) started_at_us: i64,
    pub(crate) latency_us: i64,
    pub(crate) first_token_us: Option<i64>,
    pub(crate) input_tokens: i64,
    pub(crate) cached_input_tokens: i64,
    pub(crate) cache_write_tokens: i64,
    pub(crate) audio_input_tokens: i64,
    pub(crate) output_tokens: i64,
    pub(crate) reasoning_tokens: i64,
    pub(crate) audio_output_tokens: i64,
    pub(crate) provenance: &'a str,
    pub(crate) cost_nano_usd: i64,
    pub(crate) price_version: &'a str,
    pub(crate) state: &'a str,
    pub(crate) upstream_status: Option<i64>,
    pub(crate) org_window_start_us: Option<i64>,
    pub(crate) key_window_start_us: Option<i64>,
}

impl<'a> TryFrom<&'a UsageEvent> for EventRow<'a> {
    type Error = StoreError;

    fn try_from(event: &'a UsageEvent) -> Result<Self, StoreError> {
        let window = |charge: Option<Charge>| charge.map(|charge| charge.window_start.micros());
        Ok(Self {
            attempt_id: event.attempt_id.as_bytes(),
            request_id: event.request_id.as_bytes(),
            attempt: i64::from(event.attempt),
            is_final: event.is_final,
            org_id: event.org_id.as_bytes(),
            key_id: event.key_id.as_bytes(),
            surface: event.surface.as_str(),
            model: &event.model,
            provider: &event.provider,
            upstream_model: &event.upstream_model,
            started_at_us: event.started_at.micros(),
            latency_us: figure(event.latency_us)?,
            first_token_us: event.first_token_us.map(figure).transpose()?,
            input_tokens: figure(event.usage.input)?,
            cached_input_tokens: figure(event.usage.cached_input)?,
            cache_write_tokens: figure(event.usage.cache_write)?,
            audio_input_tokens: figure(event.usage.audio_input)?,
            output_tokens: figure(event.usage.output)?,
            reasoning_tokens: figure(event.usage.reasoning)?,
            audio_output_tokens: figure(event.usage.audio_output)?,
            provenance: event.provenance.as_str(),
            cost_nano_usd: event.cost.nano(),
            price_version: &event.price_version,
            state: event.state.as_str(),
            upstream_status: event.upstream_status.map(i64::from),
            org_window_start_us: window(event.org_charge),
            key_window_start_us: window(event.key_charge),
        })
    }
}

/// The part of a usage event that is recounted.
#[derive(Queryable, Selectable)]
#[diesel(table_name = usage_events)]
pub(crate) struct PostingRow {
    attempt_id: Vec<u8>,
    is_final: bool,
    org_id: Vec<u8>,
    key_id: Vec<u8>,
    model: String,
    started_at_us: i64,
    state: String,
    input_tokens: i64,
    cached_input_tokens: i64,
    cache_write_tokens: i64,
    audio_input_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    audio_output_tokens: i64,
    cost_nano_usd: i64,
    org_window_start_us: Option<i64>,
    key_window_start_us: Option<i64>,
}

impl PostingRow {
    pub(crate) fn posting(&self) -> Result<Posting<'_>, StoreError> {
        let state: TerminalState = self
            .state
            .parse()
            .map_err(|_| bad_row("a terminal state"))?;
        Ok(Posting {
            org_id: OrgId::from_bytes(id_bytes(&self.org_id)?),
            key_id: KeyId::from_bytes(id_bytes(&self.key_id)?),
            model: &self.model,
            started_at: Timestamp::from_micros(self.started_at_us),
            is_final: self.is_final,
            is_ok: state == TerminalState::Ok,
            usage: Usage {
                input: count(self.input_tokens)?,
                cached_input: count(self.cached_input_tokens)?,
                cache_write: count(self.cache_write_tokens)?,
                audio_input: count(self.audio_input_tokens)?,
                output: count(self.output_tokens)?,
                reasoning: count(self.reasoning_tokens)?,
                audio_output: count(self.audio_output_tokens)?,
            },
            cost: Money::from_nano(self.cost_nano_usd),
            org_window: timestamp(self.org_window_start_us),
            key_window: timestamp(self.key_window_start_us),
        })
    }

    pub(crate) fn into_attempt_id(self) -> Vec<u8> {
        self.attempt_id
    }
}

/// The columns that roll-ups sum.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = usage_rollups, treat_none_as_default_value = false)]
pub(crate) struct SumsRow {
    requests: i64,
    attempts: i64,
    errors: i64,
    input_tokens: i64,
    cached_input_tokens: i64,
    cache_write_tokens: i64,
    audio_input_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    audio_output_tokens: i64,
    cost_nano_usd: i64,
}

impl SumsRow {
    pub(crate) fn into_row(self, group: String) -> Result<UsageRow, StoreError> {
        Sums::try_from(&self)?.into_row(group)
    }
}

impl TryFrom<&Sums> for SumsRow {
    type Error = StoreError;

    fn try_from(sums: &Sums) -> Result<Self, StoreError> {
        Ok(Self {
            requests: figure(sums.requests)?,
            attempts: figure(sums.attempts)?,
            errors: figure(sums.errors)?,
            input_tokens: figure(sums.usage.input)?,
            cached_input_tokens: figure(sums.usage.cached_input)?,
            cache_write_tokens: figure(sums.usage.cache_write)?,
            audio_input_tokens: figure(sums.usage.audio_input)?,
            output_tokens: figure(sums.usage.output)?,
            reasoning_tokens: figure(sums.usage.reasoning)?,
            audio_output_tokens: figure(sums.usage.audio_output)?,
            cost_nano_usd: money(sums.cost_nano)?.nano(),
        })
    }
}

impl TryFrom<&SumsRow> for Sums {
    type Error = StoreError;

    fn try_from(row: &SumsRow) -> Result<Self, StoreError> {
        Ok(Self {
            requests: count(row.requests)?,
            attempts: count(row.attempts)?,
            errors: count(row.errors)?,
            usage: Usage {
                input: count(row.input_tokens)?,
                cached_input: count(row.cached_input_tokens)?,
                cache_write: count(row.cache_write_tokens)?,
                audio_input: count(row.audio_input_tokens)?,
                output: count(row.output_tokens)?,
                reasoning: count(row.reasoning_tokens)?,
                audio_output: count(row.audio_output_tokens)?,
            },
            cost_nano: i128::from(row.cost_nano_usd),
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = usage_rollups, treat_none_as_default_value = false)]
pub(crate) struct RollupRow {
    org_id: Vec<u8>,
    day: String,
    key_id: Vec<u8>,
    model: String,
    #[diesel(embed)]
    sums: SumsRow,
}

impl TryFrom<(&RollupKey, &Sums)> for RollupRow {
    type Error = StoreError;

    fn try_from((key, sums): (&RollupKey, &Sums)) -> Result<Self, StoreError> {
        Ok(Self {
            org_id: key.org_id.as_bytes().to_vec(),
            day: day_name(key.day),
            key_id: key.key_id.as_bytes().to_vec(),
            model: key.model.clone(),
            sums: sums.try_into()?,
        })
    }
}

impl TryFrom<RollupRow> for (RollupKey, Sums) {
    type Error = StoreError;

    fn try_from(row: RollupRow) -> Result<Self, StoreError> {
        let day = format!("{}T00:00:00Z", row.day).parse();
        let key = RollupKey {
            org_id: OrgId::from_bytes(id_bytes(&row.org_id)?),
            day: day.map_err(|_| bad_row("a day"))?,
            key_id: KeyId::from_bytes(id_bytes(&row.key_id)?),
            model: row.model,
        };
        Ok((key, (&row.sums).try_into()?))
    }
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = budget_spent, treat_none_as_default_value = false)]
pub(crate) struct BudgetRow {
    scope: String,
    window_start_us: i64,
    spent_nano_usd: i64,
}

impl TryFrom<(&(BudgetScope, Timestamp), &i128)> for BudgetRow {
    type Error = StoreError;

    fn try_from(
        ((scope, window_start), spent): (&(BudgetScope, Timestamp), &i128),
    ) -> Result<Self, StoreError> {
        Ok(Self {
            scope: scope.to_string(),
            window_start_us: window_start.micros(),
            spent_nano_usd: money(*spent)?.nano(),
        })
    }
}

impl TryFrom<BudgetRow> for ((BudgetScope, Timestamp), i128) {
    type Error = StoreError;

    fn try_from(row: BudgetRow) -> Result<Self, StoreError> {
        let scope = row.scope.parse().map_err(|_| bad_row("a budget scope"))?;
        let window_start = Timestamp::from_micros(row.window_start_us);
        Ok(((scope, window_start), i128::from(row.spent_nano_usd)))
    }
}

fn figure(count: u64) -> Result<i64, StoreError> {
    i64::try_from(count).map_err(|_| StoreError::Invalid {
        what: "a sum out of range",
    })
}

fn count(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| bad_row("a count"))
}
