-- What was run, and the processes that run it.
CREATE TABLE orrery_run (
	id {{id}} PRIMARY KEY,
	kind text NOT NULL,
	name text NOT NULL,
	method text NOT NULL,
	model text NOT NULL,
	state text NOT NULL,
	owner bigint NOT NULL,
	started bigint NOT NULL,
	ended bigint NOT NULL,
	dir text NOT NULL,
	report text NOT NULL,
	client text NOT NULL,
	request text NOT NULL,
	keep text NOT NULL,
	question text,
	answer text,
	tokens bigint NOT NULL,
	saved double precision,
	traces bigint NOT NULL,
	config text NOT NULL,
	metrics text NOT NULL,
	error text NOT NULL,
	own_bytes bigint NOT NULL,
	trace_bytes bigint NOT NULL,
	result text NOT NULL
);

CREATE INDEX orrery_run_state ON orrery_run (state, owner);

CREATE INDEX orrery_run_request ON orrery_run (request);

CREATE TABLE orrery_trace (
	run {{id}} NOT NULL REFERENCES orrery_run (id) ON DELETE CASCADE,
	number bigint NOT NULL,
	phase text NOT NULL,
	seed bigint NOT NULL,
	answer text,
	stop_reason text NOT NULL,
	excluded text NOT NULL,
	votes bigint,
	weight double precision,
	tokens bigint NOT NULL,
	mean double precision,
	lowest double precision,
	bottom10 double precision,
	tail double precision,
	seconds double precision NOT NULL,
	detail text NOT NULL,
	confidences {{blob}},
	texts {{blob}},
	alternatives {{blob}},
	PRIMARY KEY (run, number)
);

CREATE TABLE orrery_owner (
	id bigint PRIMARY KEY,
	host text NOT NULL,
	pid bigint NOT NULL,
	beat bigint NOT NULL
);
