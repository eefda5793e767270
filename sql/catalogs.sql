-- Catalogues of stars: what is complete, the stars of a cone, loading.

-- name: register
-- Locks it: one load of a catalogue at a time.
INSERT INTO catalog (name, columns) VALUES (%(name)s, %(columns)s)
ON CONFLICT (name) DO UPDATE SET columns = EXCLUDED.columns WHERE catalog.columns = EXCLUDED.columns OR catalog.stars = 0
RETURNING number, stars;

-- name: empty_tiles
DELETE FROM catalog_star s USING unnest(%(low)s::bigint[], %(high)s::bigint[]) r (low, high)
WHERE s.catalog = %(number)s AND s.hpx >= r.low AND s.hpx < r.high;

-- name: empty_names
DELETE FROM catalog_star s WHERE s.catalog = %(number)s AND rtrim(s.name) = ANY(%(names)s::text[]);

-- name: copy
COPY catalog_star (catalog, hpx, star, ra, dec, numbers, name) FROM STDIN WITH (FORMAT binary);

-- name: loaded
WITH load AS (
  INSERT INTO catalog_load (catalog, source, stars, covered) VALUES (%(name)s, %(source)s, %(stars)s, %(covered)s::int8multirange))
UPDATE catalog c SET covered = c.covered + %(covered)s::int8multirange, loaded = now(),
  stars = (SELECT count(*) FROM catalog_star s WHERE s.catalog = c.number)
WHERE c.name = %(name)s;

-- name: cone
-- What of these cells is complete, and the stars: ranges of cells, then the exact distance (haversine); one record a star, all in one answer.
-- OFFSET 0 keeps each range a search of the index by itself: joined, the planner reads the whole table.
SELECT c.columns, (c.covered * %(cells)s::int8multirange)::text AS covered, found.records, found.names
FROM catalog c CROSS JOIN LATERAL (
  SELECT string_agg(int8send(s.star) || float8send(s.ra) || float8send(s.dec) || array_send(s.numbers), '') AS records,
         array_agg(rtrim(s.name)) FILTER (WHERE s.name IS NOT NULL) AS names
  FROM unnest(%(low)s::bigint[], %(high)s::bigint[]) r (low, high)
  CROSS JOIN LATERAL (
    SELECT x.star, x.ra, x.dec, x.numbers, x.name FROM catalog_star x
    WHERE x.catalog = c.number AND x.hpx >= r.low AND x.hpx < r.high OFFSET 0) s
  WHERE power(sin((radians(s.dec) - %(dec)s) / 2), 2)
      + cos(radians(s.dec)) * cos(%(dec)s) * power(sin((radians(s.ra) - %(ra)s) / 2), 2) <= %(haversine)s) found
WHERE c.name = %(name)s;

-- name: known
SELECT c.name, c.stars, c.loaded, c.covered::text AS covered FROM catalog c WHERE c.stars > 0 ORDER BY c.name;

-- name: loads
SELECT l.catalog, l.source, l.at, l.by, l.stars FROM catalog_load l ORDER BY l.at DESC LIMIT %(limit)s;
