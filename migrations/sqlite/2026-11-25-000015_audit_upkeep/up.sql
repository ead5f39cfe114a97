-- What stands for the dropped beginning of a chain: a signed record. An entry goes when there is one for it.
CREATE TABLE audit_pruned (
    org_id BLOB NOT NULL PRIMARY KEY CHECK (length(org_id) = 16),
    seq INTEGER NOT NULL CHECK (seq > 0),
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DROP TRIGGER audit_entries_are_kept;

CREATE TRIGGER audit_entries_are_kept BEFORE DELETE ON audit_entries
WHEN NOT EXISTS (SELECT 1 FROM audit_pruned WHERE org_id = OLD.org_id AND seq >= OLD.seq)
BEGIN
    SELECT RAISE(ABORT, 'audit entries are never changed');
END;

-- What one process of several does, until when.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
