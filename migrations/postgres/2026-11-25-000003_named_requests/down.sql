-- What was answered is forgotten: a request that is repeated is done again.
DROP TABLE named_requests;
