-- A store as version 4 left it. It does not change.
CREATE TABLE orrery_record (one bigint PRIMARY KEY CHECK (one = 1), version bigint NOT NULL);

INSERT INTO orrery_record (one, version) VALUES (1, 4);

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
	result text NOT NULL,
	votes text NOT NULL DEFAULT ''
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

CREATE TABLE orrery_limit (
	key text PRIMARY KEY,
	tat bigint NOT NULL,
	at bigint NOT NULL,
	ok bigint NOT NULL
);

CREATE INDEX orrery_run_kind ON orrery_run (kind, id);

CREATE INDEX orrery_run_client ON orrery_run (client, id);

INSERT INTO orrery_run (id, kind, name, method, model, state, owner, started, ended, dir, report, client, request, keep, question, answer, tokens, saved, traces, config, metrics, error, own_bytes, trace_bytes, result, votes)
	VALUES ('20260101-120000000-aaaaaa', 'ask', 'builtin', 'deepconf-low', 'builtin', 'done', 7, 1767268800000000, 1767268801500000, '', '', '', '', 'text,confidence',
	'Compute 1 + 1.', '2', 3, 0.5, 1, '{"params":{}}', '', '', 400, 350, '{"answer":"2"}', '{"answers":["2"],"votes":[]}');

INSERT INTO orrery_run (id, kind, name, method, model, state, owner, started, ended, dir, report, client, request, keep, question, answer, tokens, saved, traces, config, metrics, error, own_bytes, trace_bytes, result)
	VALUES ('20260102-120000000-bbbbbb', 'train', 'grok', '', '', 'running', 7, 1767355200000000, 0, '/runs/grok', '', '', '', '', NULL, NULL, 0, NULL, 0, '', '{"loss":0.25}', '', 400, 0, '');

INSERT INTO orrery_trace (run, number, phase, seed, answer, stop_reason, excluded, votes, weight, tokens, mean, lowest, bottom10, tail, seconds, detail, confidences, texts, alternatives)
	VALUES ('20260101-120000000-aaaaaa', 0, 'final', -1, '2', 'eos', '', 1, 0.1, 3, 1.5, NULL, NULL, NULL, 0.25, '{"id":0}', {{hex 0103010202049a9a04999904999904999904999904999904f105043f40}}, {{hex 012a1231202b2031206973205c626f7865647b327d686d}}, NULL);

INSERT INTO orrery_limit (key, tat, at, ok) VALUES ('alice', 1767268800000000000, 1767268790000000000, 1);
