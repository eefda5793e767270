-- Staging: archived packages brought back to a PROCESSING location, unpacked, for a while.

CREATE TYPE staging_state AS ENUM (
  'open',    -- not all of its packages are unpacked
  'ready',   -- its manifest and its .done stand there
  'ended',   -- it expired, or was given back: its own directory is to go
  'gone'
);
CREATE TYPE staged_state AS ENUM (
  'wanted',  -- to be unpacked; what it is read from stays as long
  'ready',
  'leaving', -- no request asks for it any more
  'gone'
);

-- A request. command names one of the host's own.
CREATE TABLE staging (
  id uuid PRIMARY KEY DEFAULT new_id(), site text NOT NULL DEFAULT this_site(),
  location text NOT NULL REFERENCES data_location,
  asked text NOT NULL, by text NOT NULL DEFAULT this_actor(), override text NOT NULL DEFAULT '', command text NOT NULL DEFAULT '',
  created timestamptz NOT NULL DEFAULT now(), expires timestamptz NOT NULL,
  state staging_state NOT NULL DEFAULT 'open', changed timestamptz NOT NULL DEFAULT now(), outcome text NOT NULL DEFAULT '');

-- A package that is, or is to be, unpacked at a location: once, however many ask for it.
CREATE TABLE staged_package (
  id uuid PRIMARY KEY DEFAULT new_id(), site text NOT NULL DEFAULT this_site(),
  package uuid NOT NULL REFERENCES raw_data_package, location text NOT NULL REFERENCES data_location,
  path text NOT NULL, size bigint NOT NULL,
  state staged_state NOT NULL DEFAULT 'wanted', changed timestamptz NOT NULL DEFAULT now(), detail text NOT NULL DEFAULT '');
CREATE UNIQUE INDEX staged_package_once ON staged_package (package, location) WHERE state IN ('wanted', 'ready');
CREATE UNIQUE INDEX staged_package_path ON staged_package (location, path) WHERE state <> 'gone';
CREATE INDEX staged_package_wanted ON staged_package (package) WHERE state = 'wanted';

CREATE TABLE staging_member (
  staging uuid NOT NULL REFERENCES staging, staged uuid NOT NULL REFERENCES staged_package, PRIMARY KEY (staging, staged));
CREATE INDEX staging_member_staged ON staging_member (staged);

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON staging FOR EACH ROW EXECUTE FUNCTION tell_row('staging', 'id');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OF state ON staged_package FOR EACH ROW EXECUTE FUNCTION tell_row('staged package', 'package');

-- The rule of 0005, and what is being staged is still needed.
CREATE OR REPLACE FUNCTION deletion_clauses(copy uuid, deletion uuid DEFAULT NULL, again boolean DEFAULT false)
RETURNS TABLE (clause text, holds boolean, detail text) LANGUAGE sql STABLE AS $$
  WITH c AS (
    SELECT c.id, c.state, c.location, c.created, c.package AS own_package,
           f.id AS file, f.handling, f.ephemeral_until, f.replaced_by, f.night AS file_night,
           p.id AS package, p.state AS package_state, p.night AS package_night,
           coalesce(p.program, f.program) AS program, coalesce(p.id, f.id) AS subject,
           l.type, l.reap_enabled, l.keep, l.active,
           d.nominated, d.closed AS deletion_closed, dc.stage, d.reason = 'pressure' AS for_room
    FROM physical_copy c
    JOIN data_location l ON l.name = c.location
    LEFT JOIN raw_data_file f ON f.id = c.file
    LEFT JOIN package_member m ON m.file = c.file
    LEFT JOIN raw_data_package p ON p.id = coalesce(c.package, m.package)
    LEFT JOIN deletion d ON d.id = deletion_clauses.deletion
    LEFT JOIN deletion_copy dc ON dc.deletion = d.id AND dc.copy = c.id
    WHERE c.id = deletion_clauses.copy),
  survivor AS (
    SELECT count(DISTINCT a.failure_domain) AS held,
           count(DISTINCT a.failure_domain) FILTER (WHERE a.proof_began >= c.nominated
             AND a.proof_how >= a.best_reading
             AND (again OR a.proof_ended > now() - policy.proof_max_age)) AS proven,
           string_agg(a.location, ', ' ORDER BY a.location) AS places
    FROM c, policy, archive_copy a WHERE a.subject = c.subject AND a.id <> c.id),
  need AS (SELECT CASE WHEN c.handling = 'ephemeral' THEN 0 ELSE copies_for(c.program) END AS copies FROM c),
  held_by AS (
    SELECT h.reason, h.placed_by FROM hold h, c WHERE h.lifted IS NULL
      AND (h.package = c.package OR h.file = c.file OR h.night IN (c.file_night, c.package_night)
           OR h.file IN (SELECT m.file FROM package_member m WHERE m.package = c.own_package)) LIMIT 1),
  unfinished AS (
    SELECT a.name AS missing FROM c, archives_for(c.program) a (name)
    WHERE c.package_state = 'packed' AND c.type = 'BUFFER' AND NOT EXISTS (
      SELECT FROM physical_copy t WHERE t.package = c.package AND t.location = a.name AND t.state = 'present')
    UNION ALL
    SELECT r.destination FROM c JOIN data_transfer_member m ON m.package = c.own_package
      JOIN data_transfer_package b ON b.id = m.bundle AND b.closed IS NULL
      JOIN route r ON r.name = b.route AND r.origin = c.location
    UNION ALL
    SELECT s.location FROM c JOIN staged_package s ON s.package = c.package AND s.state = 'wanted'
    LIMIT 1)
  SELECT 'present', c.state = 'present' OR (again AND c.state = 'deleting'), 'the copy is ' || c.state FROM c
  UNION ALL SELECT 'place', c.type IN ('SOURCE', 'BUFFER'),
    CASE WHEN c.type IN ('SOURCE', 'BUFFER') THEN 'a ' || c.type || ' may be emptied' ELSE 'nothing is deleted from a ' || c.type END FROM c
  UNION ALL SELECT 'enabled', c.reap_enabled, CASE WHEN c.reap_enabled THEN 'deletion is enabled at ' || c.location
    ELSE 'deletion is not enabled at ' || c.location || ': the reaper only plans' END FROM c
  UNION ALL SELECT 'policy', coalesce(CASE WHEN c.handling = 'ephemeral' THEN c.ephemeral_until < now() ELSE c.created + c.keep < now() END, false)
      OR (coalesce(c.for_room, false) AND c.handling IS DISTINCT FROM 'ephemeral' AND EXISTS (
          SELECT FROM fullness p WHERE p.location = c.location AND p.above_low)),
    CASE WHEN c.handling = 'ephemeral' THEN 'ephemeral, kept until ' || to_char(c.ephemeral_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
         WHEN c.for_room THEN coalesce((SELECT format('%s is %s %% full, and is emptied to %s %%', c.location,
             round(100.0 * p.used_bytes / p.total_bytes), round((100 * p.low)::numeric)) FROM fullness p WHERE p.location = c.location),
           'how full ' || c.location || ' is, was not measured in the last minutes')
         WHEN c.keep IS NULL THEN c.location || ' lets nothing go by age'
         ELSE 'kept until ' || to_char((c.created + c.keep) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') END FROM c
  UNION ALL SELECT 'version', coalesce(CASE WHEN c.own_package IS NOT NULL THEN c.package_state = 'packed'
      ELSE c.replaced_by IS NULL AND (c.handling = 'ephemeral' OR c.package_state = 'packed') END, false),
    CASE WHEN c.replaced_by IS NOT NULL THEN 'the file was replaced at its path'
         WHEN c.handling = 'ephemeral' THEN 'ephemeral files are not archived'
         WHEN c.package IS NULL THEN 'the file is in no package yet'
         WHEN c.package_state <> 'packed' THEN 'its package is not packed yet'
         ELSE 'these are the bytes that were packed' END FROM c
  UNION ALL SELECT 'copies', s.held >= n.copies,
    format('%s of %s archives hold it%s', s.held, n.copies, coalesce(': ' || s.places, '')) FROM survivor s, need n
  UNION ALL SELECT 'proof', n.copies = 0 OR (c.nominated IS NOT NULL AND s.proven >= least(s.held, n.copies)),
    CASE WHEN n.copies = 0 THEN 'none is needed'
         WHEN c.nominated IS NULL THEN 'not nominated: its archive copies are read again first'
         ELSE format('%s of %s archives were read well since it was nominated', s.proven, least(s.held, n.copies)) END FROM c, survivor s, need n
  UNION ALL SELECT 'unneeded', u.missing IS NULL,
    CASE WHEN u.missing IS NULL THEN 'no transfer or archive waits for it' ELSE u.missing || ' still waits for it' END
    FROM c LEFT JOIN unfinished u ON true
  UNION ALL SELECT 'hold', h.reason IS NULL,
    CASE WHEN h.reason IS NULL THEN 'nobody holds it' ELSE 'held by ' || h.placed_by || ': ' || h.reason END
    FROM c LEFT JOIN held_by h ON true
  UNION ALL SELECT 'database', incarnation_is_trusted(),
    CASE WHEN incarnation_is_trusted() THEN 'the database is the one that was trusted'
         ELSE 'the database was restored or failed over and is not audited yet' END
  UNION ALL SELECT 'switch', NOT EXISTS (SELECT FROM deletion_stop WHERE resumed IS NULL),
    coalesce((SELECT 'stopped by ' || stopped_by || ': ' || reason FROM deletion_stop WHERE resumed IS NULL LIMIT 1),
             'deletion is not stopped')
$$;

-- The grants of 0007, and the tables above.
CREATE OR REPLACE FUNCTION grant_host(host name, locations text[], reaps boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO host_role (role, reaps) VALUES (host, reaps) ON CONFLICT (role) DO UPDATE SET reaps = EXCLUDED.reaps;
  DELETE FROM host_place h WHERE h.role = host;
  INSERT INTO host_place (role, location) SELECT host, unnest(locations);
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', host);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON raw_data_file, physical_copy, raw_data_package, executed_obs_unit,
    lost_file, quarantine, location_state, source_directory, data_transfer_package, heartbeat, breaker,
    deletion, deletion_copy, temporary_sweep, instrument, file_header, scrub_pace, staging, staged_package TO %I', host);
  EXECUTE format('GRANT INSERT ON event, verification, audit_result, data_transfer_member, blocked, job_done, instrument_module TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE, DELETE ON job, lease, package_member, source_directory TO %I', host);
  IF NOT reaps THEN
    EXECUTE format('REVOKE ALL ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text) FROM %I', host);
    EXECUTE format('REVOKE INSERT, UPDATE ON deletion, deletion_copy FROM %I', host);
  ELSE
    EXECUTE format('GRANT EXECUTE ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text) TO %I', host);
  END IF;
END $$;
