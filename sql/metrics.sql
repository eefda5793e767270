-- What nightferry-metrics tells Prometheus: few rows each, by partial indexes.

-- name: daemons
SELECT daemon, host, name, version, stopped IS NULL AND now() - seen < interval '60 seconds' AS up FROM heartbeat
WHERE stopped IS NULL OR stopped > now() - interval '1 day' ORDER BY daemon, host, name;

-- name: locations
SELECT l.name, l.type::text, coalesce(s.available, false) AS available, f.free_bytes, f.total_bytes, f.days_left
FROM data_location l LEFT JOIN space_forecast f ON f.location = l.name
LEFT JOIN LATERAL (SELECT bool_or(state = 'available') AS available FROM location_state WHERE location = l.name) s ON true
WHERE l.active ORDER BY l.name;

-- name: breakers
SELECT n.name, EXISTS (SELECT FROM breaker b WHERE b.name = n.name AND b.state = 'open') AS open
FROM (SELECT name FROM data_location WHERE active UNION SELECT name FROM route WHERE active) n ORDER BY n.name;

-- name: blocked
SELECT kind, count(*) AS subjects FROM blocked GROUP BY kind;

-- name: flow
-- Bytes in a day and in five minutes, by stage: what came to lie at the places, by who brings it there; what was unpacked for
-- people; what was read; and what was let go.
WITH moved (stage, bytes, at) AS (
  SELECT CASE WHEN l.type = 'SOURCE' THEN 'ingest' WHEN l.type = 'LONG_TERM_ARCHIVE' THEN 'archive'
              WHEN p.site = l.site THEN 'package' ELSE 'transfer' END, c.size, c.created
  FROM data_location l JOIN physical_copy c ON c.location = l.name AND c.state = 'present' AND c.created > now() - interval '1 day'
  LEFT JOIN raw_data_package p ON p.id = c.package
  UNION ALL SELECT 'stage', size, changed FROM staged_package WHERE state = 'ready' AND changed > now() - interval '1 day'
  -- An id begins with its milliseconds (UUIDv7).
  UNION ALL SELECT 'verify', coalesce(size, 0), ended FROM verification
  WHERE id >= rpad(lpad(to_hex((extract(epoch FROM now() - interval '1 day') * 1000)::bigint), 12, '0'), 32, '0')::uuid
  UNION ALL SELECT 'calibrate', f.size, k.made
  FROM (SELECT file, max(made) AS made FROM calibration WHERE made > now() - interval '1 day' GROUP BY file) k JOIN raw_data_file f ON f.id = k.file
  UNION ALL SELECT 'reap', c.size, dc.changed
  FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id JOIN physical_copy c ON c.id = dc.copy
  WHERE (d.closed IS NULL OR d.closed > now() - interval '1 day') AND dc.stage = 'deleted' AND dc.changed > now() - interval '1 day')
SELECT stage, sum(bytes)::bigint AS day_bytes, coalesce(sum(bytes) FILTER (WHERE at > now() - interval '5 minutes'), 0)::bigint AS lately_bytes
FROM moved GROUP BY stage;

-- name: state
SELECT (SELECT count(*) FROM lost_file WHERE accepted IS NULL) AS lost, (SELECT count(*) FROM quarantine WHERE released IS NULL) AS quarantined,
       (SELECT extract(epoch FROM now() - max(taken))::double precision FROM backup) AS backup_age,
       (SELECT count(*) FROM deletion_stop WHERE resumed IS NULL) AS stops,
       (SELECT coalesce(sum(unsettled), 0) FROM location_state) AS unsettled,
       (SELECT max(last_sweep_ended) FROM location_state) AS swept;
