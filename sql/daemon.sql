-- What every daemon asks about its host's places.

-- name: known
-- The names that a host's configuration may use.
SELECT 'site' AS what, name FROM site UNION ALL SELECT 'location', name FROM data_location;

-- name: places
SELECT name, type::text, storage::text, marker::text, settings, capabilities, site FROM data_location WHERE name = ANY(%(names)s) ORDER BY priority, name;

-- name: troubles
-- What this host last found of them.
SELECT location, CASE WHEN state = 'unavailable' THEN reason ELSE '' END AS trouble FROM location_state
WHERE host = %(host)s AND location = ANY(%(names)s);

-- name: routes
SELECT r.name, r.origin, r.destination, r.transport, r.settings, l.marker::text
FROM route r JOIN data_location l ON l.name = r.destination WHERE r.active AND r.origin = ANY(%(names)s) ORDER BY r.name;

-- name: set_state
INSERT INTO location_state AS s (location, host, state, reason, total_bytes, free_bytes, measured)
VALUES (%(location)s, %(host)s, %(state)s, %(reason)s, %(total)s, %(free)s, CASE WHEN %(free)s::bigint IS NOT NULL THEN clock_timestamp() END)
ON CONFLICT (location, host) DO UPDATE SET state = EXCLUDED.state, reason = EXCLUDED.reason, checked = now(),
  since = CASE WHEN s.state = EXCLUDED.state THEN s.since ELSE now() END,
  total_bytes = coalesce(EXCLUDED.total_bytes, s.total_bytes), free_bytes = coalesce(EXCLUDED.free_bytes, s.free_bytes),
  measured = coalesce(EXCLUDED.measured, s.measured);
