-- Who there is and what they may do. Lists are JSON arrays, digests of tokens are HMAC-SHA-256.

ALTER TABLE organizations ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- A key from before stands for itself, and nobody knows who made it.
ALTER TABLE api_keys ADD COLUMN team_id BYTEA CHECK (octet_length(team_id) = 16);
ALTER TABLE api_keys ADD COLUMN owner_id BYTEA CHECK (octet_length(owner_id) = 16);
ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT 'system';
ALTER TABLE api_keys ADD COLUMN previous_mac BYTEA CHECK (octet_length(previous_mac) = 32);
ALTER TABLE api_keys ADD COLUMN previous_until_us BIGINT;
ALTER TABLE api_keys ADD COLUMN scopes TEXT CHECK (scopes::json IS NOT NULL OR scopes IS NULL);
ALTER TABLE api_keys ADD COLUMN allowed_ips TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE api_keys ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN blocked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE api_keys ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

CREATE TABLE teams (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    models TEXT NOT NULL CHECK (models::json IS NOT NULL),
    rpm_limit BIGINT,
    tpm_limit BIGINT,
    max_parallel_requests BIGINT,
    max_budget_nano_usd BIGINT,
    budget_duration_s BIGINT CHECK (budget_duration_s IS NULL OR max_budget_nano_usd IS NOT NULL),
    blocked BOOLEAN NOT NULL,
    created_at_us BIGINT NOT NULL,
    deleted_at_us BIGINT,
    version BIGINT NOT NULL
);

CREATE INDEX teams_of_organization ON teams (org_id, id);
CREATE UNIQUE INDEX team_names ON teams (org_id, name) WHERE deleted_at_us IS NULL;

-- A user may be in several organizations; a service account lives in one.
CREATE TABLE users (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    email TEXT COLLATE "C" UNIQUE,
    name TEXT NOT NULL,
    service_org_id BYTEA CHECK (octet_length(service_org_id) = 16),
    password_hash TEXT,
    email_verified_at_us BIGINT,
    totp BYTEA,
    totp_last_step BIGINT,
    recovery_macs BYTEA NOT NULL CHECK (octet_length(recovery_macs) % 32 = 0),
    is_platform_admin BOOLEAN NOT NULL,
    blocked BOOLEAN NOT NULL,
    failed_sign_ins BIGINT NOT NULL,
    last_failed_at_us BIGINT,
    created_at_us BIGINT NOT NULL,
    deleted_at_us BIGINT,
    version BIGINT NOT NULL
);

CREATE TABLE custom_roles (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    permissions TEXT NOT NULL CHECK (permissions::json IS NOT NULL),
    created_at_us BIGINT NOT NULL,
    version BIGINT NOT NULL,
    UNIQUE (org_id, name)
);

CREATE TABLE memberships (
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    user_id BYTEA NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (org_id, user_id)
);

CREATE INDEX memberships_of_user ON memberships (user_id, org_id);

CREATE TABLE team_memberships (
    team_id BYTEA NOT NULL REFERENCES teams (id),
    user_id BYTEA NOT NULL REFERENCES users (id),
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    role TEXT NOT NULL,
    PRIMARY KEY (team_id, user_id)
);

CREATE INDEX team_memberships_of_user ON team_memberships (user_id, org_id);

CREATE TABLE invitations (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    team_id BYTEA CHECK (octet_length(team_id) = 16),
    token_mac BYTEA NOT NULL UNIQUE CHECK (octet_length(token_mac) = 32),
    invited_by BYTEA CHECK (octet_length(invited_by) = 16),
    created_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    accepted_at_us BIGINT,
    revoked_at_us BIGINT
);

CREATE INDEX invitations_of_organization ON invitations (org_id, id);

CREATE TABLE sessions (
    id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    user_id BYTEA NOT NULL REFERENCES users (id),
    org_id BYTEA CHECK (octet_length(org_id) = 16),
    token_mac BYTEA NOT NULL UNIQUE CHECK (octet_length(token_mac) = 32),
    created_at_us BIGINT NOT NULL,
    last_seen_at_us BIGINT NOT NULL,
    expires_at_us BIGINT NOT NULL,
    client_ip TEXT,
    user_agent TEXT NOT NULL,
    has_second_factor BOOLEAN NOT NULL,
    revoked_at_us BIGINT
);

CREATE INDEX sessions_of_user ON sessions (user_id, id);

CREATE TABLE one_time_tokens (
    mac BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(mac) = 32),
    purpose TEXT NOT NULL,
    user_id BYTEA REFERENCES users (id),
    expires_at_us BIGINT NOT NULL,
    used_at_us BIGINT
);

-- Chains of entries; the installation's has sixteen zeros for its organization. No foreign keys: what
-- was done is written down, whatever else is known, and outlives it.
CREATE TABLE audit_entries (
    org_id BYTEA NOT NULL CHECK (octet_length(org_id) = 16),
    seq BIGINT NOT NULL CHECK (seq > 0),
    at_us BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    client_ip TEXT,
    before_sha256 BYTEA CHECK (octet_length(before_sha256) = 32),
    after_sha256 BYTEA CHECK (octet_length(after_sha256) = 32),
    details TEXT NOT NULL,
    previous BYTEA NOT NULL CHECK (octet_length(previous) = 32),
    seal BYTEA NOT NULL CHECK (octet_length(seal) = 32),
    PRIMARY KEY (org_id, seq)
);

-- The last entry of each chain: whoever writes to a chain holds its row until the end.
CREATE TABLE audit_heads (
    org_id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(org_id) = 16),
    seq BIGINT NOT NULL,
    seal BYTEA NOT NULL CHECK (octet_length(seal) = 32)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit entries are never changed';
END
$$;

CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The second wall between tenants: a transaction sees the rows of the organization that it says it is
-- about, or all rows when it says '*'. Without saying so it fails: the setting is unknown, or it is the
-- empty text that a setting of an earlier transaction leaves behind, which is no UUID.
CREATE FUNCTION is_within(org_id BYTEA) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE current_setting('app.org_id')
        WHEN '*' THEN TRUE
        ELSE org_id = uuid_send(current_setting('app.org_id')::uuid)
    END
$$;

ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON organizations USING (is_within(id)) WITH CHECK (is_within(id));

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON api_keys USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
ALTER TABLE teams FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON teams USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE custom_roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE custom_roles FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON custom_roles USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON memberships USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE team_memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE team_memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON team_memberships USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON invitations USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE audit_entries ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_entries FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON audit_entries USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON audit_heads USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE usage_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_events FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON usage_events USING (is_within(org_id)) WITH CHECK (is_within(org_id));

ALTER TABLE usage_rollups ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_rollups FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON usage_rollups USING (is_within(org_id)) WITH CHECK (is_within(org_id));
