-- Rates that replicas share: the theoretical arrival time of GCRA, in nanoseconds.
CREATE TABLE orrery_limit (
	key text PRIMARY KEY,
	tat bigint NOT NULL,
	at bigint NOT NULL,
	ok bigint NOT NULL
);
