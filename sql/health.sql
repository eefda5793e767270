-- 'nf check': each of these is one line of it, or one for each row.

-- name: clock
-- The database's clock as this answer is made.
SELECT clock_timestamp() AS now;

-- name: daemons
SELECT daemon, host, name, seen, stopped, version, now() AS now FROM heartbeat ORDER BY daemon, host, name;

-- name: needed
-- The daemons that this observatory can't do without, and whether one runs.
SELECT n.daemon, EXISTS (SELECT FROM heartbeat h WHERE h.daemon = n.daemon AND h.stopped IS NULL) AS runs
FROM (VALUES ('ingest', EXISTS (SELECT FROM data_location WHERE type = 'SOURCE' AND active)),
             ('package', EXISTS (SELECT FROM data_location WHERE type = 'SOURCE' AND active)),
             ('transfer', EXISTS (SELECT FROM route WHERE active)),
             ('archive', EXISTS (SELECT FROM data_location WHERE type = 'LONG_TERM_ARCHIVE' AND active)),
             ('verify', EXISTS (SELECT FROM data_location WHERE type = 'LONG_TERM_ARCHIVE' AND active)),
             ('reap', EXISTS (SELECT FROM data_location WHERE reap_enabled AND active))) n (daemon, needed)
WHERE n.needed;

-- name: locations
-- What a host said that has not looked for long does not count beside what another says now. A bucket is not looked at while its
-- host copies to it.
SELECT l.name, l.type::text, l.marker IS NOT NULL AS marked, l.high, coalesce(l.capabilities -> 'writable' <> 'false', true) AS writable,
       s.hosts, s.available, s.reason, s.host, f.free_bytes, f.total_bytes, f.days_left,
       CASE WHEN l.storage = 's3' AND EXISTS (SELECT FROM heartbeat h WHERE h.host = s.host AND h.stopped IS NULL AND h.seen > now() - interval '1 minute')
            THEN interval '0' ELSE now() - s.checked END AS unseen
FROM data_location l LEFT JOIN space_forecast f ON f.location = l.name LEFT JOIN LATERAL (
  SELECT count(*) AS hosts, bool_or(t.state = 'available') FILTER (WHERE t.checked > last.checked - interval '5 minutes') AS available,
         (array_agg(t.reason ORDER BY t.checked DESC))[1] AS reason, (array_agg(t.host ORDER BY t.checked DESC))[1] AS host, last.checked
  FROM location_state t, (SELECT max(checked) AS checked FROM location_state WHERE location = l.name) last
  WHERE t.location = l.name GROUP BY last.checked) s ON true
WHERE l.active ORDER BY l.type, l.priority, l.name;

-- name: routes
SELECT r.name, (SELECT b.reason FROM breaker b WHERE b.name = r.name AND b.state = 'open') AS trouble FROM route r WHERE r.active ORDER BY r.name;

-- name: ingest
-- The source that was not looked through for longest.
SELECT l.name, now() - max(s.last_sweep_ended) AS unswept, sum(coalesce(sum(s.unsettled), 0)) OVER ()::bigint AS unsettled
FROM data_location l LEFT JOIN location_state s ON s.location = l.name WHERE l.type = 'SOURCE' AND l.active
GROUP BY l.name ORDER BY max(s.last_sweep_ended) NULLS FIRST LIMIT 1;

-- name: blocked
SELECT kind, reason, count(*) AS subjects FROM blocked GROUP BY kind, reason ORDER BY kind, subjects DESC;

-- name: canary
-- No row where none is sent each day.
WITH daily AS (SELECT min(sent) AS first, max(sent) AS last FROM canary WHERE daily AND sent > now() - interval '30 days'),
returned AS (SELECT max(sent) AS sent, max(ended) AS ended FROM canary WHERE outcome = 'returned')
SELECT now() AS now, r.ended AS returned, now() - coalesce(r.ended, d.first) AS age,
       (SELECT k.why FROM canary k WHERE k.outcome <> 'returned' AND k.sent > coalesce(r.sent, '-infinity') ORDER BY k.sent DESC LIMIT 1) AS why
FROM daily d, returned r WHERE d.last IS NOT NULL;

-- name: care
-- Reading again, and backup.
SELECT (SELECT b.taken FROM backup b ORDER BY b.taken DESC LIMIT 1) AS backed_up, policy.backup_max_age, now() AS now,
       (SELECT min(i.began) FROM incarnation i) AS began, policy.scrub_days::text::double precision AS scrub_days,
       (SELECT count(*) FROM kept_copy k WHERE k.type = 'LONG_TERM_ARCHIVE' AND k.created < now() - make_interval(secs => policy.scrub_days * 86400)
          AND (k.read_well IS NULL OR k.read_well < now() - make_interval(secs => policy.scrub_days * 86400))) AS unread,
       incarnation_is_trusted() AS trusted
FROM policy;
