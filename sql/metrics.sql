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
-- Bytes that came to lie at the places, by who brings them there, in a day and in five minutes.
SELECT CASE WHEN l.type = 'SOURCE' THEN 'ingest' WHEN l.type = 'LONG_TERM_ARCHIVE' THEN 'archive'
            WHEN p.site = l.site THEN 'package' ELSE 'transfer' END AS stage,
       sum(c.size) AS day_bytes, coalesce(sum(c.size) FILTER (WHERE c.created > now() - interval '5 minutes'), 0) AS lately_bytes
FROM data_location l JOIN physical_copy c ON c.location = l.name AND c.state = 'present' AND c.created > now() - interval '1 day'
LEFT JOIN raw_data_package p ON p.id = c.package
GROUP BY 1;

-- name: state
SELECT (SELECT count(*) FROM lost_file WHERE accepted IS NULL) AS lost, (SELECT count(*) FROM quarantine WHERE released IS NULL) AS quarantined,
       (SELECT extract(epoch FROM now() - max(taken))::double precision FROM backup) AS backup_age,
       (SELECT count(*) FROM deletion_stop WHERE resumed IS NULL) AS stops,
       (SELECT coalesce(sum(unsettled), 0) FROM location_state) AS unsettled,
       (SELECT max(last_sweep_ended) FROM location_state) AS swept;
