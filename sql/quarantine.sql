-- What could not be captured faithfully, and what a person decided about it.

-- name: listed
SELECT id, location, path, reason, advice, evidence, found, released, released_by, release FROM quarantine
WHERE (%(all)s OR released IS NULL) AND (%(location)s::text IS NULL OR location = %(location)s)
ORDER BY found DESC, path LIMIT %(limit)s;

-- name: count_open
SELECT count(*) AS open FROM quarantine WHERE released IS NULL;

-- name: meant
SELECT id, location, path, reason, advice, evidence, found, released, released_by, release FROM quarantine
WHERE path = %(text)s OR path LIKE '%%/' || %(pattern)s OR id::text LIKE '%%' || %(pattern)s
ORDER BY released IS NOT NULL, found DESC LIMIT 20;

-- name: release
UPDATE quarantine SET released = now(), released_by = this_actor(), release = %(release)s
WHERE id = %(id)s AND released IS NULL RETURNING id;
