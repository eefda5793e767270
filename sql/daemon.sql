-- What every daemon asks about its host's places.

-- name: places
SELECT l.name, l.type::text, l.storage::text, l.marker::text, l.settings, l.capabilities, l.site,
       CASE WHEN s.state = 'unavailable' THEN s.reason END AS trouble
FROM data_location l LEFT JOIN location_state s ON s.location = l.name AND s.host = %(host)s
WHERE l.name = ANY(%(names)s) ORDER BY l.priority, l.name;

-- name: routes
SELECT name, origin, destination, transport, settings FROM route WHERE active AND origin = ANY(%(names)s) ORDER BY name;

-- name: set_state
INSERT INTO location_state AS s (location, host, state, reason, total_bytes, free_bytes, measured)
VALUES (%(location)s, %(host)s, %(state)s, %(reason)s, %(total)s, %(free)s, CASE WHEN %(free)s::bigint IS NOT NULL THEN clock_timestamp() END)
ON CONFLICT (location, host) DO UPDATE SET state = EXCLUDED.state, reason = EXCLUDED.reason, checked = now(),
  since = CASE WHEN s.state = EXCLUDED.state THEN s.since ELSE now() END,
  total_bytes = coalesce(EXCLUDED.total_bytes, s.total_bytes), free_bytes = coalesce(EXCLUDED.free_bytes, s.free_bytes),
  measured = coalesce(EXCLUDED.measured, s.measured);
