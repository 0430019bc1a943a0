-- The runs of some kinds, and those of one client, the newest first.
CREATE INDEX orrery_run_kind ON orrery_run (kind, id);

CREATE INDEX orrery_run_client ON orrery_run (client, id);
