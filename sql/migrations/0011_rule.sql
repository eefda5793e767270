-- The deletion rule, each of whose clauses says its own: 'copies' that too few archives hold it, and
-- 'proof' that those who do, as many as are needed, were not all read. Before, too few copies were too
-- little proof as well, and a person read of two troubles where there is one.
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
