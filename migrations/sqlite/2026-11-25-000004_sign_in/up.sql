-- What keeps people signed in beyond their browser: refresh tokens, the keys that sign access tokens, each
-- sealed under the master key for its row, and who people are with identity providers.

CREATE TABLE refresh_tokens (
    mac BLOB NOT NULL PRIMARY KEY CHECK (length(mac) = 32),
    session_id BLOB NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL CHECK (generation >= 0),
    expires_at_us INTEGER NOT NULL,
    used_at_us INTEGER,
    successor_mac BLOB CHECK (length(successor_mac) = 32),
    CHECK ((used_at_us IS NULL) = (successor_mac IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

CREATE TABLE signing_keys (
    generation INTEGER NOT NULL PRIMARY KEY CHECK (generation >= 0),
    kid TEXT NOT NULL UNIQUE,
    sealed BLOB NOT NULL,
    key_id TEXT NOT NULL,
    signs_from_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id BLOB NOT NULL REFERENCES users (id),
    created_at_us INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_identities_of_user ON user_identities (user_id);
