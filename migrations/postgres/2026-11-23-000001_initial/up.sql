-- Ids are the 16 bytes of a UUIDv7, money is nano-dollars, times are microseconds since 1970 in UTC.
-- Texts that are compared sort by their bytes, as they do in SQLite.

CREATE TABLE organizations (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    max_parallel_requests BIGINT,
    max_budget_nano_usd BIGINT,
    budget_duration_s BIGINT CHECK (budget_duration_s IS NULL OR max_budget_nano_usd IS NOT NULL),
    blocked BOOLEAN NOT NULL,
    created_at_us BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    public_id TEXT COLLATE "C" NOT NULL UNIQUE,
    mac BYTEA NOT NULL CHECK (octet_length(mac) = 32),
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    models TEXT NOT NULL CHECK (models::json IS NOT NULL),
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    max_parallel_requests BIGINT,
    max_budget_nano_usd BIGINT,
    budget_duration_s BIGINT CHECK (budget_duration_s IS NULL OR max_budget_nano_usd IS NOT NULL),
    created_at_us BIGINT NOT NULL,
    expires_at_us BIGINT,
    revoked_at_us BIGINT
);

CREATE INDEX api_keys_of_organization ON api_keys (org_id, id);

-- One row: the number that grows with every change to organizations and keys.
CREATE TABLE auth_epoch (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL
);

INSERT INTO auth_epoch (id, epoch) VALUES (1, 0);

-- The books. No foreign keys: what was used is booked, whatever else is known.
-- A charge is to the event's own organization or key, so that its window says all.
CREATE TABLE usage_events (
    attempt_id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(attempt_id) = 16),
    request_id BYTEA NOT NULL,
    attempt BIGINT NOT NULL,
    is_final BOOLEAN NOT NULL,
    org_id BYTEA NOT NULL,
    key_id BYTEA NOT NULL,
    surface TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    started_at_us BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    first_token_us BIGINT,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    audio_input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    audio_output_tokens BIGINT NOT NULL,
    provenance TEXT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    price_version TEXT NOT NULL,
    state TEXT NOT NULL,
    upstream_status BIGINT,
    org_window_start_us BIGINT,
    key_window_start_us BIGINT
);

-- Sums over usage_events; day is a name such as 2026-11-23, in UTC.
CREATE TABLE usage_rollups (
    org_id BYTEA NOT NULL,
    day TEXT COLLATE "C" NOT NULL,
    key_id BYTEA NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    audio_input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    audio_output_tokens BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    PRIMARY KEY (org_id, day, key_id, model)
);

-- Sums over usage_events by the budget they are charged to; scope is an id as it is shown.
CREATE TABLE budget_spent (
    scope TEXT COLLATE "C" NOT NULL,
    window_start_us BIGINT NOT NULL,
    spent_nano_usd BIGINT NOT NULL,
    PRIMARY KEY (scope, window_start_us)
);
