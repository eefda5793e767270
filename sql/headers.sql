-- Whole headers, their corrections, and the columns that are derived from them.

-- name: chunk
-- The next files of those that are meant, with all that their columns are derived from. A correction of
-- a night comes before one of the file itself, and the newest of a keyword counts. A data product's files
-- are not judged by the headers that they took over.
SELECT f.id, f.location, f.path, f.sha256, f.size, f.header::text, f.defects, f.night, f.registered, f.handling::text, f.mtime_ns,
       (SELECT coalesce(json_agg(h.cards ORDER BY h.hdu), '[]') FROM file_header h WHERE h.file = f.id) AS headers,
       (SELECT coalesce(json_agg(json_build_array(c.keyword, c.value) ORDER BY c.file IS NOT NULL, c.at), '[]') FROM header_correction c
        WHERE c.withdrawn IS NULL AND (c.file = f.id OR (c.night = f.night AND (c.instrument IS NULL OR c.instrument = f.instrument)))) AS corrections
FROM raw_data_file f
WHERE f.id > %(after)s::uuid AND f.product IS NULL AND (%(file)s::uuid IS NULL OR f.id = %(file)s::uuid)
  AND (%(night)s::date IS NULL OR f.night = %(night)s) AND (%(instrument)s::text IS NULL OR f.instrument = %(instrument)s)
ORDER BY f.id LIMIT %(most)s;

-- name: rederive
-- Meaning only: ids, bytes, paths and nights stay as they were registered.
UPDATE raw_data_file f SET defects = r.defects, clock = r.clock::clock_state, instrument = r.instrument, module = r.module,
  frame_type = r.frame_type::frame_type, object = r.object, program = r.program, exposure_start = r.exposure_start,
  exposure_seconds = r.exposure_seconds, filter = r.filter, ra = r.ra, dec = r.dec, airmass = r.airmass, counter = r.counter,
  exposure_key = r.exposure_key, attributes = r.attributes
FROM jsonb_to_recordset(%(rows)s) AS r (id uuid, defects text[], clock text, instrument text, module text, frame_type text, object text,
  program text, exposure_start timestamptz, exposure_seconds double precision, filter text, ra double precision, dec double precision,
  airmass double precision, counter bigint, exposure_key text, attributes jsonb)
WHERE f.id = r.id AND (f.defects, f.clock::text, f.instrument, f.module, f.frame_type::text, f.object, f.program, f.exposure_start,
    f.exposure_seconds, f.filter, f.ra, f.dec, f.airmass, f.counter, f.exposure_key, f.attributes)
  IS DISTINCT FROM (r.defects, r.clock, r.instrument, r.module, r.frame_type, r.object, r.program, r.exposure_start,
    r.exposure_seconds, r.filter, r.ra, r.dec, r.airmass, r.counter, r.exposure_key, r.attributes)
RETURNING f.id;

-- name: told
INSERT INTO event (what, subject) SELECT 'columns derived again', unnest(%(files)s::uuid[])::text;

-- name: correct
INSERT INTO header_correction (file, instrument, night, keyword, value, why)
VALUES (%(file)s, %(instrument)s, %(night)s, %(keyword)s, %(value)s, %(why)s) RETURNING id;

-- name: of_file
SELECT h.hdu, h.cards FROM file_header h WHERE h.file = %(file)s ORDER BY h.hdu;

-- name: corrections_of
SELECT c.id AS correction, c.keyword, c.value, c.by, c.at, c.why, c.night IS NOT NULL AS of_night FROM header_correction c JOIN raw_data_file f ON f.id = %(file)s
WHERE c.withdrawn IS NULL AND (c.file = f.id OR (c.night = f.night AND (c.instrument IS NULL OR c.instrument = f.instrument)))
ORDER BY c.file IS NOT NULL, c.at;

-- name: standing
SELECT c.id, c.file, c.night, c.instrument, c.keyword, c.why, f.path, f.night AS file_night
FROM header_correction c LEFT JOIN raw_data_file f ON f.id = c.file WHERE c.withdrawn IS NULL ORDER BY c.at, c.id;

-- name: withdraw
UPDATE header_correction SET withdrawn = now() WHERE id = %(id)s AND withdrawn IS NULL RETURNING id;

-- name: place
SELECT type::text, settings FROM data_location WHERE name = %(location)s;
