-- Adopting an existing archive in place.

-- name: place
SELECT name, type::text, storage::text, marker::text, settings, capabilities FROM data_location WHERE name = %(location)s;

-- name: known
-- Of these paths, those that need no reading: our own packages with their sidecars, and files that are
-- as they were when they were adopted.
SELECT w.path FROM unnest(%(paths)s::text[], %(sizes)s::bigint[], %(mtimes)s::bigint[]) w (path, size, mtime_ns)
WHERE EXISTS (SELECT FROM physical_copy c LEFT JOIN raw_data_file f ON f.id = c.file
              WHERE c.location = %(location)s AND c.path = w.path AND c.state IN ('arriving', 'present', 'suspect')
                AND (c.package IS NOT NULL OR (c.size = w.size AND (f.location <> c.location OR f.mtime_ns = w.mtime_ns))))
   OR (w.path LIKE '%%.sha256' AND EXISTS (
        SELECT FROM physical_copy c WHERE c.location = %(location)s AND c.package IS NOT NULL AND c.path = left(w.path, -7)
          AND c.state IN ('arriving', 'present', 'suspect')));

-- name: copies_at
-- What the ledger has at these paths of the location, its own rows locked.
SELECT c.path, c.file, c.sha256, c.state::text, f.location = %(location)s AS first_here FROM physical_copy c JOIN raw_data_file f ON f.id = c.file
WHERE c.id IN (
  SELECT p.id FROM physical_copy p WHERE p.location = %(location)s AND p.path = ANY(%(paths)s) AND p.state IN ('arriving', 'present', 'suspect')
  UNION ALL
  SELECT d.id FROM physical_copy d WHERE d.location = %(location)s AND d.path = ANY(%(paths)s) AND d.state IN ('suspect', 'missing', 'corrupt'))
ORDER BY c.id FOR NO KEY UPDATE OF c;

-- name: same_elsewhere
-- A file that was adopted at another archive, with the same path and bytes: this is a copy of it.
SELECT f.id, f.path FROM raw_data_file f JOIN unnest(%(paths)s::text[], %(sums)s::text[]) w (path, sum) ON w.sum = f.sha256 AND w.path = f.path
WHERE f.handling = 'adopted' AND f.location <> %(location)s
  AND NOT EXISTS (SELECT FROM physical_copy c WHERE c.file = f.id AND c.location = %(location)s AND c.state IN ('arriving', 'present', 'suspect', 'deleting'));

-- name: ordinals
SELECT f.path, max(f.ordinal) AS ordinal, (array_agg(f.id) FILTER (WHERE f.replaced_by IS NULL))[1] AS current
FROM raw_data_file f WHERE f.location = %(location)s AND f.path = ANY(%(paths)s) GROUP BY f.path;

-- name: quarantine
INSERT INTO quarantine (location, path, reason, advice, evidence) VALUES (%(location)s, %(path)s, %(reason)s, %(advice)s, %(evidence)s)
ON CONFLICT (location, path) WHERE released IS NULL DO UPDATE SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence;

-- name: doubt
UPDATE physical_copy SET state = 'suspect' WHERE location = %(location)s AND path = ANY(%(paths)s) AND state = 'present';

-- name: copies
-- No COPY: a table with row-level security takes none from a host's user.
INSERT INTO physical_copy (id, file, location, path, state, sha256, size)
SELECT r.copy, r.file, %(location)s, r.path, 'present', r.sum, r.size
FROM unnest(%(copies)s::uuid[], %(files)s::uuid[], %(paths)s::text[], %(sums)s::text[], %(sizes)s::bigint[]) r (copy, file, path, sum, size);

-- name: readings
INSERT INTO verification (copy, began, ended, outcome, sha256, size, how, host, detail)
SELECT r.copy, r.began, r.ended, 'good', r.sum, r.size, r.how, %(host)s, 'read when it was adopted'
FROM unnest(%(copies)s::uuid[], %(sums)s::text[], %(sizes)s::bigint[],
  %(began)s::timestamptz[], %(ended)s::timestamptz[], %(hows)s::read_kind[]) r (copy, sum, size, began, ended, how);
