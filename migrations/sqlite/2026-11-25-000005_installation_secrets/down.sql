-- The version before derives its secrets from the master key. Those of an installation that began with
-- this version, or whose master key was replaced since, are others: its API keys stop working.
DROP TABLE installation_secrets;
