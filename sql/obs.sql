-- Filing: telling the database that an observation happened, and which files are its own.

-- name: program
SELECT name, owner, proprietary FROM observing_program WHERE name = %(name)s;

-- name: instrument
-- With what a night is at its telescope.
SELECT i.name, t.zone, to_char(t.turnover, 'HH24:MI') AS turnover, t.label FROM instrument i LEFT JOIN telescope t ON t.name = i.telescope WHERE i.name = %(name)s;

-- name: sources
SELECT name FROM data_location WHERE type = 'SOURCE' AND (site = %(site)s OR %(site)s::text IS NULL) ORDER BY name;

-- name: unit
-- What was planned: one row for each name of a programme.
INSERT INTO obs_unit (program, name, target) VALUES (%(program)s, %(name)s, %(target)s)
ON CONFLICT (program, name) DO UPDATE SET target = coalesce(obs_unit.target, EXCLUDED.target) RETURNING id;

-- name: file
INSERT INTO executed_obs_unit (id, origin, program, obs_unit, instrument, module, night, frame_type, target, began, ended, completed, owner, public_after, document)
VALUES (coalesce(%(id)s::uuid, new_id()), 'filed', %(program)s, %(obs_unit)s, %(instrument)s, %(module)s, %(night)s, %(frame_type)s, %(target)s,
  %(began)s, %(ended)s, CASE WHEN %(complete)s THEN now() END, %(owner)s, %(public_after)s, %(document)s)
ON CONFLICT (id) DO NOTHING RETURNING id;

-- name: add_files
INSERT INTO filed_file (executed_obs_unit, location, path) SELECT %(id)s, %(location)s, unnest(%(paths)s::text[]) ON CONFLICT DO NOTHING;

-- name: attach
-- Its files that are registered already and in no package yet.
UPDATE raw_data_file f SET executed_obs_unit = u.id, owner = coalesce(u.owner, f.owner), public_after = coalesce(u.public_after, f.public_after),
  program = coalesce(u.program, f.program)
FROM filed_file x JOIN executed_obs_unit u ON u.id = x.executed_obs_unit
WHERE u.id = %(id)s AND f.location = x.location AND f.path = x.path AND f.night = u.night AND f.handling = 'archive'
  AND f.executed_obs_unit IS DISTINCT FROM u.id AND NOT EXISTS (SELECT FROM package_member m WHERE m.file = f.id)
RETURNING f.id, f.path;

-- name: drop_empty_groups
-- Observations that were made from headers alone, and whose frames were filed now.
DELETE FROM executed_obs_unit u WHERE u.origin = 'grouped' AND u.night = %(night)s AND u.instrument = %(instrument)s
  AND NOT EXISTS (SELECT FROM raw_data_file f WHERE f.executed_obs_unit = u.id)
  AND NOT EXISTS (SELECT FROM quality_note n WHERE n.executed_obs_unit = u.id)
  AND NOT EXISTS (SELECT FROM raw_data_package p WHERE p.executed_obs_unit = u.id);

-- name: complete
UPDATE executed_obs_unit SET completed = coalesce(completed, now()), ended = coalesce(ended, %(ended)s) WHERE id = %(id)s AND origin = 'filed' RETURNING id;

-- name: one
SELECT u.id, u.origin::text, u.program, o.name AS unit, u.instrument, u.module, u.night, u.frame_type::text, u.target, u.began, u.ended, u.completed,
       u.owner, u.public_after, u.quality::text, u.document
FROM executed_obs_unit u LEFT JOIN obs_unit o ON o.id = u.obs_unit WHERE u.id = %(id)s;

-- name: files
-- What was filed, and what came; what came without being filed too.
SELECT coalesce(f.path, x.path) AS path, f.id, f.size, f.frame_type::text, m.package IS NOT NULL AS packaged, f.executed_obs_unit = %(id)s AS attached
FROM (SELECT * FROM filed_file WHERE executed_obs_unit = %(id)s) x
FULL JOIN (SELECT f.* FROM raw_data_file f JOIN executed_obs_unit u ON u.id = %(id)s AND f.night = u.night
           WHERE f.executed_obs_unit = u.id OR EXISTS (
             SELECT FROM filed_file y WHERE y.executed_obs_unit = u.id AND y.location = f.location AND y.path = f.path AND f.replaced_by IS NULL)) f
  ON f.location = x.location AND f.path = x.path
LEFT JOIN package_member m ON m.file = f.id ORDER BY 1;

-- name: listed
SELECT u.id, u.origin::text, u.program, u.instrument, u.night, u.frame_type::text, u.target, u.began, u.completed, u.quality::text,
       (SELECT count(*) FROM raw_data_file f WHERE f.executed_obs_unit = u.id) AS files,
       (SELECT count(*) FROM filed_file x WHERE x.executed_obs_unit = u.id) AS filed
FROM executed_obs_unit u WHERE (%(night)s::date IS NULL OR u.night = %(night)s) AND (%(all)s OR u.origin = 'filed')
ORDER BY u.night DESC, u.began NULLS LAST, u.id LIMIT %(limit)s;
