DROP TABLE audit_heads;
DROP TABLE audit_entries;
DROP TABLE one_time_tokens;
DROP TABLE sessions;
DROP TABLE invitations;
DROP TABLE team_memberships;
DROP TABLE memberships;
DROP TABLE custom_roles;
DROP TABLE users;
DROP TABLE teams;
-- The version before knows the three roles that there were. A key with another one, with less than its
-- role, or with an owner, a team or addresses that bound it would get more than it had.
UPDATE api_keys SET revoked_at_us = COALESCE(revoked_at_us, 0)
WHERE role NOT IN ('org_owner', 'member', 'viewer') OR scopes IS NOT NULL OR owner_id IS NOT NULL
    OR team_id IS NOT NULL OR allowed_ips <> '[]' OR blocked;
UPDATE api_keys SET role = 'viewer' WHERE role NOT IN ('org_owner', 'member', 'viewer');
ALTER TABLE api_keys DROP COLUMN team_id;
ALTER TABLE api_keys DROP COLUMN owner_id;
ALTER TABLE api_keys DROP COLUMN created_by;
ALTER TABLE api_keys DROP COLUMN previous_mac;
ALTER TABLE api_keys DROP COLUMN previous_until_us;
ALTER TABLE api_keys DROP COLUMN scopes;
ALTER TABLE api_keys DROP COLUMN allowed_ips;
ALTER TABLE api_keys DROP COLUMN metadata;
ALTER TABLE api_keys DROP COLUMN tags;
ALTER TABLE api_keys DROP COLUMN blocked;
ALTER TABLE api_keys DROP COLUMN version;
ALTER TABLE organizations DROP COLUMN version;
