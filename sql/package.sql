-- The packager: which files are ready to be a package, and what packing one needs to know.

-- name: wanted
-- Planned or packed, and no living copy anywhere: its bytes have to be made (again).
SELECT p.id || '@' || b.name AS subject, p.origin AS place, b.name AS needs, p.priority
FROM raw_data_package p
JOIN data_location o ON o.name = p.origin
CROSS JOIN LATERAL (SELECT l.name FROM data_location l WHERE l.site = o.site AND l.type = 'BUFFER' AND l.active
                    ORDER BY l.priority, l.name LIMIT 1) b
WHERE p.state <> 'dissolved' AND o.type IN ('SOURCE', 'BUFFER')  -- BUFFER: of a data product
  AND NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = p.id AND c.state IN ('arriving', 'present', 'suspect', 'deleting'))
  AND NOT EXISTS (SELECT FROM canary_trip k JOIN package_member m ON m.file = k.file WHERE m.package = p.id AND k.over);

-- name: facts
SELECT p.id, p.name, p.path, p.origin, p.document, p.sha256, p.size,
       (SELECT sum(f.size) FROM package_member m JOIN raw_data_file f ON f.id = m.file WHERE m.package = p.id) AS bytes
FROM raw_data_package p WHERE p.id = %(about)s AND p.state <> 'dissolved'
  AND NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = p.id AND c.state IN ('arriving', 'present', 'suspect', 'deleting'));

-- name: groups
-- Files in no package yet, gathered as they will be packed: with their observation and module, or
-- with all that nobody filed of an instrument and night. A group is closed when its observation was
-- declared complete, or when nothing came for the quiet time; an open one gives what fills a package. A
-- canary is a group of its own, and closed.
SELECT f.location, f.night, f.instrument, CASE WHEN u.origin = 'filed' THEN f.module ELSE '' END AS module,
       CASE WHEN u.origin = 'filed' THEN u.id END AS unit, CASE WHEN u.origin = 'filed' THEN u.program ELSE f.program END AS program,
       f.product, CASE WHEN f.handling = 'canary' THEN f.id END AS canary,
       count(*) AS files, sum(f.size) AS bytes, max(f.registered) AS newest,
       u.completed IS NOT NULL OR f.product IS NOT NULL OR bool_or(f.handling = 'canary')
         OR max(f.registered) <= now() - (SELECT group_quiet FROM policy) AS closed
FROM raw_data_file f LEFT JOIN executed_obs_unit u ON u.id = f.executed_obs_unit
WHERE f.handling IN ('archive', 'canary') AND NOT f.in_package
  AND NOT EXISTS (SELECT FROM canary_trip k WHERE k.file = f.id AND k.over)
  AND NOT EXISTS (SELECT FROM quarantine q WHERE q.location = f.location AND q.path = f.path AND q.released IS NULL)
  AND EXISTS (SELECT FROM physical_copy c WHERE c.file = f.id AND c.location = f.location AND c.state = 'present')
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, u.completed
HAVING u.completed IS NOT NULL OR bool_or(f.handling = 'canary')
    OR f.product IS NOT NULL AND count(*) = (SELECT count(*) FROM raw_data_file o WHERE o.product = f.product AND NOT o.in_package)
    OR max(f.registered) <= now() - (SELECT group_quiet FROM policy)
    OR sum(f.size) >= (SELECT package_size FROM policy)
ORDER BY 2, 1, 3;

-- name: members
SELECT f.id, f.path, f.sha256, f.size, f.mtime_ns, f.header::text, f.defects, f.night, f.night_from::text, f.clock::text, f.module, f.frame_type::text,
       f.object, f.program, f.exposure_start, f.exposure_seconds, f.filter, f.ra, f.dec, f.airmass, f.counter, f.exposure_key, f.attributes,
       f.site, f.owner, f.public_after, f.executed_obs_unit, f.ordinal, f.relation::text, f.registered,
       (SELECT coalesce(json_agg(h.cards ORDER BY h.hdu), '[]') FROM file_header h WHERE h.file = f.id) AS headers
FROM raw_data_file f LEFT JOIN executed_obs_unit u ON u.id = f.executed_obs_unit
WHERE f.handling IN ('archive', 'canary') AND NOT f.in_package
  AND (CASE WHEN f.handling = 'canary' THEN f.id END) IS NOT DISTINCT FROM %(canary)s
  AND NOT EXISTS (SELECT FROM quarantine q WHERE q.location = f.location AND q.path = f.path AND q.released IS NULL)
  AND f.location = %(location)s AND f.night = %(night)s AND f.instrument = %(instrument)s
  AND (CASE WHEN u.origin = 'filed' THEN f.module ELSE '' END) = %(module)s
  AND (CASE WHEN u.origin = 'filed' THEN u.id END) IS NOT DISTINCT FROM %(unit)s
  AND (CASE WHEN u.origin = 'filed' THEN u.program ELSE f.program END) IS NOT DISTINCT FROM %(program)s
  AND f.product IS NOT DISTINCT FROM %(product)s
  AND EXISTS (SELECT FROM physical_copy c WHERE c.file = f.id AND c.location = f.location AND c.state = 'present')
ORDER BY f.exposure_start NULLS FIRST, f.path, f.ordinal LIMIT %(most)s;

-- name: earlier
-- The first package of the same group: what comes later supplements it.
SELECT p.id FROM raw_data_package p WHERE p.origin = %(location)s AND p.night = %(night)s AND p.instrument = %(instrument)s
  AND p.module = %(module)s AND p.executed_obs_unit IS NOT DISTINCT FROM %(unit)s AND p.program IS NOT DISTINCT FROM %(program)s
  AND p.state <> 'dissolved'
  AND (%(product)s::uuid IS NULL OR EXISTS (SELECT FROM package_member m JOIN raw_data_file f ON f.id = m.file AND f.product = %(product)s WHERE m.package = p.id))
ORDER BY p.planned, p.id LIMIT 1;

-- name: unit
SELECT u.id, u.site, u.program, u.instrument, u.night, u.target, u.began, u.ended, u.owner, u.public_after, u.completed, u.origin::text, u.document,
       u.frame_type::text, u.module, CASE WHEN o.id IS NOT NULL THEN to_jsonb(o) END AS obs_unit
FROM executed_obs_unit u LEFT JOIN obs_unit o ON o.id = u.obs_unit WHERE u.id = ANY(%(ids)s) ORDER BY u.id;

-- name: product
-- A data product, and what it was made from, as its package tells it for ever.
SELECT json_build_object('id', d.id, 'name', d.name, 'note', d.note, 'by', d.by, 'returned', d.returned, 'sources',
  (SELECT json_agg(json_build_object('id', f.id, 'path', f.path, 'night', f.night, 'sha256', f.sha256) ORDER BY f.id)
   FROM data_product_source s JOIN raw_data_file f ON f.id = s.file WHERE s.product = d.id)) AS told
FROM data_product d WHERE d.id = %(product)s;

-- name: plan
INSERT INTO raw_data_package (id, name, path, origin, night, instrument, module, executed_obs_unit, program, owner, public_after,
  supplement_of, members, document)
VALUES (%(id)s, %(name)s, %(path)s, %(origin)s, %(night)s, %(instrument)s, %(module)s, %(unit)s, %(program)s, %(owner)s, %(public_after)s,
  %(supplement_of)s, %(members)s, %(document)s);

-- name: add_members
INSERT INTO package_member (package, file, data_offset)
SELECT %(package)s, u.file, u.data_offset FROM unnest(%(files)s::uuid[], %(offsets)s::bigint[]) u (file, data_offset);

-- name: packed
-- The same package gives the same bytes: what was packed once is never another.
UPDATE raw_data_package SET state = 'packed', packed = coalesce(packed, now()), sha256 = %(sha256)s, size = %(size)s
WHERE id = %(id)s AND state <> 'dissolved' AND (sha256 IS NULL OR (sha256 = %(sha256)s AND size = %(size)s)) RETURNING id;

-- name: arriving
INSERT INTO physical_copy (package, location, path, temporary, state, sha256, size)
VALUES (%(package)s, %(location)s, %(path)s, %(temporary)s, 'arriving', %(sha256)s, %(size)s)
ON CONFLICT DO NOTHING RETURNING id;

-- name: doubt_member
-- Not the file that was registered: the next sweep reads it again, and says what it is.
UPDATE physical_copy c SET state = 'suspect' FROM package_member m JOIN raw_data_file f ON f.id = m.file
WHERE m.package = %(id)s AND f.path = %(path)s AND c.file = f.id AND c.location = f.location AND c.state = 'present';

-- name: dissolve
-- A member changed before it was ever packed: the others are grouped anew.
WITH gone AS (
  UPDATE raw_data_package SET state = 'dissolved', dissolved_because = %(why)s WHERE id = %(id)s AND state = 'planned' RETURNING id)
DELETE FROM package_member m USING gone WHERE m.package = gone.id;

-- name: unfiled
-- Frames of a group that belong to no observation yet, in the order that they were taken.
SELECT f.id, f.night, f.instrument, f.module, f.frame_type::text, f.object, f.exposure_start, f.exposure_seconds
FROM raw_data_file f WHERE f.executed_obs_unit IS NULL AND f.handling = 'archive'
  AND f.location = %(location)s AND f.night = %(night)s AND f.instrument = %(instrument)s
ORDER BY f.exposure_start NULLS FIRST, f.path;

-- name: last_unit
SELECT u.id, u.frame_type::text, u.target FROM executed_obs_unit u
WHERE u.origin = 'grouped' AND u.night = %(night)s AND u.instrument = %(instrument)s ORDER BY u.began DESC NULLS LAST, u.id DESC LIMIT 1;

-- name: make_unit
INSERT INTO executed_obs_unit (origin, instrument, module, night, frame_type, target, began, ended)
VALUES ('grouped', %(instrument)s, %(module)s, %(night)s, %(frame_type)s, %(target)s, %(began)s, %(ended)s) RETURNING id;

-- name: join_unit
WITH joined AS (UPDATE raw_data_file SET executed_obs_unit = %(unit)s WHERE id = ANY(%(files)s) RETURNING exposure_start, exposure_seconds)
UPDATE executed_obs_unit u SET ended = greatest(u.ended, j.ended) FROM (
  SELECT max(exposure_start + make_interval(secs => coalesce(exposure_seconds, 0))) AS ended FROM joined) j
WHERE u.id = %(unit)s;

-- name: unpackable
-- It is registered, and can't be packed as it is: a person decides.
INSERT INTO quarantine (location, path, reason, advice)
SELECT f.location, f.path, %(reason)s, 'rename it at its source; then nf quarantine release --ignore, and nf lost accept'
FROM raw_data_file f WHERE f.id = %(file)s ON CONFLICT DO NOTHING;

-- name: policy
SELECT package_size FROM policy;

-- name: new
-- A package's id, when and where it is planned, and the buffer that it will be packed into.
SELECT new_id() AS id, now() AS now, o.site, (SELECT l.name FROM data_location l WHERE l.site = o.site AND l.type = 'BUFFER' AND l.active
  ORDER BY l.priority, l.name LIMIT 1) AS buffer
FROM data_location o WHERE o.name = %(location)s;
