-- The archiver: which archive lacks which package or adopted file.

-- name: wanted
-- And the buffer that has to have a package again, for another site's archive.
SELECT thing || '@' || archive AS subject, archive AS place, archive AS needs, priority FROM archive_gap
UNION ALL SELECT package || '@' || buffer, buffer, buffer, priority FROM refill_gap;

-- name: facts
-- Any present copy of the site serves: buffers first, then other archives.
SELECT t.id, t.kind, t.path, t.sha256, t.size,
       (SELECT coalesce(json_agg(json_build_object('copy', c.id, 'location', c.location, 'path', c.path) ORDER BY here.type, here.priority, here.name), '[]')
        FROM physical_copy c JOIN data_location here ON here.name = c.location JOIN data_location l ON l.name = %(location)s
        WHERE (c.package = t.id OR c.file = t.id) AND c.state = 'present' AND here.site = l.site AND here.type <> 'SOURCE') AS sources
FROM archivable t WHERE t.id = %(about)s
  AND NOT EXISTS (SELECT FROM physical_copy c WHERE (c.package = t.id OR c.file = t.id) AND c.location = %(location)s
                    AND c.state IN ('arriving', 'present', 'suspect', 'deleting'));

-- name: arriving
INSERT INTO physical_copy (package, file, location, path, temporary, state, sha256, size)
SELECT CASE WHEN t.kind = 'package' THEN t.id END, CASE WHEN t.kind = 'file' THEN t.id END,
       %(location)s, t.path, %(temporary)s, 'arriving', t.sha256, t.size FROM archivable t WHERE t.id = %(about)s
ON CONFLICT DO NOTHING RETURNING id;

-- name: doubt_source
-- A copy that was to be read from gave other bytes: verify has the last word on it.
UPDATE physical_copy SET state = 'suspect' WHERE id = %(copy)s AND state = 'present' RETURNING id, location;
