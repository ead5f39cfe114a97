-- What stands for the dropped beginning of a chain: a signed record. An entry goes when there is one for it,
-- and the application's role can neither write such a record nor remove an entry.
CREATE TABLE audit_pruned (
    org_id BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(org_id) = 16),
    seq BIGINT NOT NULL CHECK (seq > 0),
    record TEXT NOT NULL
);

ALTER TABLE audit_pruned ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_pruned FORCE ROW LEVEL SECURITY;
CREATE POLICY within ON audit_pruned USING (is_within(org_id)) WITH CHECK (is_within(org_id));

CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_pruned WHERE org_id = OLD.org_id AND seq >= OLD.seq) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit entries are never changed';
END
$$;

DROP TRIGGER audit_entries_stay ON audit_entries;

CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER audit_entries_are_kept BEFORE DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_removal();

-- What one process of several does, until when.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until_us BIGINT NOT NULL
);
