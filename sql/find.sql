-- 'nf find': files by what their headers and the ledger say.

-- name: files
-- Newest night first. Whether a file is safe is asked for what is listed alone, but for the states that
-- are about it: then of everything that the other words leave.
WITH c AS MATERIALIZED (
  SELECT f.id, f.night, f.path, f.exposure_start, count(*) OVER () AS matching
  FROM raw_data_file f LEFT JOIN lost_file l ON l.file = f.id
  WHERE (%(night)s::date IS NULL OR f.night = %(night)s)
    AND (%(instrument)s::text IS NULL OR f.instrument = %(instrument)s)
    AND (%(object)s::text IS NULL OR lower(f.object) LIKE lower(%(object)s))
    AND (%(type)s::text IS NULL OR f.frame_type::text = %(type)s)
    AND (%(program)s::text IS NULL OR f.program = %(program)s)
    AND (%(product)s::text IS NULL OR f.product IN (SELECT d.id FROM data_product d WHERE d.name = %(product)s))
    AND (%(made_from)s::uuid IS NULL OR f.product IN (SELECT s.product FROM data_product_source s WHERE s.file = %(made_from)s))
    AND (%(path)s::text IS NULL OR f.path LIKE %(path)s OR f.path LIKE '%%/' || %(path)s)
    AND (f.handling = 'canary') = (coalesce(%(state)s::text, '') = 'canary')
    AND CASE %(state)s::text
          WHEN 'lost' THEN l.file IS NOT NULL AND l.accepted IS NULL
          WHEN 'ephemeral' THEN f.handling = 'ephemeral' WHEN 'adopted' THEN f.handling = 'adopted'
          WHEN 'by-arrival' THEN f.night_from = 'arrival' WHEN 'clock-doubtful' THEN f.clock = 'doubtful'
          WHEN 'no-header' THEN f.header = 'none' WHEN 'broken-header' THEN f.header = 'broken'
          WHEN 'replaced' THEN f.replaced_by IS NOT NULL
          WHEN 'unsafe' THEN f.handling <> 'ephemeral' AND l.accepted IS NULL
          ELSE true END
  ORDER BY f.night DESC, f.exposure_start, f.path
  LIMIT CASE WHEN %(state)s::text IN ('safe', 'unsafe') THEN NULL ELSE %(limit)s::bigint END),
found AS (
  SELECT c.id, c.matching, a.safe, a.reason FROM c JOIN file_answers((SELECT array_agg(id) FROM c)) a ON a.file = c.id
  WHERE CASE %(state)s::text WHEN 'safe' THEN a.safe WHEN 'unsafe' THEN NOT a.safe ELSE true END)
SELECT f.id, f.night, f.location, f.path, f.ordinal, f.instrument, f.frame_type::text, f.object, f.filter, f.exposure_start, f.exposure_seconds,
       f.program, f.size, f.sha256, f.header::text, f.quality::text, x.safe, x.reason,
       d.name AS product, (SELECT count(*) FROM data_product_source s WHERE s.product = d.id) AS made_from,
       CASE WHEN %(state)s::text IN ('safe', 'unsafe') THEN count(*) OVER () ELSE x.matching END AS matching
FROM found x JOIN raw_data_file f ON f.id = x.id LEFT JOIN data_product d ON d.id = f.product
ORDER BY f.night DESC, f.exposure_start, f.path, f.ordinal LIMIT %(limit)s;
