-- What is safe, and what may be deleted. Both are computed each time, never kept in a column.

-- What can be copied to an archive: a packed package, or a loose file that was adopted.
CREATE VIEW archivable AS
  SELECT id, 'package' AS kind, name, path, sha256, size, program, night, priority
    FROM raw_data_package WHERE state = 'packed'
  UNION ALL
  SELECT id, 'file', path, path, sha256, size, program, night, 100
    FROM raw_data_file WHERE handling = 'adopted';

-- The archives that a programme's things must reach; a drained archive is asked for nothing new.
CREATE FUNCTION archives_for(program text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
  SELECT l.name FROM program_archive a JOIN data_location l ON l.name = a.location
  WHERE l.active AND l.type = 'LONG_TERM_ARCHIVE' AND a.program =
    coalesce((SELECT min(x.program) FROM program_archive x WHERE x.program = archives_for.program), '')
$$;
CREATE FUNCTION copies_for(program text) RETURNS smallint LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT g.copies FROM observing_program g WHERE g.name = copies_for.program), policy.copies)
  FROM policy
$$;

-- Every present copy in an archive, with the last time that it was read well.
CREATE VIEW archive_copy AS
  SELECT c.id, coalesce(c.package, c.file) AS subject, c.package, c.file, c.location, c.path,
         l.site, l.failure_domain, l.active, l.best_reading,
         v.began AS proof_began, v.ended AS proof_ended, v.how AS proof_how
  FROM physical_copy c
  JOIN data_location l ON l.name = c.location AND l.type = 'LONG_TERM_ARCHIVE'
  LEFT JOIN LATERAL (SELECT began, ended, how FROM verification v
                     WHERE v.copy = c.id AND v.outcome = 'good' ORDER BY v.ended DESC LIMIT 1) v ON true
  WHERE c.state = 'present';

-- What a file is archived as: its package, or itself.
CREATE FUNCTION archived_as(file uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT m.package FROM package_member m WHERE m.file = archived_as.file), archived_as.file)
$$;

-- Safe: enough archive copies in distinct failure domains, each read well within scrub_days.
CREATE VIEW safety AS
  SELECT a.subject,
         count(DISTINCT a.failure_domain) AS held,
         count(DISTINCT a.failure_domain) FILTER (
           WHERE a.proof_ended > now() - make_interval(secs => policy.scrub_days * 86400)) AS proven,
         min(a.proof_ended) AS oldest_proof
  FROM archive_copy a, policy GROUP BY a.subject, policy.scrub_days;

-- Captured: a package with it is present somewhere, or it was adopted.
CREATE FUNCTION is_captured(file uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM package_member m JOIN physical_copy c ON c.package = m.package
                 WHERE m.file = is_captured.file AND c.state IN ('present', 'deleting'))
      OR EXISTS (SELECT FROM package_member m JOIN safety s ON s.subject = m.package WHERE m.file = is_captured.file)
      OR EXISTS (SELECT FROM raw_data_file f WHERE f.id = is_captured.file AND f.handling = 'adopted')
$$;

-- Which archive lacks what, and could get it from a present copy at its own site.
CREATE VIEW archive_gap AS
  SELECT t.id AS thing, a.name AS archive, t.priority
  FROM archivable t CROSS JOIN LATERAL archives_for(t.program) a (name) JOIN data_location l ON l.name = a.name
  WHERE NOT EXISTS (SELECT FROM physical_copy c WHERE (c.package = t.id OR c.file = t.id) AND c.location = a.name
                      AND c.state IN ('arriving', 'present', 'suspect', 'deleting'))
    AND EXISTS (SELECT FROM physical_copy c JOIN data_location here ON here.name = c.location
                WHERE (c.package = t.id OR c.file = t.id) AND c.state = 'present' AND here.site = l.site AND here.type <> 'SOURCE');

-- The sites that a route feeds: its destination's, and those that routes from there lead to.
-- UNION, not UNION ALL: a loop in the routes ends.
CREATE VIEW route_feeds AS
  WITH RECURSIVE feeds (route, site) AS (
    SELECT r.name, l.site FROM route r JOIN data_location l ON l.name = r.destination WHERE r.active AND l.active
    UNION
    SELECT f.route, there.site FROM feeds f
    JOIN data_location here ON here.site = f.site AND here.type = 'BUFFER' AND here.active
    JOIN route r ON r.origin = here.name AND r.active
    JOIN data_location there ON there.name = r.destination AND there.active)
  SELECT route, site FROM feeds;

-- Which package still has to cross which route: it is here, not there, and an archive behind lacks it.
CREATE VIEW crossing AS
  SELECT r.name AS route, p.id AS package, p.size, p.priority, p.packed
  FROM route r
  JOIN data_location destination ON destination.name = r.destination AND destination.active
  JOIN physical_copy here ON here.location = r.origin AND here.state = 'present' AND here.package IS NOT NULL
  JOIN raw_data_package p ON p.id = here.package
  WHERE r.active
    AND NOT EXISTS (SELECT FROM physical_copy t WHERE t.package = p.id AND t.location = r.destination
                      AND t.state IN ('arriving', 'present', 'suspect', 'deleting'))
    AND EXISTS (SELECT FROM archives_for(p.program) a (name) JOIN data_location l ON l.name = a.name
                JOIN route_feeds f ON f.route = r.name AND f.site = l.site
                WHERE NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = p.id AND c.location = a.name
                                    AND c.state IN ('arriving', 'present', 'suspect', 'deleting')));

-- How full the places with a high and a low mark are, as it was measured in the last minutes.
CREATE VIEW fullness AS
  SELECT l.name AS location, l.reap_enabled, l.high, l.low, s.total_bytes, s.total_bytes - s.free_bytes AS used_bytes, s.measured,
         s.total_bytes - s.free_bytes >= l.high * s.total_bytes AS above_high,
         s.total_bytes - s.free_bytes > l.low * s.total_bytes AS above_low
  FROM data_location l
  JOIN LATERAL (SELECT s.total_bytes, s.free_bytes, s.measured FROM location_state s
                WHERE s.location = l.name AND s.state = 'available' AND s.measured > now() - interval '5 minutes'
                ORDER BY s.measured DESC LIMIT 1) s ON true
  WHERE l.high IS NOT NULL AND l.type IN ('SOURCE', 'BUFFER');

-- And what has still to go. What is on its way out, in the trash too, takes its room until the end and
-- is not asked for twice; nor is what went so lately that a slow disk may not have given its room back.
CREATE VIEW pressure AS
  SELECT f.*, w.bytes AS under_way, greatest(floor(f.used_bytes - f.low * f.total_bytes)::bigint - w.bytes, 0) AS needed
  FROM fullness f
  JOIN LATERAL (SELECT coalesce(sum(c.size), 0)::bigint AS bytes FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id
                JOIN physical_copy c ON c.id = dc.copy AND c.location = f.location
                WHERE (d.closed IS NULL AND dc.stage IN ('nominated', 'deleting', 'trashed', 'hashed', 'condemned'))
                   OR (dc.stage = 'deleted' AND (d.closed IS NULL OR d.closed > f.measured - interval '10 minutes')
                       AND dc.changed > f.measured - interval '5 minutes')) w ON true;

-- The deletion rule: one row per clause. 'nf why' prints exactly what the reaper obeys. A copy may go
-- only if every clause holds. With `again`, after the trash's grace, the proof may have aged meanwhile.
CREATE FUNCTION deletion_clauses(copy uuid, deletion uuid DEFAULT NULL, again boolean DEFAULT false)
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
  UNION ALL SELECT 'proof', n.copies = 0 OR (c.nominated IS NOT NULL AND s.proven >= n.copies),
    CASE WHEN n.copies = 0 THEN 'none is needed'
         WHEN c.nominated IS NULL THEN 'not nominated: its archive copies are read again first'
         ELSE format('%s of %s archives were read well since it was nominated', s.proven, n.copies) END FROM c, survivor s, need n
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

-- Nothing is nominated or trashed while deletion is stopped, or in a database that is not trusted yet.
CREATE FUNCTION may_delete() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT incarnation_is_trusted() AND NOT EXISTS (SELECT FROM deletion_stop WHERE resumed IS NULL)
$$;

-- Locks what a deletion is about. Every change of its copies or holds takes this lock (triggers below).
CREATE FUNCTION lock_subject(package uuid, file uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE its_package uuid := coalesce(package, (SELECT m.package FROM package_member m WHERE m.file = lock_subject.file));
BEGIN
  IF its_package IS NOT NULL THEN
    PERFORM FROM raw_data_package p WHERE p.id = its_package FOR NO KEY UPDATE;
  ELSE
    PERFORM FROM raw_data_file f WHERE f.id = lock_subject.file FOR NO KEY UPDATE;
  END IF;
END $$;

CREATE FUNCTION copy_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM lock_subject(NEW.package, NEW.file);
  NEW.changed := now();
  RETURN NEW;
END $$;
CREATE TRIGGER copy_changes BEFORE UPDATE OF state ON physical_copy FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION copy_changes();

CREATE FUNCTION hold_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.night IS NOT NULL THEN
    PERFORM FROM raw_data_package p WHERE p.night = NEW.night ORDER BY p.id FOR NO KEY UPDATE;
    PERFORM FROM raw_data_file f WHERE f.night = NEW.night ORDER BY f.id FOR NO KEY UPDATE;
  ELSE
    PERFORM lock_subject(NEW.package, NEW.file);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER hold_changes BEFORE INSERT OR UPDATE ON hold FOR EACH ROW EXECUTE FUNCTION hold_changes();

-- Two statements: the first waits for the lock, the second sees what was committed meanwhile. In one,
-- the rule would read the snapshot from before the wait, and two archives could go at once.
CREATE FUNCTION decide_deletion(wanted uuid) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE going integer;
BEGIN
  PERFORM lock_subject(d.package, d.file) FROM deletion d WHERE d.id = wanted AND d.state = 'nominated';
  WITH verdict AS MATERIALIZED (
    SELECT dc.copy, bool_and(r.holds) AS goes, string_agg(r.detail, '; ') FILTER (WHERE NOT r.holds) AS why
    FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id AND dc.stage = 'nominated'
    CROSS JOIN LATERAL deletion_clauses(dc.copy, d.id) r
    WHERE d.id = wanted AND d.state = 'nominated' GROUP BY dc.copy),
  staged AS (
    UPDATE deletion_copy dc SET stage = CASE WHEN v.goes THEN 'deleting'::deletion_stage ELSE 'kept' END,
           detail = coalesce(v.why, ''), changed = now()
    FROM verdict v WHERE dc.deletion = wanted AND dc.copy = v.copy RETURNING dc.copy, dc.stage)
  UPDATE physical_copy c SET state = 'deleting' FROM staged s WHERE c.id = s.copy AND s.stage = 'deleting';
  GET DIAGNOSTICS going = ROW_COUNT;
  UPDATE deletion SET state = CASE WHEN going > 0 THEN 'decided'::deletion_state ELSE 'withdrawn' END,
         decided = now(), closed = CASE WHEN going > 0 THEN NULL ELSE now() END,
         outcome = CASE WHEN going > 0 THEN outcome ELSE
           coalesce((SELECT dc.detail FROM deletion_copy dc WHERE dc.deletion = wanted AND dc.stage = 'kept' LIMIT 1), '') END
  WHERE id = wanted AND state = 'nominated';
  RETURN going;
END $$;

-- After the grace, and once what lies in the trash hashed well: the rule again, under the same lock. Also
-- of what was condemned by a claim that ended before it unlinked: that may be days ago.
CREATE FUNCTION condemn_or_recall(wanted uuid, place text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM lock_subject(d.package, d.file) FROM deletion d WHERE d.id = wanted;
  WITH verdict AS MATERIALIZED (
    SELECT dc.copy, bool_and(r.holds) AS goes, string_agg(r.detail, '; ') FILTER (WHERE NOT r.holds) AS why
    FROM deletion_copy dc JOIN physical_copy c ON c.id = dc.copy AND c.location = place
    CROSS JOIN LATERAL deletion_clauses(dc.copy, wanted, true) r
    WHERE dc.deletion = wanted AND dc.stage IN ('hashed', 'condemned') GROUP BY dc.copy)
  UPDATE deletion_copy dc SET stage = CASE WHEN v.goes THEN 'condemned'::deletion_stage ELSE 'recalled' END,
         detail = coalesce(v.why, ''), changed = now()
  FROM verdict v WHERE dc.deletion = wanted AND dc.copy = v.copy AND NOT (v.goes AND dc.stage = 'condemned');
END $$;
