-- The history, where no trigger tells.

-- name: tell
INSERT INTO event (what, subject, detail) VALUES (%(what)s, %(subject)s, %(detail)s);

-- name: of_this_commit
-- What the running transaction has told so far, with the names of what it is about.
SELECT e.what, e.subject, e.location, e.detail, p.name AS package, f.path AS file, coalesce(f.night, p.night) AS night, f.size
FROM event e
CROSS JOIN LATERAL (SELECT CASE WHEN s ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN s::uuid END AS id
                    FROM split_part(e.subject, '@', 1) s) about
LEFT JOIN raw_data_package p ON p.id = about.id
LEFT JOIN raw_data_file f ON f.id = about.id
WHERE e.xid = pg_current_xact_id_if_assigned() ORDER BY e.id;

-- name: newest
-- The last ones that no open transaction can still put others before, the newest first.
SELECT id, site, xid::text AS xid, at, actor, what, subject, location, detail FROM event
WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) AND at > now() - %(since)s::interval
ORDER BY event.xid DESC, event.id DESC LIMIT %(most)s;

-- name: following
-- Those after a cursor, in an order that misses nothing however late it commits.
SELECT id, site, xid::text AS xid, at, actor, what, subject, location, detail FROM event
WHERE xid >= %(xid)s::text::xid8 AND (xid, id) > (%(xid)s::text::xid8, %(id)s::uuid) AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY event.xid, event.id LIMIT %(most)s;
