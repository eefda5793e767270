-- 'nf get': where a file's bytes can be read from.

-- name: file
-- With its owner, where it is not public yet. What nobody is known to own is given to whoever can read the archive,
-- and could take it out of the tar with tar.
SELECT f.id, f.path, f.size, f.sha256, f.night, f.mtime_ns, f.public_after,
       CASE WHEN f.owner IS NULL OR f.public_after <= now() THEN '{}'::text[] ELSE ARRAY[f.owner] END AS closed FROM raw_data_file f WHERE f.id = %(file)s;

-- name: sources
-- Every present copy: of a package that has the file as a stretch of its bytes, or of the file itself.
-- Archives first; an instrument's disk last, where a file may be another one by now.
SELECT c.id AS copy, c.location, c.path, l.storage::text, l.type::text, l.marker::text, l.settings,
       coalesce(m.data_offset, 0) AS data_offset, p.name AS package
FROM raw_data_file f LEFT JOIN package_member m ON m.file = f.id LEFT JOIN raw_data_package p ON p.id = m.package
JOIN physical_copy c ON (c.file = f.id OR c.package = m.package) AND c.state = 'present'
JOIN data_location l ON l.name = c.location
WHERE f.id = %(file)s
ORDER BY l.type = 'SOURCE', l.type <> 'LONG_TERM_ARCHIVE', l.priority, l.name;

-- name: doubt
-- What was read there was not the file: verify reads the whole copy, and has the last word.
UPDATE physical_copy c SET state = 'suspect' FROM data_location l
WHERE c.id = %(copy)s AND c.state = 'present' AND l.name = c.location AND l.type <> 'SOURCE' RETURNING c.id;
