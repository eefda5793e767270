-- Locations: their markers, and what a person says of them.

-- name: marker
SELECT name, type::text, storage::text, marker::text, coalesce(settings -> 'store', '{}') AS store, capabilities, active FROM data_location WHERE name = %(name)s;

-- name: set_marker
-- A better proof than the file system can give is not asked for.
UPDATE data_location SET marker = %(marker)s, capabilities = %(capabilities)s,
  best_reading = least(best_reading, %(best)s::read_kind) WHERE name = %(name)s;

-- name: forget_marker
-- Another disk is this location from now on: what was probed belonged to the old one.
UPDATE data_location SET marker = NULL, capabilities = '{}', best_reading = 'medium' WHERE name = %(name)s;

-- name: listed
SELECT l.name, l.site, l.type::text, l.storage::text, l.active, l.priority, l.failure_domain, l.marker IS NOT NULL AS marked,
       l.best_reading::text, l.reap_enabled, l.keep, l.capabilities ->> 'file_system' AS file_system, l.capabilities,
       s.host, s.state::text, s.reason, s.checked, s.total_bytes, s.free_bytes, s.hints, s.vanish_guard
FROM data_location l LEFT JOIN LATERAL (
  SELECT * FROM location_state s WHERE s.location = l.name ORDER BY s.checked DESC LIMIT 1) s ON true
ORDER BY l.site, l.type, l.priority, l.name;

-- name: set_active
UPDATE data_location SET active = %(active)s WHERE name = %(name)s AND active <> %(active)s RETURNING name;

-- name: what_it_holds
SELECT count(*) FILTER (WHERE state = 'present') AS present, count(*) FILTER (WHERE state = 'arriving') AS arriving
FROM physical_copy WHERE location = %(name)s;

-- name: accept_missing
-- The next conclusion of ingest may be about so many files.
UPDATE location_state SET vanish_guard = vanish_guard || jsonb_build_object('accepted', vanish_guard -> 'vanished')
WHERE location = %(name)s AND vanish_guard IS NOT NULL RETURNING vanish_guard;
