-- How fast a job goes: bytes (or what else it counts) a second, over the last words of it.
ALTER TABLE job ADD COLUMN told timestamptz, ADD COLUMN rate double precision;
