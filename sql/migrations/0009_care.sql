-- The care that goes on when all is archived: reading again, comparing with the disks, backup.

-- How fast each place has to be read again, as it was last worked out.
CREATE TABLE scrub_pace (
  location text PRIMARY KEY REFERENCES data_location,
  computed timestamptz NOT NULL DEFAULT now(),
  bytes_per_second double precision NOT NULL CHECK (bytes_per_second >= 0)
);

-- Present copies of what is kept, with the last time that they were read well.
CREATE VIEW kept_copy AS
  SELECT c.id, c.location, l.type, c.size, c.created, v.ended AS read_well
  FROM physical_copy c JOIN data_location l ON l.name = c.location AND l.type IN ('LONG_TERM_ARCHIVE', 'BUFFER')
  LEFT JOIN LATERAL (SELECT v.ended FROM verification v WHERE v.copy = c.id AND v.outcome = 'good'
                     ORDER BY v.ended DESC LIMIT 1) v ON true
  WHERE c.state = 'present';

-- Per place: what is due to be read again (after 0.8 of scrub_days), and the least steady pace with
-- which each copy that is due is read before 0.9 of them: the steepest of the sums by deadline.
CREATE FUNCTION scrub_needs() RETURNS TABLE (location text, due bigint, due_bytes numeric, bytes_per_second double precision)
LANGUAGE sql STABLE AS $$
  WITH due AS (
    SELECT k.location, k.size, sum(k.size) OVER (PARTITION BY k.location ORDER BY k.read_well, k.id) AS sum_so_far,
           k.read_well + make_interval(secs => policy.scrub_days * 0.9 * 86400) - now() AS left_for_it
    FROM kept_copy k, policy WHERE k.read_well < now() - make_interval(secs => policy.scrub_days * 0.8 * 86400))
  SELECT d.location, count(*), sum(d.size), max(d.sum_so_far::double precision / greatest(extract(epoch FROM d.left_for_it)::double precision, 3600))
  FROM due d GROUP BY d.location
$$;

-- What was closed lately, for what a slow disk has not given back yet.
CREATE INDEX deletion_closed ON deletion (closed) WHERE closed IS NOT NULL;

-- Locations that were compared with their disks, and by which database: only what the running one
-- has passed makes it trusted.
CREATE TABLE audit_result (
  id                uuid PRIMARY KEY DEFAULT new_id(),
  location          text NOT NULL REFERENCES data_location,
  at                timestamptz NOT NULL DEFAULT now(),
  by                text NOT NULL DEFAULT this_actor(),
  system_identifier bigint NOT NULL,
  timeline          integer NOT NULL,
  database_oid      oid NOT NULL,
  passed            boolean NOT NULL,
  files             bigint NOT NULL,
  copies            bigint NOT NULL,
  unknown           bigint NOT NULL,
  absent            bigint NOT NULL,
  other_size        bigint NOT NULL
);
CREATE INDEX audit_result_location ON audit_result (location, at);

-- Dumps of the database that were proven by restoring them.
CREATE TABLE backup (
  id       uuid PRIMARY KEY DEFAULT new_id(),
  location text NOT NULL REFERENCES data_location,
  path     text NOT NULL,
  sha256   sha256 NOT NULL,
  size     bigint NOT NULL CHECK (size > 0),
  taken    timestamptz NOT NULL,                 -- the moment that it shows
  proven   timestamptz NOT NULL DEFAULT now(),   -- restored, and every table counted
  rows     bigint NOT NULL,
  host     text NOT NULL DEFAULT this_host()
);
CREATE INDEX backup_taken ON backup (taken);
CREATE TRIGGER tell AFTER INSERT ON backup FOR EACH ROW EXECUTE FUNCTION tell_row('backup', 'path');

-- Every table of ours and how many rows it has: the same in a database and in its restored dump.
CREATE FUNCTION row_counts() RETURNS TABLE (name text, rows bigint) LANGUAGE plpgsql STABLE AS $$
BEGIN
  FOR name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              ORDER BY c.relname LOOP
    EXECUTE format('SELECT count(*) FROM %I', name) INTO rows;
    RETURN NEXT;
  END LOOP;
END $$;
