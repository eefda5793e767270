-- 'nf status': open work by its partial indexes, finished work per package; never every file.

-- name: registered
-- The files that came in a day: an id begins with its milliseconds (UUIDv7).
SELECT count(*) AS files FROM raw_data_file WHERE instrument <> 'nightferry-canary'
  AND id >= rpad(lpad(to_hex((extract(epoch FROM now() - interval '1 day') * 1000)::bigint), 12, '0'), 32, '0')::uuid;

-- name: in_no_package
-- Of the last two nights.
SELECT count(*) AS files FROM raw_data_file WHERE night >= (now() AT TIME ZONE 'UTC')::date - 1 AND handling = 'archive' AND NOT in_package;

-- name: daemons
SELECT daemon, host, name, version, started, seen, stopped, status, now() AS now FROM heartbeat ORDER BY daemon, host, name;

-- name: locations
SELECT l.name, l.site, l.type::text, l.active, l.marker IS NOT NULL AS marked, l.reap_enabled, l.high, s.hosts, s.available, s.reason, s.since, s.checked,
       s.total_bytes, s.free_bytes, s.hints, s.unsettled, s.sweep_ended, s.full_sweep_ended, s.guarded
FROM data_location l LEFT JOIN LATERAL (
  SELECT count(*) AS hosts, bool_or(state = 'available') AS available, (array_agg(reason ORDER BY checked DESC))[1] AS reason,
         min(since) FILTER (WHERE state = 'unavailable') AS since, max(checked) AS checked,
         (array_agg(total_bytes ORDER BY checked DESC) FILTER (WHERE total_bytes IS NOT NULL))[1] AS total_bytes,
         (array_agg(free_bytes ORDER BY checked DESC) FILTER (WHERE free_bytes IS NOT NULL))[1] AS free_bytes,
         max(hints) AS hints, sum(unsettled) AS unsettled, max(last_sweep_ended) AS sweep_ended, max(full_sweep_ended) AS full_sweep_ended,
         bool_or(vanish_guard IS NOT NULL AND NOT vanish_guard ? 'accepted') AS guarded
  FROM location_state WHERE location = l.name) s ON true
ORDER BY l.type, l.priority, l.name;

-- name: troubles
-- What waits for a person.
SELECT (SELECT count(*) FROM route WHERE active) AS routes,
       (SELECT count(*) FROM lost_file WHERE accepted IS NULL) AS lost,
       (SELECT count(*) FROM quarantine WHERE released IS NULL) AS quarantined,
       (SELECT count(*) FROM physical_copy c JOIN data_location l ON l.name = c.location AND l.type = 'LONG_TERM_ARCHIVE'
        WHERE c.state IN ('suspect', 'missing', 'corrupt')
          AND NOT EXISTS (SELECT FROM physical_copy g WHERE coalesce(g.package, g.file) = coalesce(c.package, c.file)
                            AND g.location = c.location AND g.state IN ('arriving', 'present'))) AS bad_copies,
       (SELECT count(*) FROM hold WHERE lifted IS NULL) AS holds,
       (SELECT count(*) FROM deletion WHERE closed IS NULL) AS deletions,
       incarnation_is_trusted() AS trusted,
       -- A new ledger has some time for its first.
       (SELECT b.taken FROM backup b ORDER BY b.taken DESC LIMIT 1) AS backed_up,
       (SELECT min(i.began) < now() - policy.backup_max_age FROM incarnation i, policy GROUP BY policy.backup_max_age)
         AND NOT EXISTS (SELECT FROM backup b, policy WHERE b.taken > now() - policy.backup_max_age) AS backup_is_due,
       (SELECT 'stopped by ' || stopped_by || ': ' || reason FROM deletion_stop WHERE resumed IS NULL ORDER BY stopped LIMIT 1) AS stopped;

-- name: blocked
SELECT kind, reason, count(*) AS subjects, min(at) AS oldest FROM blocked GROUP BY 1, 2 ORDER BY 1, 3 DESC;

-- name: nights
-- The last nights, package by package: finished means safe.
SELECT p.night, count(*) AS packages, sum(p.members) AS files,
       count(*) FILTER (WHERE coalesce(s.proven, 0) >= copies_for(p.program)) AS safe, sum(p.size) AS bytes
FROM raw_data_package p LEFT JOIN LATERAL (SELECT * FROM safety s WHERE s.subject = p.id OFFSET 0) s ON true
WHERE p.state <> 'dissolved' AND p.instrument <> 'nightferry-canary' AND p.night IN (
  SELECT DISTINCT night FROM raw_data_package WHERE instrument <> 'nightferry-canary' ORDER BY night DESC LIMIT 3)
GROUP BY 1 ORDER BY 1 DESC;
