-- 'nf return': results as a data product, and what they were made from.

-- name: buffers
-- Of those that are mounted here, where something can be put down; this site's first.
SELECT l.name, l.marker::text, coalesce(l.settings -> 'store', '{}') AS store, l.settings -> 'reserve' AS reserve
FROM data_location l WHERE l.name = ANY(%(mounted)s) AND l.type = 'BUFFER' AND l.storage = 'posix' AND l.active
ORDER BY l.site <> this_site(), l.priority, l.name;

-- name: of_staging
-- All files of the packages that a request asked for.
SELECT m.file AS id FROM staging_member s JOIN staged_package p ON p.id = s.staged JOIN package_member m ON m.package = p.package
WHERE s.staging = %(staging)s;

-- name: of_package
SELECT m.file AS id FROM package_member m WHERE m.package = %(package)s;

-- name: of_observation
SELECT f.id FROM raw_data_file f WHERE f.executed_obs_unit = %(observation)s;

-- name: sources
SELECT f.id, f.night, f.instrument, f.program, f.owner, f.public_after FROM raw_data_file f WHERE f.id = ANY(%(files)s);

-- name: taken
SELECT p.name, p.by, p.returned FROM data_product p WHERE p.name = %(name)s AND p.returned IS NOT NULL;

-- name: forget
-- What was begun and never handed in: its temporary files are swept by now.
DELETE FROM data_product WHERE returned IS NULL AND begun < now() - interval '2 days';

-- name: begin
INSERT INTO data_product (name, location, note, staging) VALUES (%(name)s, %(location)s, %(note)s, %(staging)s) RETURNING id;

-- name: put_down
-- The files are its own, and as closed as what they were made from.
UPDATE raw_data_file SET product = %(product)s, owner = %(owner)s, public_after = %(public_after)s WHERE id = ANY(%(files)s);

-- name: arriving
INSERT INTO physical_copy (file, location, path, temporary, state, sha256, size)
SELECT f.id, f.location, f.path, w.temporary, 'arriving', f.sha256, f.size
FROM unnest(%(files)s::uuid[], %(temporaries)s::text[]) w (file, temporary) JOIN raw_data_file f ON f.id = w.file RETURNING id, location;

-- name: made_from
INSERT INTO data_product_source (product, file) SELECT %(product)s, unnest(%(files)s::uuid[]);

-- name: returned
UPDATE data_product SET returned = now() WHERE id = %(product)s AND returned IS NULL RETURNING returned;

-- name: give_up
DELETE FROM data_product WHERE id = %(product)s AND returned IS NULL;
