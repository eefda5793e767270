-- The calibrator: which files lack a calibration, and what came of those that were done.

-- name: wanted
-- A file that failed for want of a catalogue's tile is wanted again when more was loaded.
SELECT f.id || '@' || f.location AS subject, f.location AS place, f.location AS needs, 60::smallint AS priority
FROM raw_data_file f
JOIN data_location l ON l.name = f.location AND l.type = 'SOURCE' AND is_calibrated(l.settings ->> 'content', f.frame_type)
JOIN physical_copy c ON c.file = f.id AND c.location = f.location AND c.state = 'present'
CROSS JOIN LATERAL (SELECT max(k.made) AS made, bool_or(k.reason = 'no catalogue tile') AS wants_tile FROM calibration k WHERE k.file = f.id) done
WHERE f.replaced_by IS NULL
  AND (done.made IS NULL OR (done.wants_tile AND done.made < (SELECT max(g.at) FROM catalog_load g)));

-- name: facts
SELECT f.id, f.location, f.path, f.sha256, f.size, f.instrument, f.night, t.zone, to_char(t.turnover, 'HH24:MI') AS turnover, t.label,
       corrections_of(f) AS corrections
FROM raw_data_file f LEFT JOIN instrument i ON i.name = f.instrument LEFT JOIN telescope t ON t.name = i.telescope
WHERE f.id = %(about)s AND f.location = %(location)s AND f.replaced_by IS NULL
  AND EXISTS (SELECT FROM physical_copy c WHERE c.file = f.id AND c.location = f.location AND c.state = 'present')
  AND NOT EXISTS (SELECT FROM calibration k WHERE k.file = f.id
                    AND (k.reason <> 'no catalogue tile' OR k.made > coalesce((SELECT max(g.at) FROM catalog_load g), '-infinity')));

-- name: add
INSERT INTO calibration (file, source_name, source_location, sha256, part, exposure, state, reason, advice, night, instrument, middle,
  exposure_seconds, airmass, filter, band, system, unit, aperture, catalog, transformation, zero_point, zero_point_error, fit_error,
  colour, colour_reference, colour_term, colour_term_error, scatter, measured, matched, used, limiting, flags, detail)
VALUES (%(file)s, %(source_name)s, %(source_location)s, %(sha256)s, %(part)s, exposure_under_name(%(file)s, %(part)s), %(state)s, %(reason)s, %(advice)s, %(night)s, %(instrument)s, %(middle)s,
  %(exposure_seconds)s, %(airmass)s, %(filter)s, %(band)s, %(system)s, %(unit)s, %(aperture)s, %(catalog)s, %(transformation)s, %(zero_point)s,
  %(zero_point_error)s, %(fit_error)s, %(colour)s, %(colour_reference)s, %(colour_term)s, %(colour_term_error)s, %(scatter)s, %(measured)s,
  %(matched)s, %(used)s, %(limiting)s, %(flags)s, %(detail)s)
RETURNING id;

-- name: keep_table
INSERT INTO calibration_table (calibration, content) VALUES (%(calibration)s, %(content)s);

-- name: supersede
-- What earlier calibrations of the same exposure and band gave is history now: all of it, or one target's. An
-- exposure is a part of a file, whatever was said of its time; of a name that was used again, each is another. By
-- hand, a file of one exposure is the same if its bytes are. What has the same time is replaced in any case.
UPDATE reduced_datum d SET superseded = now()
FROM calibration n
WHERE n.id = %(calibration)s AND d.superseded IS NULL AND d.source_name = n.source_name AND d.source_location = n.source_location
  AND d.band = n.band AND (%(target)s::uuid IS NULL OR d.target = %(target)s)
  AND (d.time = n.middle OR EXISTS (
    SELECT FROM calibration c WHERE c.id = d.calibration AND c.part = n.part AND c.exposure = n.exposure
      AND (c.part <> '' OR c.file IS NOT NULL OR c.sha256 = n.sha256)));

-- name: datum
INSERT INTO reduced_datum (target, calibration, solution, time, mjd, bjd_tdb, band, system, magnitude, error, zero_point_error, limiting, flags, source_name, source_location)
VALUES (%(target)s, %(calibration)s, %(solution)s, %(time)s, %(mjd)s, %(bjd_tdb)s, %(band)s, %(system)s, %(magnitude)s, %(error)s, %(zero_point_error)s, %(limiting)s,
  %(flags)s, %(source_name)s, %(source_location)s);

-- name: targets
-- With their aliases; the few that there are, all of them.
SELECT t.id, t.name, t.ra, t.dec, t.radius, coalesce((SELECT array_agg(a.alias) FROM target_alias a WHERE a.target = t.id), '{}') AS aliases FROM target t;

-- name: source_of
-- The registered file with these bytes at this location.
SELECT f.id, f.location, f.path, f.instrument, f.night, t.zone, to_char(t.turnover, 'HH24:MI') AS turnover, t.label
FROM raw_data_file f LEFT JOIN instrument i ON i.name = f.instrument LEFT JOIN telescope t ON t.name = i.telescope
WHERE f.sha256 = %(sha256)s AND (%(location)s::text IS NULL OR f.location = %(location)s) ORDER BY f.replaced_by IS NULL DESC, f.registered DESC LIMIT 1;

-- name: sources
-- Files that were calibrated, of a night or with a target's magnitudes: to be run again.
SELECT DISTINCT c.file, c.source_name, c.source_location FROM calibration c
WHERE (%(night)s::date IS NULL OR c.night = %(night)s)
  AND (%(target)s::uuid IS NULL OR EXISTS (SELECT FROM reduced_datum d WHERE d.calibration = c.id AND d.target = %(target)s))
ORDER BY c.source_location, c.source_name;

-- name: listed
SELECT c.id, c.made, c.state::text AS state, c.reason, c.night, c.source_location, c.source_name, c.part, c.middle, c.filter, c.band, c.system, c.unit, c.catalog,
       c.transformation, c.zero_point, c.zero_point_error, c.fit_error, c.colour, c.colour_reference, c.colour_term, c.colour_term_error, c.scatter,
       c.used, c.matched, c.measured, c.limiting, c.flags, cur.id IS NOT NULL AS current, count(*) OVER () AS matching
FROM calibration c LEFT JOIN current_calibration cur ON cur.id = c.id
WHERE (%(night)s::date IS NULL OR c.night = %(night)s) AND (%(state)s::text IS NULL OR c.state::text = %(state)s)
  AND (%(source)s::text IS NULL OR c.source_name = %(source)s OR c.source_name LIKE '%%/' || %(source)s)
  AND (NOT %(current)s OR cur.id IS NOT NULL)
ORDER BY c.made DESC, c.id DESC LIMIT %(limit)s;

-- name: shown
SELECT c.*, c.state::text AS how, EXISTS (SELECT FROM current_calibration u WHERE u.id = c.id) AS current,
       (SELECT t.content FROM calibration_table t WHERE t.calibration = c.id) AS content,
       (SELECT count(*) FROM reduced_datum d WHERE d.calibration = c.id) AS data
FROM calibration c WHERE c.id::text LIKE '%%' || %(text)s ORDER BY c.made DESC LIMIT 2;

-- name: of_nights
-- The current calibrations of some nights with their stars, those that may be solved together side by side.
SELECT c.id, c.night, c.middle, c.source_location, c.source_name, c.instrument, c.band, c.system, c.unit, c.catalog, c.transformation, c.colour, c.limiting,
       t.content
FROM current_calibration c JOIN calibration_table t ON t.calibration = c.id
WHERE c.night = ANY(%(nights)s::date[])
ORDER BY c.night, c.source_location, c.instrument, c.band, c.unit, c.catalog, c.transformation, c.middle;

-- name: add_solution
INSERT INTO night_solution (night, source_location, instrument, field, band, system, unit, catalog, transformation, state, reason, advice, zero_point,
  zero_point_error, fit_error, at_colour_0, colour, colour_reference, colour_term, colour_term_error, exposures, stars, used, repeats, repeats_worst, flags)
VALUES (%(night)s, %(source_location)s, %(instrument)s, %(field)s, %(band)s, %(system)s, %(unit)s, %(catalog)s, %(transformation)s, %(state)s, %(reason)s,
  %(advice)s, %(zero_point)s, %(zero_point_error)s, %(fit_error)s, %(at_colour_0)s, %(colour)s, %(colour_reference)s, %(colour_term)s,
  %(colour_term_error)s, %(exposures)s, %(stars)s, %(used)s, %(repeats)s, %(repeats_worst)s, %(flags)s)
RETURNING id;

-- name: add_exposures
INSERT INTO night_exposure (solution, calibration, zero_point, error)
SELECT %(solution)s, e.calibration, e.zero_point, e.error
FROM unnest(%(calibrations)s::uuid[], %(zero_points)s::float8[], %(errors)s::float8[]) e (calibration, zero_point, error);

-- name: solutions
SELECT s.id, s.made, s.state::text AS state, s.reason, s.advice, s.night, s.source_location, s.instrument, s.field, s.band, s.system, s.unit, s.catalog,
       s.transformation, s.zero_point, s.zero_point_error, s.fit_error, s.at_colour_0, s.colour, s.colour_reference, s.colour_term, s.colour_term_error,
       s.exposures, s.stars, s.used, s.repeats, s.repeats_worst, s.flags, cur.id IS NOT NULL AS current
FROM night_solution s LEFT JOIN current_night_solution cur ON cur.id = s.id
WHERE (%(night)s::date IS NULL OR s.night = %(night)s) AND (%(solutions)s::uuid[] IS NULL OR s.id = ANY(%(solutions)s::uuid[]))
ORDER BY s.made DESC, s.id DESC LIMIT %(limit)s;

-- name: corrections
SELECT corrections_of(f) AS corrections FROM raw_data_file f WHERE f.id = %(file)s;

-- name: new_id
SELECT new_id() AS id;

-- name: calibrators_known
-- How many raw frames of a kind each night near by has, of those that are still there.
SELECT f.night, count(*)::integer AS frames FROM raw_data_file f
JOIN physical_copy c ON c.file = f.id AND c.location = f.location AND c.state = 'present'
WHERE f.location = %(location)s AND f.instrument = %(instrument)s AND f.frame_type = %(kind)s::frame_type AND f.quality <> 'bad'
  AND f.replaced_by IS NULL AND f.night BETWEEN %(first)s AND %(last)s
GROUP BY f.night;

-- name: calibrators
SELECT f.id, f.path, f.sha256, f.night, f.exposure_seconds, coalesce(f.filter, '') AS filter,
       (SELECT array_agg(h.cards ORDER BY h.hdu) FROM file_header h WHERE h.file = f.id) AS cards, corrections_of(f) AS corrections
FROM raw_data_file f
JOIN physical_copy c ON c.file = f.id AND c.location = f.location AND c.state = 'present'
WHERE f.location = %(location)s AND f.instrument = %(instrument)s AND f.frame_type = %(kind)s::frame_type AND f.quality <> 'bad'
  AND f.replaced_by IS NULL AND f.night = %(night)s
ORDER BY f.path LIMIT %(limit)s;

-- name: masters
-- Those of this configuration, the newest of each night.
SELECT DISTINCT ON (m.night) m.id, m.night, m.frames, m.considered FROM master_frame m
WHERE m.location = %(location)s AND m.instrument = %(instrument)s AND m.kind = %(kind)s::frame_type
  AND m.configuration = %(configuration)s::jsonb AND m.filter = %(filter)s AND m.night BETWEEN %(first)s AND %(last)s
ORDER BY m.night, m.made DESC, m.id DESC;

-- name: master
SELECT m.content FROM master_frame m WHERE m.id = %(id)s;

-- name: add_master
INSERT INTO master_frame (id, location, instrument, kind, configuration, filter, night, frames, considered, detail, content)
VALUES (%(id)s, %(location)s, %(instrument)s, %(kind)s::frame_type, %(configuration)s, %(filter)s, %(night)s, %(frames)s, %(considered)s, %(detail)s,
  %(content)s)
ON CONFLICT (id) DO NOTHING;

-- name: add_members
INSERT INTO master_member (master, name, sha256, file)
SELECT %(master)s, m.name, m.sha256, m.file FROM unnest(%(names)s::text[], %(sha256s)s::text[], %(files)s::uuid[]) m (name, sha256, file)
ON CONFLICT DO NOTHING;
