-- What keeps people signed in beyond their browser: refresh tokens, the keys that sign access tokens, each
-- sealed under the master key for its row, and who people are with identity providers. Like users and
-- sessions they belong to no organization, and so there is no policy.

CREATE TABLE refresh_tokens (
    mac BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(mac) = 32),
    session_id BYTEA NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL CHECK (generation >= 0),
    expires_at_us BIGINT NOT NULL,
    used_at_us BIGINT,
    successor_mac BYTEA CHECK (octet_length(successor_mac) = 32),
    CHECK ((used_at_us IS NULL) = (successor_mac IS NULL))
);

CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

CREATE TABLE signing_keys (
    generation BIGINT NOT NULL PRIMARY KEY CHECK (generation >= 0),
    kid TEXT NOT NULL UNIQUE,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    signs_from_us BIGINT NOT NULL
);

CREATE TABLE user_identities (
    issuer TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    user_id BYTEA NOT NULL REFERENCES users (id),
    created_at_us BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX user_identities_of_user ON user_identities (user_id);
