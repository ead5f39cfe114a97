-- Ids are the 16 bytes of a UUIDv7, money is nano-dollars, times are microseconds since 1970 in UTC.
-- STRICT refuses the floating-point number that an integer sum becomes when it overflows.

CREATE TABLE organizations (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name TEXT NOT NULL UNIQUE,
    rpm_limit INTEGER,
    tpm_limit INTEGER,
    max_parallel_requests INTEGER,
    max_budget_nano_usd INTEGER,
    budget_duration_s INTEGER CHECK (budget_duration_s IS NULL OR max_budget_nano_usd IS NOT NULL),
    blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    created_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    org_id BLOB NOT NULL REFERENCES organizations (id),
    public_id TEXT NOT NULL UNIQUE,
    mac BLOB NOT NULL CHECK (length(mac) = 32),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    models TEXT NOT NULL CHECK (json_valid(models)),
    rpm_limit INTEGER,
    tpm_limit INTEGER,
    max_parallel_requests INTEGER,
    max_budget_nano_usd INTEGER,
    budget_duration_s INTEGER CHECK (budget_duration_s IS NULL OR max_budget_nano_usd IS NOT NULL),
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,
    revoked_at_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_of_organization ON api_keys (org_id, id);

-- One row: the number that grows with every change to organizations and keys.
CREATE TABLE auth_epoch (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL
) STRICT;

INSERT INTO auth_epoch (id, epoch) VALUES (1, 0);

-- The books. No foreign keys: what was used is booked, whatever else is known.
-- A charge is to the event's own organization or key, so that its window says all.
CREATE TABLE usage_events (
    attempt_id BLOB NOT NULL PRIMARY KEY CHECK (length(attempt_id) = 16),
    request_id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    is_final INTEGER NOT NULL,
    org_id BLOB NOT NULL,
    key_id BLOB NOT NULL,
    surface TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    started_at_us INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    first_token_us INTEGER,
    input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    audio_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    provenance TEXT NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    price_version TEXT NOT NULL,
    state TEXT NOT NULL,
    upstream_status INTEGER,
    org_window_start_us INTEGER,
    key_window_start_us INTEGER
) STRICT, WITHOUT ROWID;

-- Sums over usage_events; day is a name such as 2026-11-23, in UTC.
CREATE TABLE usage_rollups (
    org_id BLOB NOT NULL,
    day TEXT NOT NULL,
    key_id BLOB NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    audio_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (org_id, day, key_id, model)
) STRICT, WITHOUT ROWID;

-- Sums over usage_events by the budget they are charged to; scope is an id as it is shown.
CREATE TABLE budget_spent (
    scope TEXT NOT NULL,
    window_start_us INTEGER NOT NULL,
    spent_nano_usd INTEGER NOT NULL,
    PRIMARY KEY (scope, window_start_us)
) STRICT, WITHOUT ROWID;
