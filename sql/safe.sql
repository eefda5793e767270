-- 'nf safe': what the ledger knows of these bytes, wherever they lie now.

-- name: known
-- The best answer for each content: one appearance that is safe makes its bytes safe.
WITH f AS MATERIALIZED (SELECT f.id, f.sha256, f.path, f.location, f.night FROM raw_data_file f WHERE f.sha256 = ANY(%(sums)s))
SELECT DISTINCT ON (f.sha256) f.sha256, f.path, f.location, f.night, a.safe, a.reason, a.proven
FROM f JOIN file_answers((SELECT array_agg(id) FROM f)) a ON a.file = f.id
ORDER BY f.sha256, a.safe DESC, a.proven DESC, f.night DESC;

-- name: locations
SELECT name, type::text FROM data_location WHERE name = ANY(%(names)s);
