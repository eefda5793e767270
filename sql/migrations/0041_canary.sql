-- Canaries: small files that 'nf canary' sends through the whole chain and back. They go the way of all
-- frames, are in no night's answer, and are let go by the one rule of deletion when their trip is over.

CREATE TYPE canary_outcome AS ENUM (
  'returned',  -- every archive gave back what was sent
  'stuck',     -- it did not come to every archive in time
  'wrong'      -- an archive gave back other bytes
);
CREATE TABLE canary (
  id       uuid PRIMARY KEY DEFAULT new_id(),
  site     text NOT NULL DEFAULT this_site(),
  host     text NOT NULL DEFAULT this_host(),
  by       text NOT NULL DEFAULT this_actor(),
  location text NOT NULL REFERENCES data_location,  -- the SOURCE that it is sent from
  path     text NOT NULL,
  sha256   sha256 NOT NULL,
  size     bigint NOT NULL CHECK (size > 0),
  daily    boolean NOT NULL DEFAULT false,          -- others are to follow: their absence is told
  sent     timestamptz NOT NULL DEFAULT now(),
  file     uuid UNIQUE REFERENCES raw_data_file,    -- once it is registered
  ended    timestamptz,                             -- its copies may go
  outcome  canary_outcome,
  why      text NOT NULL DEFAULT '',
  gone     timestamptz,                             -- they are
  UNIQUE (location, path),
  CHECK ((ended IS NULL) = (outcome IS NULL))
);
CREATE INDEX canary_living ON canary (sent) WHERE gone IS NULL;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON canary FOR EACH ROW EXECUTE FUNCTION tell_row('canary', 'id');

-- Over: it came back, or was given up; or whoever sent it did not live to say so.
CREATE VIEW canary_trip AS
  SELECT k.*, k.ended IS NOT NULL OR k.sent < now() - interval '1 day' AS over FROM canary k;

-- Only what was announced, with its very bytes, is registered as a canary; and no file becomes one later:
-- for a canary the rule below asks for no copies. AFTER: COPY writes its rows one by one where a trigger comes before.
CREATE FUNCTION canary_was_announced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' OR NOT EXISTS (
      SELECT FROM canary k WHERE (k.location, k.path, k.sha256, k.size) = (NEW.location, NEW.path, NEW.sha256, NEW.size)) THEN
    RAISE EXCEPTION '% of % is no canary that was announced', NEW.path, NEW.location USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER canary_was_announced AFTER INSERT ON raw_data_file FOR EACH ROW
  WHEN (NEW.handling = 'canary') EXECUTE FUNCTION canary_was_announced();
CREATE TRIGGER canary_is_one_for_ever AFTER UPDATE OF handling, sha256, size ON raw_data_file FOR EACH ROW
  WHEN (OLD.handling = 'canary' OR NEW.handling = 'canary') EXECUTE FUNCTION canary_was_announced();

-- What the packager looks for: canaries too.
DROP INDEX raw_data_file_unpackaged;
CREATE INDEX raw_data_file_unpackaged ON raw_data_file (location, night, instrument)
  WHERE handling IN ('archive', 'canary') AND NOT in_package;

-- What a host that sends canaries, or meets them, needs beside what grant_host gives.
CREATE FUNCTION grant_canary(host name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT SELECT ON canary, canary_trip TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON canary TO %I', host);
END $$;
REVOKE ALL ON FUNCTION grant_canary(name) FROM PUBLIC;
DO $$ BEGIN PERFORM grant_canary(h.role) FROM host_role h JOIN pg_roles r ON r.rolname = h.role; END $$;

-- The rule of 0005, whose clauses each say their own: 'copies' that too few archives hold it, 'proof' that
-- those who do, as many as are needed, were not all read. What is being staged is still needed. Canaries
-- need no copies, no leave and no age, wherever they are: a hold, the switch and the database's identity
-- keep them as they keep everything.
CREATE OR REPLACE FUNCTION deletion_clauses(copy uuid, deletion uuid DEFAULT NULL, again boolean DEFAULT false)
RETURNS TABLE (clause text, holds boolean, detail text) LANGUAGE sql STABLE AS $$
  WITH c AS (
    SELECT c.id, c.state, c.location, c.created, c.package AS own_package,
           f.id AS file, f.handling, f.ephemeral_until, f.replaced_by, f.night AS file_night,
           p.id AS package, p.state AS package_state, p.night AS package_night,
           coalesce(p.program, f.program) AS program, coalesce(p.id, f.id) AS subject,
           l.type, l.reap_enabled, l.keep, l.active,
           d.nominated, d.closed AS deletion_closed, dc.stage, d.reason = 'pressure' AS for_room, k.over
    FROM physical_copy c
    JOIN data_location l ON l.name = c.location
    LEFT JOIN raw_data_file f ON f.id = c.file
    LEFT JOIN package_member m ON m.file = c.file
    LEFT JOIN raw_data_package p ON p.id = coalesce(c.package, m.package)
    LEFT JOIN deletion d ON d.id = deletion_clauses.deletion
    LEFT JOIN deletion_copy dc ON dc.deletion = d.id AND dc.copy = c.id
    -- A canary's own file, or the package that it has to itself.
    LEFT JOIN canary_trip k ON k.file = CASE WHEN f.handling = 'canary' THEN f.id
      WHEN c.package IS NOT NULL AND p.members = 1 THEN (SELECT m.file FROM package_member m
        JOIN raw_data_file o ON o.id = m.file AND o.handling = 'canary' WHERE m.package = c.package) END
    WHERE c.id = deletion_clauses.copy),
  survivor AS (
    SELECT count(DISTINCT a.failure_domain) AS held,
           count(DISTINCT a.failure_domain) FILTER (WHERE a.proof_began >= c.nominated
             AND a.proof_how >= a.best_reading
             AND (again OR a.proof_ended > now() - policy.proof_max_age)) AS proven,
           string_agg(a.location, ', ' ORDER BY a.location) AS places
    FROM c, policy, archive_copy a WHERE a.subject = c.subject AND a.id <> c.id),
  need AS (SELECT CASE WHEN c.handling = 'ephemeral' OR c.over IS NOT NULL THEN 0 ELSE copies_for(c.program) END AS copies FROM c),
  held_by AS (
    SELECT h.reason, h.placed_by FROM hold h, c WHERE h.lifted IS NULL
      AND (h.package = c.package OR h.file = c.file OR h.night IN (c.file_night, c.package_night)
           OR h.file IN (SELECT m.file FROM package_member m WHERE m.package = c.own_package)) LIMIT 1),
  unfinished AS (  -- nothing waits for a canary whose trip is over
    SELECT a.name AS missing FROM c, archives_for(c.program) a (name)
    WHERE c.over IS NULL AND c.package_state = 'packed' AND c.type = 'BUFFER' AND NOT EXISTS (
      SELECT FROM physical_copy t WHERE t.package = c.package AND t.location = a.name AND t.state = 'present')
    UNION ALL
    SELECT r.destination FROM c JOIN data_transfer_member m ON m.package = c.own_package
      JOIN data_transfer_package b ON b.id = m.bundle AND b.closed IS NULL
      JOIN route r ON r.name = b.route AND r.origin = c.location
      WHERE c.over IS NULL
    UNION ALL
    SELECT s.location FROM c JOIN staged_package s ON s.package = c.package AND s.state = 'wanted'
    LIMIT 1)
  SELECT 'present', c.state = 'present' OR (again AND c.state = 'deleting'), 'the copy is ' || c.state FROM c
  UNION ALL SELECT 'place', c.type IN ('SOURCE', 'BUFFER') OR c.over IS NOT NULL,
    CASE WHEN c.over IS NOT NULL THEN 'a canary is taken out wherever it is' WHEN c.type IN ('SOURCE', 'BUFFER') THEN 'a ' || c.type || ' may be emptied' ELSE 'nothing is deleted from a ' || c.type END FROM c
  UNION ALL SELECT 'enabled', c.reap_enabled OR c.over IS NOT NULL, CASE WHEN c.over IS NOT NULL THEN 'a canary needs no leave'
    WHEN c.reap_enabled THEN 'deletion is enabled at ' || c.location
    ELSE 'deletion is not enabled at ' || c.location || ': the reaper only plans' END FROM c
  UNION ALL SELECT 'policy', coalesce(CASE WHEN c.over IS NOT NULL THEN c.over WHEN c.handling = 'ephemeral' THEN c.ephemeral_until < now() ELSE c.created + c.keep < now() END, false)
      OR (coalesce(c.for_room, false) AND c.over IS NULL AND c.handling IS DISTINCT FROM 'ephemeral' AND EXISTS (
          SELECT FROM fullness p WHERE p.location = c.location AND p.above_low)),
    CASE WHEN c.over THEN 'the canary''s trip is over' WHEN NOT c.over THEN 'the canary is still on its trip'
         WHEN c.handling = 'ephemeral' THEN 'ephemeral, kept until ' || to_char(c.ephemeral_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
         WHEN c.for_room THEN coalesce((SELECT format('%s is %s %% full, and is emptied to %s %%', c.location,
             round(100.0 * p.used_bytes / p.total_bytes), round((100 * p.low)::numeric)) FROM fullness p WHERE p.location = c.location),
           'how full ' || c.location || ' is, was not measured in the last minutes')
         WHEN c.keep IS NULL THEN c.location || ' lets nothing go by age'
         ELSE 'kept until ' || to_char((c.created + c.keep) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') END FROM c
  UNION ALL SELECT 'version', coalesce(CASE WHEN c.own_package IS NOT NULL THEN c.package_state = 'packed'
      ELSE c.replaced_by IS NULL AND (c.handling IN ('ephemeral', 'canary') OR c.package_state = 'packed') END, false),
    CASE WHEN c.replaced_by IS NOT NULL THEN 'the file was replaced at its path'
         WHEN c.handling = 'ephemeral' THEN 'ephemeral files are not archived'
         WHEN c.handling = 'canary' THEN 'these are the bytes that were sent'
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
