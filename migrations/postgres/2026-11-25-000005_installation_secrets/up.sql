-- What other secrets come from, each sealed under the master key for its row. They belong to no
-- organization, and so there is no policy.
CREATE TABLE installation_secrets (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0)
);
