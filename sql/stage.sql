-- Staging: what is asked for, what has to be unpacked, and what may go again.

-- name: wanted
-- What is open at a moment may still be in use when its time is over: it is looked at again later.
SELECT s.id || '@' || s.location AS subject, s.location AS place, s.location AS needs, 90 AS priority FROM staged_package s
WHERE s.state = 'wanted' OR (s.state = 'leaving' AND (s.detail = '' OR s.changed < now() - interval '10 minutes'))
UNION ALL
SELECT g.id || '@' || g.location, g.location, g.location, 90 FROM staging g
WHERE (g.state = 'open' AND NOT EXISTS (SELECT FROM staging_member m JOIN staged_package s ON s.id = m.staged WHERE m.staging = g.id AND s.state <> 'ready'))
   OR (g.state = 'ended' AND (g.outcome IN ('expired', 'given back') OR g.changed < now() - interval '10 minutes'));

-- name: facts
SELECT s.id, CASE s.state WHEN 'wanted' THEN 'unpack' ELSE 'remove' END AS work, s.path, p.id AS package, p.name, p.size, '' AS command, NULL AS manifest,
       ARRAY(SELECT host FROM location_state WHERE location = s.location ORDER BY 1) AS hosts,
       (SELECT coalesce(json_agg(json_build_object('copy', c.id, 'location', c.location, 'path', c.path,
          'hosts', ARRAY(SELECT host FROM location_state WHERE location = c.location ORDER BY 1)) ORDER BY l.site <> here.site, l.type, l.priority, l.name), '[]')
        FROM physical_copy c JOIN data_location l ON l.name = c.location JOIN data_location here ON here.name = s.location
        WHERE c.package = p.id AND c.state = 'present') AS sources,
       (SELECT json_agg(f.sha256 ORDER BY f.sha256) FROM package_member m JOIN raw_data_file f ON f.id = m.file WHERE m.package = p.id) AS sums
FROM staged_package s JOIN raw_data_package p ON p.id = s.package
WHERE s.id = %(about)s AND s.location = %(location)s AND s.state IN ('wanted', 'leaving')
UNION ALL
SELECT g.id, CASE g.state WHEN 'open' THEN 'conclude' ELSE 'forget' END, 'requests/' || g.id, NULL, g.asked, 0, g.command,
       json_build_object('request', g.id, 'asked', g.asked, 'by', g.by, 'created', g.created, 'packages',
         (SELECT json_agg(json_build_object('package', p.id, 'name', p.name, 'path', s.path, 'night', p.night, 'instrument', p.instrument, 'files',
            (SELECT json_agg(json_build_object('path', f.path, 'size', f.size, 'sha256', f.sha256) ORDER BY f.path)
             FROM package_member pm JOIN raw_data_file f ON f.id = pm.file WHERE pm.package = p.id)) ORDER BY p.name)
          FROM staging_member m JOIN staged_package s ON s.id = m.staged JOIN raw_data_package p ON p.id = s.package WHERE m.staging = g.id)), '{}', '[]', NULL
FROM staging g WHERE g.id = %(about)s AND g.location = %(location)s AND g.state IN ('open', 'ended');

-- name: staged_is
UPDATE staged_package SET state = %(state)s::staged_state, detail = %(detail)s, changed = now() WHERE id = %(id)s AND state IN ('wanted', 'leaving') RETURNING id;

-- name: staging_is
UPDATE staging SET state = %(state)s::staging_state, outcome = %(outcome)s, changed = now() WHERE id = %(id)s AND state IN ('open', 'ended') RETURNING id;

-- name: expire
UPDATE staging SET state = 'ended', outcome = 'expired', changed = now() WHERE state IN ('open', 'ready') AND expires < now();

-- name: let_go
-- What no request asks for any more.
UPDATE staged_package s SET state = 'leaving', detail = '', changed = now() WHERE s.state IN ('wanted', 'ready') AND NOT EXISTS (
  SELECT FROM staging_member m JOIN staging g ON g.id = m.staging WHERE m.staged = s.id AND g.state IN ('open', 'ready'));

-- name: place
-- Locked, so that two requests do not reserve the same room.
SELECT l.name, l.type::text, l.active, (l.settings ->> 'quota')::bigint AS quota,
       ARRAY(SELECT host FROM location_state WHERE location = l.name ORDER BY 1) AS hosts,
       (SELECT s.free_bytes FROM location_state s WHERE s.location = l.name AND s.state = 'available' ORDER BY s.checked DESC LIMIT 1) AS free,
       (SELECT coalesce(sum(p.size), 0)::bigint FROM staged_package p WHERE p.location = l.name AND p.state <> 'gone') AS reserved,
       (SELECT coalesce(sum(p.size), 0)::bigint FROM staged_package p WHERE p.location = l.name AND p.state = 'wanted') AS coming
FROM data_location l WHERE l.name = %(location)s FOR UPDATE OF l;

-- name: places
SELECT name FROM data_location WHERE type = 'PROCESSING' AND active ORDER BY priority, name;

-- name: packages
-- Packages by what a person says of them; who owns what of them is not public yet ('' = nobody knows), by the rows of
-- their files; where anything is left to read, and whether no known host has that and the location both.
SELECT p.id, p.name, p.size, t.copies, t.closed, t.public_after,
       cardinality(t.copies) > 0 AND cardinality(t.here) > 0 AND NOT t.together AS apart,
       (SELECT s.id FROM staged_package s WHERE s.package = p.id AND s.location = %(location)s AND s.state IN ('wanted', 'ready')) AS staged
FROM raw_data_package p CROSS JOIN LATERAL (
  SELECT ARRAY(SELECT host FROM location_state WHERE location = %(location)s) AS here,
         ARRAY(SELECT json_build_object('location', c.location, 'hosts', ARRAY(SELECT host FROM location_state WHERE location = c.location ORDER BY 1))
               FROM physical_copy c WHERE c.package = p.id AND c.state = 'present' ORDER BY c.location) AS copies,
         EXISTS (SELECT FROM physical_copy c JOIN location_state there ON there.location = c.location JOIN location_state here ON here.host = there.host
                 WHERE c.package = p.id AND c.state = 'present' AND here.location = %(location)s) AS together,
         ARRAY(SELECT DISTINCT coalesce(f.owner, '') FROM package_member m JOIN raw_data_file f ON f.id = m.file
               WHERE m.package = p.id AND coalesce(f.public_after > now(), true) ORDER BY 1) AS closed,
         (SELECT max(f.public_after) FROM package_member m JOIN raw_data_file f ON f.id = m.file
          WHERE m.package = p.id HAVING bool_and(f.public_after IS NOT NULL)) AS public_after) t
WHERE p.state = 'packed' AND p.instrument <> 'nightferry-canary'
  AND (%(night)s::date IS NULL OR p.night = %(night)s)
  AND (%(instrument)s::text IS NULL OR p.instrument = %(instrument)s)
  AND (%(package)s::text IS NULL OR p.name = %(package)s OR p.id::text = %(package)s)
  -- What was made from raw files comes where its package is named.
  AND (%(package)s::text IS NOT NULL OR NOT EXISTS (SELECT FROM package_member m JOIN raw_data_file f ON f.id = m.file WHERE m.package = p.id AND f.product IS NOT NULL))
  AND (%(observation)s::text IS NULL OR EXISTS (SELECT FROM package_member m JOIN raw_data_file f ON f.id = m.file
        WHERE m.package = p.id AND right(f.executed_obs_unit::text, length(%(observation)s)) = lower(%(observation)s)))
  AND (%(target)s::text IS NULL OR EXISTS (SELECT FROM package_member m JOIN raw_data_file f ON f.id = m.file
        LEFT JOIN executed_obs_unit u ON u.id = f.executed_obs_unit
        WHERE m.package = p.id AND lower(%(target)s) IN (lower(f.object), lower(u.target))))
ORDER BY p.night, p.name;

-- name: request
INSERT INTO staging (location, asked, override, command, expires)
VALUES (%(location)s, %(asked)s, %(override)s, %(command)s, now() + %(days)s) RETURNING id, expires;

-- name: reserve
INSERT INTO staged_package (package, location, path, size)
SELECT p.id, %(location)s, 'staged/' || p.name || CASE WHEN EXISTS (
    SELECT FROM staged_package s WHERE s.location = %(location)s AND s.path = 'staged/' || p.name AND s.state = 'leaving')
  THEN '-' || right(new_id()::text, 8) ELSE '' END, p.size
FROM raw_data_package p WHERE p.id = %(package)s RETURNING id;

-- name: join
INSERT INTO staging_member (staging, staged) VALUES (%(staging)s, %(staged)s);

-- name: listed
SELECT g.id, g.location, g.asked, g.by, g.command, g.created, g.expires, g.state::text, g.outcome,
       count(m.staged) AS packages, count(m.staged) FILTER (WHERE s.state = 'ready') AS ready, coalesce(sum(s.size), 0)::bigint AS size
FROM staging g LEFT JOIN staging_member m ON m.staging = g.id LEFT JOIN staged_package s ON s.id = m.staged
WHERE g.state <> 'gone' GROUP BY g.id ORDER BY g.created, g.id;

-- name: extend
UPDATE staging SET expires = greatest(expires, now()) + %(days)s, changed = now() WHERE id = %(id)s AND state IN ('open', 'ready') RETURNING expires;

-- name: give_back
UPDATE staging SET state = 'ended', outcome = 'given back', changed = now() WHERE id = %(id)s AND state IN ('open', 'ready') RETURNING id;
