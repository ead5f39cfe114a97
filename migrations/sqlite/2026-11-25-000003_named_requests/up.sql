-- Requests that their callers may repeat, and how they were answered, without what is shown only once.
CREATE TABLE named_requests (
    org_id BLOB NOT NULL REFERENCES organizations (id),
    actor TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    expires_at_us INTEGER NOT NULL,
    status INTEGER,
    body TEXT CHECK (status IS NULL OR body IS NOT NULL),
    PRIMARY KEY (org_id, actor, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX named_requests_by_expiry ON named_requests (org_id, expires_at_us);
