-- 'nf canary': what was sent, how far it is, and what it waits for.

-- name: sources
SELECT name, marker::text, settings -> 'settle' ->> 'ready_marker' AS ready_marker,
       coalesce(settings ->> 'content' = 'photometry', false) AS photometry
FROM data_location WHERE type = 'SOURCE' AND active AND name = ANY(%(names)s) ORDER BY priority, name;

-- name: announce
INSERT INTO canary (id, location, path, sha256, size, daily)
VALUES (%(id)s, %(location)s, %(path)s, %(sha256)s, %(size)s, %(daily)s) RETURNING sent;

-- name: announced
SELECT path, sha256 FROM canary WHERE location = %(location)s AND path = ANY(%(paths)s) AND file IS NULL;

-- name: registered
UPDATE canary k SET file = f.id FROM raw_data_file f
WHERE f.id = ANY(%(files)s) AND f.handling = 'canary' AND f.location = k.location AND f.path = k.path AND k.file IS NULL;

-- name: archives
-- Those that it has to reach, and where each is.
SELECT l.name, l.site, s.site AS from_site FROM data_location s, archives_for(s.settings ->> 'program') a (name) JOIN data_location l ON l.name = a.name
WHERE s.name = %(location)s ORDER BY l.priority, l.name;

-- name: trip
SELECT k.sent, k.gone, k.file, f.registered, p.id AS package, p.packed, clock_timestamp() AS now
FROM canary k LEFT JOIN raw_data_file f ON f.id = k.file
LEFT JOIN package_member m ON m.file = f.id LEFT JOIN raw_data_package p ON p.id = m.package WHERE k.id = %(id)s;

-- name: copies
SELECT c.id, c.location, l.type::text, l.site, c.state::text, c.created, v.ended AS read_well
FROM physical_copy c JOIN data_location l ON l.name = c.location
LEFT JOIN LATERAL (SELECT v.ended FROM verification v WHERE v.copy = c.id AND v.outcome = 'good' ORDER BY v.ended LIMIT 1) v ON true
WHERE c.file = %(file)s OR c.package = %(package)s ORDER BY c.created, c.id;

-- name: ended
UPDATE canary SET ended = now(), outcome = %(outcome)s::canary_outcome, why = %(why)s WHERE id = %(id)s AND ended IS NULL;

-- name: kept
-- Why it is not taken out, where that is a person's word or the database's state.
SELECT r.detail FROM canary k JOIN physical_copy c ON (c.file = k.file OR c.package = archived_as(k.file))
CROSS JOIN LATERAL deletion_clauses(c.id) r
WHERE k.id = %(id)s AND c.state IN ('present', 'deleting') AND r.clause IN ('hold', 'database', 'switch') AND NOT r.holds LIMIT 1;

-- name: runs
-- Does a daemon of this kind tell of itself, on a host that has the place?
SELECT EXISTS (SELECT FROM heartbeat h JOIN location_state s ON s.host = h.host AND s.location = %(place)s
               WHERE h.daemon = %(daemon)s AND h.stopped IS NULL AND now() - h.seen < interval '60 seconds') AS runs;

-- name: away
SELECT l.name, (array_agg(s.reason ORDER BY s.checked DESC))[1] AS reason FROM data_location l JOIN location_state s ON s.location = l.name
WHERE l.name = %(place)s OR (l.site = %(place)s AND l.type <> 'SOURCE') GROUP BY l.name HAVING NOT bool_or(s.state = 'available') ORDER BY l.name LIMIT 1;

-- name: broken
SELECT b.name, b.reason FROM breaker b LEFT JOIN route r ON r.name = b.name LEFT JOIN data_location l ON l.name = r.destination
WHERE b.state = 'open' AND (b.name = %(place)s OR l.name = %(place)s OR l.site = %(place)s) ORDER BY b.name LIMIT 1;

-- name: blocked
SELECT kind, reason, evidence ->> 'message' AS message FROM blocked WHERE split_part(subject, '@', 1) = ANY(%(abouts)s) ORDER BY at LIMIT 1;
