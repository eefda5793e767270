-- Targets and their magnitudes.

-- name: add
INSERT INTO target (name, ra, dec, radius) VALUES (%(name)s, %(ra)s, %(dec)s, %(radius)s) ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: alias
INSERT INTO target_alias (alias, target) SELECT lower(replace(%(alias)s, ' ', '')), %(target)s ON CONFLICT (alias) DO NOTHING RETURNING alias;

-- name: find
SELECT t.id, t.name, t.ra, t.dec FROM target t WHERE t.name = %(text)s
   OR EXISTS (SELECT FROM target_alias a WHERE a.target = t.id AND a.alias = lower(replace(%(text)s, ' ', '')));

-- name: listed
SELECT t.name, t.ra, t.dec, t.radius, coalesce((SELECT array_agg(a.alias ORDER BY a.alias) FROM target_alias a WHERE a.target = t.id), '{}') AS aliases,
       count(d.id) AS data, max(d.time) AS newest
FROM target t LEFT JOIN reduced_datum d ON d.target = t.id AND d.superseded IS NULL GROUP BY t.id ORDER BY t.name;

-- name: light_curve
SELECT d.time, d.mjd, d.bjd_tdb, d.band, d.system, d.magnitude, d.error, d.zero_point_error, d.limiting, d.flags, d.source_name, d.source_location,
       c.catalog, c.transformation, d.calibration
FROM reduced_datum d JOIN calibration c ON c.id = d.calibration
WHERE d.target = %(target)s AND d.superseded IS NULL AND (%(band)s::text IS NULL OR d.band = %(band)s) ORDER BY d.time, d.band;
