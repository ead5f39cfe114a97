-- Requests that their callers may repeat, and how they were answered, without what is shown only once.
CREATE TABLE named_requests (
    org_id BYTEA NOT NULL REFERENCES organizations (id),
    actor TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL CHECK (octet_length(digest) = 32),
    expires_at_us BIGINT NOT NULL,
    status BIGINT,
    body TEXT CHECK (status IS NULL OR body IS NOT NULL),
    PRIMARY KEY (org_id, actor, name)
);

CREATE INDEX named_requests_by_expiry ON named_requests (org_id, expires_at_us);

ALTER TABLE named_requests ENABLE ROW LEVEL SECURITY;
ALTER TABLE named_requests FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON named_requests USING (is_within(org_id)) WITH CHECK (is_within(org_id));
