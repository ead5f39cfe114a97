DROP TABLE budget_spent;
DROP TABLE usage_rollups;
DROP TABLE usage_events;
DROP TABLE auth_epoch;
DROP TABLE api_keys;
DROP TABLE organizations;
