-- Quality: of files and observations, with its history.

-- name: of_file
WITH note AS (INSERT INTO quality_note (file, quality, note) VALUES (%(id)s, %(quality)s, %(note)s))
UPDATE raw_data_file SET quality = %(quality)s WHERE id = %(id)s;

-- name: of_observation
WITH note AS (INSERT INTO quality_note (executed_obs_unit, quality, note) VALUES (%(id)s, %(quality)s, %(note)s))
UPDATE executed_obs_unit SET quality = %(quality)s WHERE id = %(id)s;

-- name: history
-- A file's own notes, and those of its observation.
SELECT n.quality::text, n.note, n.by, n.at, n.file IS NULL AS of_observation FROM quality_note n
WHERE n.file = %(id)s OR n.executed_obs_unit = %(id)s
   OR n.executed_obs_unit = (SELECT f.executed_obs_unit FROM raw_data_file f WHERE f.id = %(id)s) ORDER BY n.at, n.id;
