-- How the vote of a request shifted. Of runs that were there before it is not known.
ALTER TABLE orrery_run ADD COLUMN votes text NOT NULL DEFAULT '';
