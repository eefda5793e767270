-- The verifier: which copies have to be read, and what was seen.

-- name: wanted
-- What arrived; what a deletion waits for; what is in doubt; and what was read well too long ago.
SELECT c.id || '@' || c.location AS subject, c.location AS place, c.location AS needs, 20 AS priority
  FROM physical_copy c WHERE c.state = 'arriving'
UNION ALL
SELECT c.id || '@' || c.location, c.location, c.location, 60
  FROM physical_copy c JOIN data_location l ON l.name = c.location
  WHERE c.state = 'suspect' AND l.type <> 'SOURCE'
    AND NOT EXISTS (SELECT FROM verification v WHERE v.copy = c.id AND v.ended > now() - interval '10 minutes' AND v.outcome = 'unreadable')
UNION ALL
SELECT a.id || '@' || a.location, a.location, a.location, 80
  FROM deletion d JOIN archive_copy a ON a.subject = coalesce(d.package, d.file)
  WHERE d.state = 'nominated' AND d.reason <> 'canary' AND coalesce(a.proof_began < d.nominated, true)
UNION ALL
-- Never read: 800. Read well, but long ago: 900.
SELECT k.id || '@' || k.location, k.location, k.location, CASE WHEN k.read_well IS NULL THEN 800 ELSE 900 END
  FROM policy, kept_copy k
  WHERE coalesce(k.read_well < now() - make_interval(secs => policy.scrub_days * 0.8 * 86400), true);

-- name: facts
SELECT c.id, coalesce(c.package, c.file) AS thing, c.package IS NOT NULL AS is_package, c.location, c.path, c.temporary, c.state::text, c.sha256, c.size,
       p.name, p.members, (SELECT s.bytes_per_second FROM scrub_pace s WHERE s.location = c.location) AS pace_needed,
       EXISTS (SELECT FROM physical_copy bad WHERE bad.location = c.location AND bad.path = c.path AND bad.id <> c.id AND bad.state = 'corrupt') AS replaces
FROM physical_copy c LEFT JOIN raw_data_package p ON p.id = c.package
WHERE c.id = %(about)s AND c.state IN ('arriving', 'present', 'suspect');

-- name: read
INSERT INTO verification (copy, began, ended, outcome, sha256, size, how, host, detail)
VALUES (%(copy)s, %(began)s, %(ended)s, %(outcome)s, %(sha256)s, %(size)s, %(how)s, this_host(), %(detail)s);

-- name: set_state
-- Only from the states that a reading can speak of.
UPDATE physical_copy SET state = %(state)s::copy_state, temporary = NULL
WHERE id = %(copy)s AND state IN ('arriving', 'present', 'suspect') AND state <> %(state)s::copy_state RETURNING id;

-- name: set_aside
-- Its bad bytes lie in another place now.
UPDATE physical_copy SET path = %(path)s WHERE location = %(location)s AND path = %(was)s AND state = 'corrupt' RETURNING id;

-- name: sidecar
-- A sidecar is no copy: that its bytes were bad is told in the history, with its copy and path.
INSERT INTO event (what, subject, location, detail)
SELECT 'sidecar corrupt', coalesce(c.package, c.file), c.location, jsonb_build_object('copy', c.id, 'path', c.path || '.sha256', 'message', %(detail)s::text)
FROM physical_copy c WHERE c.id = %(copy)s;

-- name: quarantine
INSERT INTO quarantine (location, path, reason, advice, evidence) VALUES (%(location)s, %(path)s, %(reason)s, %(advice)s, %(evidence)s)
ON CONFLICT DO NOTHING;

-- name: occupied
-- Blocked until a person has looked at what stands there.
INSERT INTO blocked (kind, subject, reason, evidence) VALUES (%(kind)s, %(subject)s, 'another file stands there', %(evidence)s)
ON CONFLICT DO NOTHING;

-- name: follow
-- What this copy makes possible: the archives of its site that still lack it.
SELECT 'archive' AS kind, g.thing || '@' || g.archive AS subject, g.archive AS place, g.archive AS needs, g.priority
FROM physical_copy c JOIN archive_gap g ON g.thing = coalesce(c.package, c.file) WHERE c.id = %(copy)s;

-- name: set_paces
-- Now and then: asked at every tick, and worked out when the last answer is old.
WITH old AS (
  SELECT l.name FROM data_location l LEFT JOIN scrub_pace s ON s.location = l.name
  WHERE l.type IN ('LONG_TERM_ARCHIVE', 'BUFFER') AND coalesce(s.computed < now() - interval '10 minutes', true)),
needs AS MATERIALIZED (SELECT n.location, n.bytes_per_second FROM scrub_needs() n WHERE EXISTS (SELECT FROM old))
INSERT INTO scrub_pace (location, bytes_per_second) SELECT old.name, coalesce(n.bytes_per_second, 0) FROM old LEFT JOIN needs n ON n.location = old.name
ON CONFLICT (location) DO UPDATE SET computed = now(), bytes_per_second = EXCLUDED.bytes_per_second;
