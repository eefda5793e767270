-- 'nf why': one file or package: every copy, what was read of it, and why it is still there or gone.

-- name: files_named
-- By the last part of the path, which is indexed; then as much of the path as was typed must agree,
-- or, where the path was typed from the root of the disk, as much as the ledger has.
SELECT f.id, f.location, f.path, f.ordinal, f.relation::text, f.night, f.instrument, f.frame_type::text, f.size, f.registered
FROM raw_data_file f, unnest(%(paths)s::text[]) typed (path)
WHERE substring(f.path FROM '[^/]*$') = substring(typed.path FROM '[^/]*$')
  AND (right('/' || f.path, length(typed.path) + 1) = '/' || typed.path OR right(typed.path, length(f.path) + 1) = '/' || f.path)
  AND (%(night)s::date IS NULL OR f.night = %(night)s)
ORDER BY f.night DESC, f.location, f.path, f.ordinal DESC LIMIT 200;

-- name: files_with_id
SELECT f.id, f.location, f.path, f.ordinal, f.relation::text, f.night, f.instrument, f.frame_type::text, f.size, f.registered
FROM raw_data_file f WHERE f.id::text = lower(%(id)s) AND f.id = lower(%(id)s)::uuid;

-- name: packages_named
SELECT p.id, p.name FROM raw_data_package p
WHERE p.name = ANY(%(names)s) OR p.id::text = ANY(%(names)s) ORDER BY p.planned;

-- name: file
SELECT f.id, f.location, f.path, f.ordinal, f.relation::text, f.handling::text, f.sha256, f.size, f.registered, f.night, f.night_from::text,
       f.clock::text, f.header::text, f.defects, f.instrument, f.module, f.frame_type::text, f.object, f.program, f.exposure_start,
       f.exposure_seconds, f.filter, f.quality::text, a.package, a.need, a.held, a.proven, a.oldest_proof, a.safe, a.reason,
       p.name AS package_name, p.state::text AS package_state, p.members, p.packed,
       l.at AS lost_at, l.how AS lost_how, l.accepted AS lost_accepted, l.accepted_by AS lost_accepted_by, l.reason AS lost_reason
FROM raw_data_file f JOIN file_answers(ARRAY[%(id)s::uuid]) a ON a.file = f.id
LEFT JOIN raw_data_package p ON p.id = a.package LEFT JOIN lost_file l ON l.file = f.id WHERE f.id = %(id)s;

-- name: package
SELECT p.id, p.name, p.path, p.origin, p.night, p.instrument, p.module, p.program, p.state::text, p.dissolved_because, p.members, p.planned,
       p.packed, p.sha256, p.size, o.name AS supplement_of, copies_for(p.program) AS need, coalesce(s.held, 0) AS held,
       coalesce(s.proven, 0) AS proven, s.oldest_proof, coalesce(s.proven, 0) >= copies_for(p.program) AS safe,
       (SELECT a.reason FROM package_member m CROSS JOIN LATERAL file_answers(ARRAY[m.file]) a WHERE m.package = p.id LIMIT 1) AS reason
FROM raw_data_package p LEFT JOIN raw_data_package o ON o.id = p.supplement_of
LEFT JOIN LATERAL (SELECT * FROM safety s WHERE s.subject = p.id OFFSET 0) s ON true WHERE p.id = %(id)s;

-- name: copies
SELECT c.id, c.package IS NOT NULL AS is_package, c.location, l.type::text, l.storage::text, l.capabilities, l.site, l.active, c.path, c.state::text, c.created, c.changed,
       v.ended AS read, v.outcome::text, v.how::text, v.host, v.detail
FROM physical_copy c JOIN data_location l ON l.name = c.location
LEFT JOIN LATERAL (SELECT * FROM verification v WHERE v.copy = c.id ORDER BY v.ended DESC LIMIT 1) v ON true
WHERE c.file = %(file)s OR c.package = %(package)s
ORDER BY l.type, l.priority, l.name, c.created;

-- name: member_copies
-- The loose files that a package was made of, wherever they lie; one of them for an example.
SELECT c.location, l.type::text, c.state::text, count(*) AS files, sum(c.size) AS bytes, min(c.changed) AS first, max(c.changed) AS last,
       (array_agg(c.id ORDER BY c.path))[1] AS example, min(c.path) AS path
FROM package_member m JOIN physical_copy c ON c.file = m.file JOIN data_location l ON l.name = c.location
WHERE m.package = %(package)s GROUP BY 1, 2, 3 ORDER BY 2, 1, 3;

-- name: clauses
-- The rule as the reaper asks it: with the deletion that is open for this copy, and at its stage.
SELECT r.clause, r.holds, r.detail
FROM (SELECT max(d.id::text)::uuid AS deletion, coalesce(bool_or(dc.stage IN ('trashed', 'hashed', 'condemned')), false) AS again
      FROM deletion_copy dc JOIN deletion d ON d.id = dc.deletion AND d.closed IS NULL WHERE dc.copy = %(copy)s) o
CROSS JOIN LATERAL deletion_clauses(%(copy)s, o.deletion, o.again) r;

-- name: deletions
SELECT d.id, c.location, dc.stage::text, dc.detail, max(dc.changed) AS changed, d.reason, d.state::text, d.nominated, d.decided, d.closed,
       d.outcome, l.trash_grace, count(*) AS copies, array_agg(c.id) AS ids
FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id JOIN physical_copy c ON c.id = dc.copy JOIN data_location l ON l.name = c.location
WHERE (d.package = %(package)s OR d.file = %(file)s) AND (%(file)s::uuid IS NULL OR c.file = %(file)s OR c.package IS NOT NULL)
GROUP BY d.id, c.location, dc.stage, dc.detail, l.trash_grace ORDER BY d.nominated, d.id, max(dc.changed), c.location;

-- name: proofs
-- What was read of the survivors between nomination and decision.
SELECT d.id AS deletion, c.location, v.began, v.ended, v.outcome::text, v.how::text, v.host
FROM deletion d JOIN physical_copy c ON coalesce(c.package, c.file) = coalesce(d.package, d.file)
JOIN data_location l ON l.name = c.location AND l.type = 'LONG_TERM_ARCHIVE'
JOIN verification v ON v.copy = c.id AND v.began >= d.nominated AND v.ended <= coalesce(d.decided, 'infinity')
WHERE d.id = ANY(%(deletions)s) ORDER BY v.ended;

-- name: holds
SELECT h.reason, h.placed, h.placed_by, CASE WHEN h.night IS NOT NULL THEN 'the night' WHEN h.package IS NOT NULL THEN 'the package' ELSE 'the file' END AS what
FROM hold h WHERE h.lifted IS NULL AND (h.file = %(file)s OR h.package = %(package)s OR h.night = %(night)s
  OR (%(file)s::uuid IS NULL AND h.file IN (SELECT m.file FROM package_member m WHERE m.package = %(package)s)))
ORDER BY h.placed;

-- name: blocked
SELECT b.kind, split_part(b.subject, '@', 2) AS location, b.reason, b.evidence ->> 'message' AS message, b.at, b.by FROM blocked b
WHERE split_part(b.subject, '@', 1) IN (%(file)s::uuid::text, %(package)s::uuid::text)
   OR split_part(b.subject, '@', 1) IN (SELECT c.id::text FROM physical_copy c WHERE c.file = %(file)s OR c.package = %(package)s)
ORDER BY b.at;

-- name: quarantine
SELECT q.location, q.path, q.reason, q.advice, q.found, q.released, q.released_by, q.release FROM quarantine q
WHERE (%(location)s::text IS NULL OR q.location = %(location)s)
  AND EXISTS (SELECT FROM unnest(%(paths)s::text[]) typed (path)
              WHERE right('/' || q.path, length(typed.path) + 1) = '/' || typed.path OR right(typed.path, length(q.path) + 1) = '/' || q.path)
ORDER BY q.released IS NOT NULL, q.found DESC LIMIT 20;

-- name: versions
SELECT o.id, o.ordinal, o.relation::text, o.night, o.registered, o.size, o.sha256, o.replaced_by IS NULL AS current, a.safe, a.reason
FROM raw_data_file f JOIN raw_data_file o ON o.location = f.location AND o.path = f.path
JOIN file_answers((SELECT array_agg(x.id) FROM raw_data_file x WHERE x.location = f.location AND x.path = f.path)) a ON a.file = o.id
WHERE f.id = %(id)s ORDER BY o.ordinal;

-- name: product
-- What the file or package is a data product of.
SELECT d.id, d.name, d.note, d.by, d.returned, s.sources, s.nights, s.some
FROM data_product d
CROSS JOIN LATERAL (SELECT count(*) AS sources, array_agg(DISTINCT f.night) AS nights, (array_agg(f.path ORDER BY f.path))[1:5] AS some
                    FROM data_product_source o JOIN raw_data_file f ON f.id = o.file WHERE o.product = d.id) s
WHERE d.id = coalesce((SELECT f.product FROM raw_data_file f WHERE f.id = %(file)s),
                      (SELECT f.product FROM package_member m JOIN raw_data_file f ON f.id = m.file WHERE m.package = %(package)s LIMIT 1));

-- name: products
-- What was made from it.
SELECT d.id, d.name, d.note, d.by, d.returned, count(DISTINCT s.file) AS files_used FROM data_product d JOIN data_product_source s ON s.product = d.id
WHERE d.returned IS NOT NULL AND (s.file = %(file)s OR (%(file)s::uuid IS NULL AND s.file IN (SELECT m.file FROM package_member m WHERE m.package = %(package)s)))
GROUP BY d.id ORDER BY d.returned;

-- name: linked
SELECT o.path, o.location, o.night FROM raw_data_file f JOIN raw_data_file o ON o.exposure_key = f.exposure_key AND (o.location, o.path) <> (f.location, f.path)
WHERE f.id = %(id)s ORDER BY o.path LIMIT 20;
