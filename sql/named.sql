-- Things by the names that a person types.

-- name: file_with_id
SELECT f.id, f.location, f.path, f.ordinal, f.night, f.instrument, f.registered, f.replaced_by IS NULL AS current
FROM raw_data_file f WHERE f.id = %(id)s::uuid;

-- name: files
-- By the last part of the path, which is indexed; then by as much of it as was typed. The newest first.
SELECT f.id, f.location, f.path, f.ordinal, f.night, f.instrument, f.registered, f.replaced_by IS NULL AS current
FROM raw_data_file f
WHERE substring(f.path FROM '[^/]*$') = %(last)s AND right('/' || f.path, length(%(text)s) + 1) = '/' || %(text)s
  AND (%(night)s::date IS NULL OR f.night = %(night)s) AND (%(location)s::text IS NULL OR f.location = %(location)s)
ORDER BY f.path <> %(text)s, f.night DESC, f.path, f.ordinal DESC LIMIT 200;

-- name: packages
SELECT p.id, p.name, p.night FROM raw_data_package p
WHERE p.id::text = %(text)s OR p.name = %(text)s OR p.path = %(text)s OR p.path LIKE '%%/' || %(pattern)s LIMIT 20;

-- name: observations
SELECT u.id, u.night, u.instrument, u.target FROM executed_obs_unit u WHERE u.id::text LIKE '%%' || %(pattern)s LIMIT 20;

-- name: subjects
-- What the ids of jobs and blocked work stand for.
SELECT p.id, p.name AS called FROM raw_data_package p WHERE p.id = ANY(%(ids)s::uuid[])
UNION ALL SELECT f.id, f.path FROM raw_data_file f WHERE f.id = ANY(%(ids)s::uuid[])
UNION ALL SELECT c.id, coalesce(p.name, c.path) FROM physical_copy c LEFT JOIN raw_data_package p ON p.id = c.package WHERE c.id = ANY(%(ids)s::uuid[])
UNION ALL SELECT b.id, 'bundle of ' || (SELECT count(*) FROM data_transfer_member m WHERE m.bundle = b.id) || ' over ' || b.route
  FROM data_transfer_package b WHERE b.id = ANY(%(ids)s::uuid[])
UNION ALL SELECT d.id, coalesce(p.name, f.path) FROM deletion d LEFT JOIN raw_data_package p ON p.id = d.package
  LEFT JOIN raw_data_file f ON f.id = d.file WHERE d.id = ANY(%(ids)s::uuid[]);
