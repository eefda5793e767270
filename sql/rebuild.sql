-- The ledger again, out of the archives: what is lacking is added, and nothing that a row says is changed.

-- name: place
SELECT name, type::text, storage::text, site, marker::text, settings FROM data_location WHERE name = %(location)s;

-- name: awake
-- Daemons that would register or pack meanwhile.
SELECT daemon, host FROM heartbeat WHERE stopped IS NULL AND seen > now() - interval '1 minute' ORDER BY daemon, host;

-- name: known
SELECT p.id FROM raw_data_package p
WHERE p.id::text = %(package)s AND p.state = 'packed' AND p.sha256 = %(sha256)s AND p.size = %(size)s;

-- name: package
SELECT p.state::text, p.sha256 FROM raw_data_package p WHERE p.id = %(package)s FOR NO KEY UPDATE;

-- name: lacking
SELECT 'the location ' || w.name AS name FROM (SELECT %(location)s::text AS name) w WHERE NOT EXISTS (SELECT FROM data_location l WHERE l.name = w.name)
UNION ALL
SELECT 'the programme ' || w.name FROM unnest(%(programs)s::text[]) w (name) WHERE NOT EXISTS (SELECT FROM observing_program g WHERE g.name = w.name);

-- name: obs_unit
INSERT INTO obs_unit (id, site, program, name, target) VALUES (%(id)s, %(site)s, %(program)s, %(name)s, %(target)s) ON CONFLICT DO NOTHING;

-- name: observation
-- Later packages of this run may say more of it. Of one that was there before the run only its end may
-- be later: it went on since.
INSERT INTO executed_obs_unit AS u (id, site, origin, program, obs_unit, instrument, module, night, frame_type, target, began, ended, completed,
  owner, public_after, document)
VALUES (%(id)s, %(site)s, %(origin)s, %(program)s, %(obs_unit)s, %(instrument)s, %(module)s, %(night)s, %(frame_type)s, %(target)s, %(began)s,
  %(ended)s, %(completed)s, %(owner)s, %(public_after)s, %(document)s)
ON CONFLICT (id) DO UPDATE SET program = EXCLUDED.program, target = EXCLUDED.target, began = EXCLUDED.began, ended = EXCLUDED.ended,
  completed = EXCLUDED.completed, owner = EXCLUDED.owner, public_after = EXCLUDED.public_after, document = EXCLUDED.document
WHERE %(again)s RETURNING u.id;

-- name: observation_went_on
UPDATE executed_obs_unit SET ended = greatest(ended, %(ended)s), completed = coalesce(completed, %(completed)s)
WHERE id = %(id)s AND (ended, completed) IS DISTINCT FROM (greatest(ended, %(ended)s), coalesce(completed, %(completed)s));

-- name: join_observation
-- Of a file that was registered before, and packed since.
UPDATE raw_data_file SET executed_obs_unit = %(observation)s WHERE id = %(file)s AND executed_obs_unit IS NULL;

-- name: product
INSERT INTO data_product (id, site, name, location, note, by, begun, returned)
VALUES (%(id)s, %(site)s, %(name)s, %(location)s, %(note)s, %(by)s, %(returned)s, %(returned)s) ON CONFLICT DO NOTHING;

-- name: join_sources
-- As far as the raw files came.
INSERT INTO data_product_source (product, file)
SELECT DISTINCT d.id, f.id FROM unnest(%(products)s::uuid[], %(files)s::uuid[]) w (product, file)
JOIN data_product d ON d.id = w.product JOIN raw_data_file f ON f.id = w.file ON CONFLICT DO NOTHING;

-- name: appearances
SELECT f.id, f.path, f.ordinal, f.sha256, m.package FROM raw_data_file f LEFT JOIN package_member m ON m.file = f.id
WHERE f.location = %(location)s AND f.path = ANY(%(paths)s) FOR NO KEY UPDATE OF f;

-- name: replaced
UPDATE raw_data_file SET replaced_by = %(by)s WHERE id = %(id)s;

-- name: add_package
INSERT INTO raw_data_package (id, site, name, path, origin, night, instrument, module, executed_obs_unit, program, owner, public_after, state, members,
  document, planned, packed, sha256, size)
VALUES (%(id)s, %(site)s, %(name)s, %(path)s, %(origin)s, %(night)s, %(instrument)s, %(module)s, %(unit)s, %(program)s, %(owner)s, %(public_after)s,
  'packed', %(members)s, %(document)s, %(planned)s, %(planned)s, %(sha256)s, %(size)s);

-- name: filed
-- The files that observations were filed with, as far as they came: the names are their own.
INSERT INTO filed_file (executed_obs_unit, location, path)
SELECT DISTINCT f.executed_obs_unit, f.location, f.path FROM package_member m JOIN raw_data_file f ON f.id = m.file
JOIN executed_obs_unit u ON u.id = f.executed_obs_unit AND u.origin = 'filed' WHERE m.package = %(package)s ON CONFLICT DO NOTHING;

-- name: copy
INSERT INTO physical_copy (package, location, site, path, state, sha256, size)
SELECT %(package)s, %(location)s, %(site)s, %(path)s, 'present', %(sha256)s, %(size)s
WHERE NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = %(package)s AND c.location = %(location)s
                    AND c.state IN ('arriving', 'present', 'suspect', 'deleting'))
ON CONFLICT DO NOTHING RETURNING id;

-- name: join_supplements
UPDATE raw_data_package p SET supplement_of = w.first FROM unnest(%(packages)s::uuid[], %(firsts)s::uuid[]) w (package, first)
WHERE p.id = w.package AND p.supplement_of IS NULL AND EXISTS (SELECT FROM raw_data_package q WHERE q.id = w.first);

-- name: doubtful_copy
-- A package that another archive has whole: verify says what lies here, and the archiver mends it.
INSERT INTO physical_copy (package, location, site, path, state, sha256, size)
SELECT p.id, l.name, l.site, p.path, 'suspect', p.sha256, p.size FROM raw_data_package p JOIN data_location l ON l.name = %(location)s
WHERE p.path = %(path)s AND p.state = 'packed'
  AND NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = p.id AND c.location = l.name)
ON CONFLICT DO NOTHING RETURNING id;
