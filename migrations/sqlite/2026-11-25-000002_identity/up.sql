-- Who there is and what they may do. Lists are JSON arrays, digests of tokens are HMAC-SHA-256.
-- SQLite has no row-level security: that tenants do not meet is said in each query alone.

ALTER TABLE organizations ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

-- A key from before stands for itself, and nobody knows who made it.
ALTER TABLE api_keys ADD COLUMN team_id BLOB CHECK (length(team_id) = 16);
ALTER TABLE api_keys ADD COLUMN owner_id BLOB CHECK (length(owner_id) = 16);
ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT 'system';
ALTER TABLE api_keys ADD COLUMN previous_mac BLOB CHECK (length(previous_mac) = 32);
ALTER TABLE api_keys ADD COLUMN previous_until_us INTEGER;
ALTER TABLE api_keys ADD COLUMN scopes TEXT CHECK (json_valid(scopes));
ALTER TABLE api_keys ADD COLUMN allowed_ips TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE api_keys ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_keys ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1));
ALTER TABLE api_keys ADD COLUMN version INTEGER NOT NULL DEFAULT 1;

CREATE TABLE teams (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    org_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    models TEXT NOT NULL CHECK (json_valid(models)),
    rpm_limit INTEGER,
    tpm_limit INTEGER,
    max_parallel_requests INTEGER,
    max_budget_nano_usd INTEGER,
    budget_duration_s INTEGER CHECK (budget_duration_s IS NULL OR max_budget_nano_usd IS NOT NULL),
    blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    created_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX teams_of_organization ON teams (org_id, id);
CREATE UNIQUE INDEX team_names ON teams (org_id, name) WHERE deleted_at_us IS NULL;

-- A user may be in several organizations; a service account lives in one.
CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT UNIQUE,
    name TEXT NOT NULL,
    service_org_id BLOB CHECK (length(service_org_id) = 16),
    password_hash TEXT,
    email_verified_at_us INTEGER,
    totp BLOB,
    totp_last_step INTEGER,
    recovery_macs BLOB NOT NULL CHECK (length(recovery_macs) % 32 = 0),
    is_platform_admin INTEGER NOT NULL CHECK (is_platform_admin IN (0, 1)),
    blocked INTEGER NOT NULL CHECK (blocked IN (0, 1)),
    failed_sign_ins INTEGER NOT NULL,
    last_failed_at_us INTEGER,
    created_at_us INTEGER NOT NULL,
    deleted_at_us INTEGER,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE custom_roles (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    org_id BLOB NOT NULL REFERENCES organizations (id),
    name TEXT NOT NULL,
    permissions TEXT NOT NULL CHECK (json_valid(permissions)),
    created_at_us INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (org_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    org_id BLOB NOT NULL REFERENCES organizations (id),
    user_id BLOB NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (org_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_of_user ON memberships (user_id, org_id);

CREATE TABLE team_memberships (
    team_id BLOB NOT NULL REFERENCES teams (id),
    user_id BLOB NOT NULL REFERENCES users (id),
    org_id BLOB NOT NULL REFERENCES organizations (id),
    role TEXT NOT NULL,
    PRIMARY KEY (team_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX team_memberships_of_user ON team_memberships (user_id, org_id);

CREATE TABLE invitations (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    org_id BLOB NOT NULL REFERENCES organizations (id),
    email TEXT NOT NULL,
    role TEXT NOT NULL,
    team_id BLOB CHECK (length(team_id) = 16),
    token_mac BLOB NOT NULL UNIQUE CHECK (length(token_mac) = 32),
    invited_by BLOB CHECK (length(invited_by) = 16),
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    accepted_at_us INTEGER,
    revoked_at_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX invitations_of_organization ON invitations (org_id, id);

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id BLOB NOT NULL REFERENCES users (id),
    org_id BLOB CHECK (length(org_id) = 16),
    token_mac BLOB NOT NULL UNIQUE CHECK (length(token_mac) = 32),
    created_at_us INTEGER NOT NULL,
    last_seen_at_us INTEGER NOT NULL,
    expires_at_us INTEGER NOT NULL,
    client_ip TEXT,
    user_agent TEXT NOT NULL,
    has_second_factor INTEGER NOT NULL CHECK (has_second_factor IN (0, 1)),
    revoked_at_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_user ON sessions (user_id, id);

CREATE TABLE one_time_tokens (
    mac BLOB NOT NULL PRIMARY KEY CHECK (length(mac) = 32),
    purpose TEXT NOT NULL,
    user_id BLOB REFERENCES users (id),
    expires_at_us INTEGER NOT NULL,
    used_at_us INTEGER
) STRICT, WITHOUT ROWID;

-- Chains of entries; the installation's has sixteen zeros for its organization. No foreign keys: what
-- was done is written down, whatever else is known, and outlives it.
CREATE TABLE audit_entries (
    org_id BLOB NOT NULL CHECK (length(org_id) = 16),
    seq INTEGER NOT NULL CHECK (seq > 0),
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    request_id TEXT NOT NULL,
    client_ip TEXT,
    before_sha256 BLOB CHECK (length(before_sha256) = 32),
    after_sha256 BLOB CHECK (length(after_sha256) = 32),
    details TEXT NOT NULL,
    previous BLOB NOT NULL CHECK (length(previous) = 32),
    seal BLOB NOT NULL CHECK (length(seal) = 32),
    PRIMARY KEY (org_id, seq)
) STRICT, WITHOUT ROWID;

-- The last entry of each chain: whoever writes to a chain holds its row until the end.
CREATE TABLE audit_heads (
    org_id BLOB NOT NULL PRIMARY KEY CHECK (length(org_id) = 16),
    seq INTEGER NOT NULL,
    seal BLOB NOT NULL CHECK (length(seal) = 32)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_entries_stay BEFORE UPDATE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;

CREATE TRIGGER audit_entries_are_kept BEFORE DELETE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;
