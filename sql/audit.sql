-- Disk against database.

-- name: place
SELECT name, type::text, storage::text, marker::text, settings FROM data_location WHERE name = %(location)s;

-- name: copies
-- All that should lie there, in pieces by path.
SELECT c.path, c.size, c.state::text, c.package IS NOT NULL AS is_package FROM physical_copy c
WHERE c.location = %(location)s AND c.state IN ('present', 'suspect') AND c.path > %(after)s ORDER BY c.path LIMIT %(most)s;

-- name: known
-- Of these paths, those that some living row speaks of: a copy, a package's sidecar, or quarantine.
SELECT w.path FROM unnest(%(paths)s::text[]) w (path)
WHERE EXISTS (SELECT FROM physical_copy c WHERE c.location = %(location)s AND c.path = w.path AND c.state IN ('arriving', 'present', 'suspect'))
   OR (w.path LIKE '%%.sha256' AND EXISTS (
        SELECT FROM physical_copy c WHERE c.location = %(location)s AND c.path = left(w.path, -7) AND c.package IS NOT NULL
          AND c.state <> 'deleted'))
   OR EXISTS (SELECT FROM quarantine q WHERE q.location = %(location)s AND q.path = w.path AND (q.released IS NULL OR q.release = 'ignore'))
   OR EXISTS (SELECT FROM physical_copy c WHERE c.location = %(location)s AND c.path = w.path AND c.state IN ('corrupt', 'deleting'));

-- name: still_there
-- Of these paths, those that should still lie there.
SELECT c.path FROM physical_copy c WHERE c.location = %(location)s AND c.path = ANY(%(paths)s) AND c.state IN ('present', 'suspect');

-- name: keep
INSERT INTO audit_result (location, system_identifier, timeline, database_oid, passed, files, copies, unknown, absent, other_size)
SELECT %(location)s, r.system_identifier, r.timeline, r.database_oid, %(passed)s, %(files)s, %(copies)s, %(unknown)s, %(absent)s, %(other_size)s
FROM running_incarnation() r;

-- name: not_passed
-- Marked locations whose last audit by this very database, if any, found a difference.
SELECT l.name FROM data_location l CROSS JOIN running_incarnation() r
WHERE l.marker IS NOT NULL AND l.type <> 'PROCESSING' AND NOT coalesce((
  SELECT a.passed FROM audit_result a WHERE a.location = l.name
    AND (a.system_identifier, a.timeline, a.database_oid) = (r.system_identifier, r.timeline, r.database_oid)
  ORDER BY a.at DESC, a.id DESC LIMIT 1), false)
ORDER BY l.name;

-- name: is_back
-- A copy that was missing and lies there again: verify reads it.
UPDATE physical_copy c SET state = 'suspect' WHERE c.id IN (
  SELECT DISTINCT ON (m.path) m.id FROM physical_copy m
  WHERE m.location = %(location)s AND m.path = ANY(%(paths)s) AND m.state = 'missing'
    AND NOT EXISTS (SELECT FROM physical_copy g WHERE coalesce(g.package, g.file) = coalesce(m.package, m.file) AND g.location = m.location
                      AND g.state IN ('arriving', 'present', 'suspect', 'deleting'))
  ORDER BY m.path, m.changed DESC)
RETURNING c.path;

-- name: quarantine
INSERT INTO quarantine (location, path, reason, advice, evidence)
SELECT %(location)s, w.path, %(reason)s, %(advice)s, %(evidence)s FROM unnest(%(paths)s::text[]) w (path)
ON CONFLICT (location, path) WHERE released IS NULL DO NOTHING RETURNING id;

-- name: missing
UPDATE physical_copy SET state = 'missing' WHERE location = %(location)s AND path = ANY(%(paths)s) AND state IN ('present', 'suspect') RETURNING id;

-- name: doubt
UPDATE physical_copy SET state = 'suspect' WHERE location = %(location)s AND path = ANY(%(paths)s) AND state = 'present' RETURNING id;
