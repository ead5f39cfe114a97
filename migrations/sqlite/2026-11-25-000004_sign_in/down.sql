-- Access tokens that were given out are void, and people sign in with their passwords again.
DROP TABLE user_identities;
DROP TABLE signing_keys;
DROP TABLE refresh_tokens;
