-- 'nf night': is this night safe? Only that night's rows are read. A canary is of no night.

-- name: telescopes
SELECT t.name, t.zone, to_char(t.turnover, 'HH24:MI') AS turnover, t.label,
       EXISTS (SELECT FROM instrument i JOIN raw_data_file f ON f.instrument = i.name AND f.night = %(night)s WHERE i.telescope = t.name) AS used
FROM telescope t ORDER BY t.name;

-- name: newest
SELECT max(night) AS night FROM raw_data_file WHERE handling <> 'canary';

-- name: files
-- The night's files, gathered by all that the answer speaks of.
WITH f AS MATERIALIZED (SELECT * FROM raw_data_file WHERE night = %(night)s AND handling <> 'canary')
SELECT f.instrument, f.frame_type::text, f.header::text, f.night_from::text, f.clock::text, f.handling::text,
       l.file IS NOT NULL AS lost, l.accepted IS NOT NULL AS accepted, coalesce(u.origin = 'filed', false) AS filed,
       a.safe, a.reason, a.need, count(*) AS files, sum(f.size) AS bytes,
       min(f.exposure_start) AS first,
       max(f.exposure_start + make_interval(secs => coalesce(f.exposure_seconds, 0))) AS last
FROM f JOIN file_answers((SELECT array_agg(id) FROM f)) a ON a.file = f.id
LEFT JOIN lost_file l ON l.file = f.id LEFT JOIN executed_obs_unit u ON u.id = f.executed_obs_unit
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
ORDER BY 1, 2, files DESC, a.reason;

-- name: unsafe
WITH f AS MATERIALIZED (SELECT * FROM raw_data_file WHERE night = %(night)s AND handling <> 'canary')
SELECT f.id, f.location, f.path, f.ordinal, f.size, a.reason
FROM f JOIN file_answers((SELECT array_agg(id) FROM f)) a ON a.file = f.id LEFT JOIN lost_file l ON l.file = f.id
WHERE NOT a.safe AND f.handling <> 'ephemeral' AND l.accepted IS NULL
ORDER BY l.file IS NULL, a.reason, f.path, f.ordinal LIMIT %(limit)s;

-- name: newest_file
SELECT path, exposure_start, registered, coalesce(exposure_start, registered) AS at FROM raw_data_file
WHERE night = %(night)s AND handling <> 'canary' ORDER BY coalesce(exposure_start, registered) DESC, path DESC LIMIT 1;

-- name: archives
-- Which archives hold how many of the night's files, and the reading of each that is longest ago.
WITH t AS MATERIALIZED (
  SELECT coalesce(m.package, f.id) AS subject, count(*) AS files
  FROM raw_data_file f LEFT JOIN LATERAL (SELECT m.package FROM package_member m WHERE m.file = f.id OFFSET 0) m ON true
  WHERE f.night = %(night)s AND f.handling <> 'canary' GROUP BY 1)
SELECT a.location, a.failure_domain, a.active, sum(t.files) AS files, sum(t.files) FILTER (WHERE a.proof_ended IS NULL) AS unread,
       min(a.proof_ended) AS oldest_proof
-- OFFSET 0: of these packages alone, instead of every copy that there is
FROM t CROSS JOIN LATERAL (SELECT * FROM archive_copy a WHERE a.subject = t.subject OFFSET 0) a GROUP BY 1, 2, 3 ORDER BY 1;

-- name: at_source
SELECT count(*) FILTER (WHERE c.state = 'deleted') AS freed_files, coalesce(sum(c.size) FILTER (WHERE c.state = 'deleted'), 0) AS freed_bytes,
       count(*) FILTER (WHERE c.state IN ('present', 'deleting')) AS kept_files,
       coalesce(sum(c.size) FILTER (WHERE c.state IN ('present', 'deleting')), 0) AS kept_bytes
FROM raw_data_file f CROSS JOIN LATERAL (
  SELECT c.state, c.size, c.location FROM physical_copy c WHERE c.file = f.id OFFSET 0) c JOIN data_location l ON l.name = c.location AND l.type = 'SOURCE'
WHERE f.night = %(night)s AND f.handling <> 'canary';

-- name: gaps
-- Numbers that the instrument counted and that no file of the night has.
SELECT instrument, module, was + 1 AS first, counter - 1 AS last FROM (
  SELECT instrument, module, counter, lag(counter) OVER (PARTITION BY instrument, module ORDER BY counter) AS was
  FROM (SELECT DISTINCT instrument, module, counter FROM raw_data_file WHERE night = %(night)s AND counter IS NOT NULL) c) g
WHERE counter > was + 1 ORDER BY 1, 2, 3;

-- name: sources
-- Where a file of this night can be: every SOURCE in use, and a drained one that has files of it.
SELECT l.name, l.active, coalesce(bool_or(s.state = 'available'), false) AS available, count(s.host) AS hosts,
       (array_agg(s.reason ORDER BY s.checked DESC))[1] AS reason, min(s.since) FILTER (WHERE s.state = 'unavailable') AS since,
       max(s.full_sweep_began) FILTER (WHERE s.full_sweep_ended >= s.full_sweep_began) AS swept,
       max(s.last_sweep_ended) AS seen, coalesce(sum(s.unsettled), 0) AS unsettled,
       coalesce(bool_or(s.vanish_guard IS NOT NULL AND NOT s.vanish_guard ? 'accepted'), false) AS guarded
FROM data_location l LEFT JOIN location_state s ON s.location = l.name
WHERE l.type = 'SOURCE' AND (l.active OR EXISTS (SELECT FROM raw_data_file f WHERE f.night = %(night)s AND f.location = l.name AND f.handling <> 'canary'))
GROUP BY 1, 2 ORDER BY 1;

-- name: quarantine
-- Of this night: what lies in a directory that has only files of it, or was found while it lasted
-- (and a day longer, in a directory that has files of it and of others).
WITH d AS MATERIALIZED (SELECT DISTINCT location, directory FROM raw_data_file WHERE night = %(night)s),
q AS (
  SELECT q.location, q.path, q.reason, q.advice, q.found, d.directory IS NOT NULL AS beside,
         EXISTS (SELECT FROM raw_data_file o WHERE o.location = d.location AND o.directory = d.directory
                 AND o.replaced_by IS NULL AND o.night <> %(night)s) AS mixed
  FROM quarantine q JOIN data_location l ON l.name = q.location AND l.type = 'SOURCE'
  LEFT JOIN d ON d.location = q.location
    AND d.directory = CASE WHEN q.path LIKE '%%/%%' THEN regexp_replace(q.path, '/[^/]*$', '') ELSE '' END
  WHERE q.released IS NULL)
SELECT location, path, reason, advice, found,
       (beside AND NOT mixed) OR (found >= %(began)s AND found < %(ended)s)
       OR (beside AND found >= %(began)s AND found < %(ended)s + interval '1 day') AS of_this_night
FROM q ORDER BY found, path;

-- name: blocked
-- Work on the night's packages that failed for good.
WITH t AS MATERIALIZED (
  SELECT p.id, p.name FROM raw_data_package p WHERE p.night = %(night)s AND p.instrument <> 'nightferry-canary'
  UNION SELECT f.id, f.path FROM raw_data_file f WHERE f.night = %(night)s AND f.handling = 'adopted')
SELECT b.kind, b.reason, count(*) AS things, min(t.name) AS name, min(split_part(b.subject, '@', 2)) AS location,
       min(b.evidence ->> 'message') AS message
FROM blocked b JOIN t ON t.id::text = split_part(b.subject, '@', 1)
  OR t.id IN (SELECT coalesce(c.package, c.file) FROM physical_copy c WHERE c.id::text = split_part(b.subject, '@', 1))
GROUP BY 1, 2 ORDER BY 3 DESC;

-- name: holds
SELECT reason, placed_by FROM hold WHERE night = %(night)s AND lifted IS NULL ORDER BY placed;

-- name: policy
SELECT copies, scrub_days, now() AS now FROM policy;
