-- Who may see a frame, and from when on everyone may. Each statement gives the rows that it changed.
-- A copy's bytes and a package's document stay as they are: rights are asked of these rows.

-- name: of_file
UPDATE raw_data_file SET owner = %(owner)s, public_after = coalesce(%(public_after)s, public_after) WHERE id = %(id)s RETURNING id;

-- name: of_observation
WITH unit AS (
  UPDATE executed_obs_unit SET owner = %(owner)s, public_after = coalesce(%(public_after)s, public_after) WHERE id = %(id)s)
UPDATE raw_data_file SET owner = %(owner)s, public_after = coalesce(%(public_after)s, public_after)
WHERE executed_obs_unit = %(id)s RETURNING id;

-- name: of_night
WITH units AS (
  UPDATE executed_obs_unit SET owner = %(owner)s, public_after = coalesce(%(public_after)s, public_after) WHERE night = %(night)s)
UPDATE raw_data_file SET owner = %(owner)s, public_after = coalesce(%(public_after)s, public_after)
WHERE night = %(night)s RETURNING id;

-- name: tell
INSERT INTO event (what, subject, detail) SELECT 'owner changed', unnest(%(files)s::uuid[])::text, %(detail)s;
