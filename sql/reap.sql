-- The reaper: what may be nominated, what was decided, and how far each copy is on its way out.

-- name: wanted
-- One job per deletion and place, at each stage that has something to do on its disk; and, now and
-- then, a look at each place for temporary files that nobody means any more.
SELECT DISTINCT d.id || '@' || c.location AS subject, c.location AS place, c.location AS needs, 500 AS priority
FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id JOIN physical_copy c ON c.id = dc.copy
JOIN data_location l ON l.name = c.location
WHERE d.state = 'decided' AND (
  dc.stage IN ('hashed', 'condemned', 'recalled') OR (dc.stage = 'deleting' AND (SELECT may_delete()))
  OR (dc.stage = 'trashed' AND (dc.changed + l.trash_grace <= now() OR d.reason = 'canary')))
UNION ALL
SELECT 'temporaries@' || l.name, l.name, l.name, 700 FROM policy, data_location l
LEFT JOIN temporary_sweep s ON s.location = l.name
WHERE l.type <> 'SOURCE' AND l.marker IS NOT NULL AND coalesce(s.swept < now() - policy.sweep_temporaries, true);

-- name: facts
SELECT d.id, coalesce(d.package, d.file) AS thing,
       (SELECT coalesce(json_agg(json_build_object('copy', c.id, 'path', c.path, 'stage', dc.stage, 'trash', dc.trash, 'sha256', c.sha256, 'size', c.size,
          'mtime_ns', f.mtime_ns, 'ctime_ns', f.ctime_ns, 'detail', dc.detail, 'doubt', dc.doubt, 'is_package', c.package IS NOT NULL,
          'low', CASE WHEN d.reason = 'pressure' THEN l.low END) ORDER BY c.path), '[]')
        FROM deletion_copy dc JOIN physical_copy c ON c.id = dc.copy AND c.location = %(location)s
        JOIN data_location l ON l.name = c.location LEFT JOIN raw_data_file f ON f.id = c.file
        WHERE dc.deletion = d.id AND (dc.stage IN ('hashed', 'condemned', 'recalled') OR (dc.stage = 'deleting' AND (SELECT may_delete()))
          OR (dc.stage = 'trashed' AND (dc.changed + l.trash_grace <= now() OR d.reason = 'canary')))) AS copies
FROM deletion d WHERE d.id = CASE WHEN %(about)s::text = 'temporaries' THEN NULL ELSE %(about)s::text::uuid END AND d.state = 'decided'
UNION ALL SELECT NULL, NULL, '[]' WHERE %(about)s::text = 'temporaries';

-- name: nominate
-- A package (or loose file) with copies that are due and not yet nominated, where deletion is enabled,
-- enough archives hold it, nothing holds it back and nothing is stopped: within the caps of a run.
-- The rule itself is asked at the decision; this only finds what is worth reading the archives for.
WITH due AS (
  SELECT archived_as(c.file) AS thing, c.id, c.size FROM physical_copy c
  JOIN data_location l ON l.name = c.location AND l.type = 'SOURCE' AND l.reap_enabled
  JOIN raw_data_file f ON f.id = c.file AND f.replaced_by IS NULL
  WHERE c.state = 'present' AND CASE WHEN f.handling = 'ephemeral' THEN f.ephemeral_until < now() ELSE c.created + l.keep < now() END
  UNION ALL
  SELECT coalesce(c.package, archived_as(c.file)), c.id, c.size FROM physical_copy c  -- loose there: a data product's files
  JOIN data_location l ON l.name = c.location AND l.type = 'BUFFER' AND l.reap_enabled
  WHERE c.state = 'present' AND c.created + l.keep < now()),
open AS (
  SELECT coalesce(sum(c.size), 0) AS bytes, count(*) AS files FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id
  JOIN physical_copy c ON c.id = dc.copy WHERE d.closed IS NULL AND dc.stage <> 'trashed'),
grouped AS (
  SELECT thing, array_agg(id) AS copies, sum(size) AS bytes, count(*) AS files FROM due
  WHERE NOT EXISTS (SELECT FROM deletion d WHERE d.closed IS NULL AND (d.package = due.thing OR d.file = due.thing))
    AND NOT EXISTS (SELECT FROM deletion_copy dc WHERE dc.copy = due.id AND dc.stage = 'kept' AND dc.changed > now() - %(again_after)s)
  GROUP BY thing),
ready AS (
  SELECT g.*, p.id AS package FROM grouped g LEFT JOIN raw_data_package p ON p.id = g.thing
  LEFT JOIN raw_data_file f ON f.id = g.thing LEFT JOIN safety s ON s.subject = g.thing
  WHERE (f.handling = 'ephemeral' OR (p.state = 'packed' AND s.held >= copies_for(p.program)))
    AND (SELECT may_delete())
    AND NOT EXISTS (SELECT FROM hold h WHERE h.lifted IS NULL AND (h.package = g.thing OR h.file = g.thing OR h.night IN (p.night, f.night)))),
capped AS (
  SELECT r.*, sum(r.files) OVER w + open.files AS files_so_far, sum(r.bytes) OVER w + open.bytes AS bytes_so_far
  FROM ready r, open WINDOW w AS (ORDER BY r.thing ROWS UNBOUNDED PRECEDING)),
nominated AS (
  INSERT INTO deletion (package, file, reason)
  SELECT c.package, CASE WHEN c.package IS NULL THEN c.thing END, 'age' FROM capped c, policy
  WHERE (c.files_so_far <= policy.reap_files AND c.bytes_so_far <= policy.reap_bytes)
     OR (c.files_so_far = c.files AND c.bytes_so_far = c.bytes)  -- a thing above the caps goes alone
  ON CONFLICT DO NOTHING RETURNING id, coalesce(package, file) AS thing)
INSERT INTO deletion_copy (deletion, copy)
SELECT n.id, unnest(g.copies) FROM nominated n JOIN grouped g USING (thing) RETURNING deletion;

-- name: nominate_for_room
-- Above a high mark: the oldest packages with copies there, as far as the bytes that are needed to come
-- down to the low mark, and within the caps of a run. Nothing unproven goes, however full it is: the rule
-- is asked at the decision, as for all others.
WITH oldest AS (
  SELECT p.location, p.needed, p.under_way, c.* FROM pressure p JOIN data_location l ON l.name = p.location CROSS JOIN policy
  CROSS JOIN LATERAL (
    SELECT coalesce(c.package, m.package) AS thing, c.id, c.size, c.created
    FROM physical_copy c LEFT JOIN raw_data_file f ON f.id = c.file LEFT JOIN package_member m ON m.file = c.file
    WHERE c.location = p.location AND c.state = 'present' AND (l.type = 'BUFFER' OR (f.handling = 'archive' AND f.replaced_by IS NULL))
      AND coalesce(c.package, m.package) IS NOT NULL
      AND NOT EXISTS (SELECT FROM deletion d WHERE d.closed IS NULL AND d.package = coalesce(c.package, m.package))
      AND NOT EXISTS (SELECT FROM deletion_copy dc WHERE dc.copy = c.id AND dc.stage = 'kept' AND dc.changed > now() - %(again_after)s)
    ORDER BY c.created, c.id LIMIT policy.reap_files) c
  WHERE p.above_high AND p.needed > 0 AND p.reap_enabled AND (SELECT may_delete())),
open AS (
  SELECT coalesce(sum(c.size), 0) AS bytes, count(*) AS files FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id
  JOIN physical_copy c ON c.id = dc.copy WHERE d.closed IS NULL AND dc.stage NOT IN ('deleted', 'kept')),
grouped AS (  -- a package that two full places have goes from the first of them
  SELECT DISTINCT ON (thing) thing, location, needed, under_way, array_agg(id) AS copies, sum(size) AS bytes, count(*) AS files, min(created) AS since
  FROM oldest GROUP BY thing, location, needed, under_way ORDER BY thing, location),
ready AS (
  SELECT g.*, sum(g.bytes) OVER here AS bytes_here, sum(g.bytes) OVER everywhere AS bytes_so_far, sum(g.files) OVER everywhere AS files_so_far
  FROM grouped g JOIN raw_data_package p ON p.id = g.thing JOIN safety s ON s.subject = g.thing
  WHERE p.state = 'packed' AND s.held >= copies_for(p.program)
    AND NOT EXISTS (SELECT FROM hold h WHERE h.lifted IS NULL AND (h.package = p.id OR h.night = p.night
          OR h.file IN (SELECT m.file FROM package_member m WHERE m.package = p.id)))
  WINDOW here AS (PARTITION BY g.location ORDER BY g.since, g.thing ROWS UNBOUNDED PRECEDING),
         everywhere AS (ORDER BY g.location, g.since, g.thing ROWS UNBOUNDED PRECEDING)),
nominated AS (
  INSERT INTO deletion (package, reason)
  SELECT r.thing, 'pressure' FROM ready r, open, policy
  WHERE r.files_so_far + open.files <= policy.reap_files AND r.bytes_so_far + open.bytes <= policy.reap_bytes
    AND (r.bytes_here <= r.needed
         OR (r.bytes_here = r.bytes AND r.under_way = 0))  -- one that is larger than all that is needed goes alone
  ON CONFLICT DO NOTHING RETURNING id, package)
INSERT INTO deletion_copy (deletion, copy)
SELECT n.id, unnest(g.copies) FROM nominated n JOIN grouped g ON g.thing = n.package RETURNING deletion;

-- name: nominate_canaries
-- Every copy of a canary whose trip is over, wherever it is.
WITH due AS (
  SELECT archived_as(k.file) AS thing, c.id FROM canary_trip k
  JOIN physical_copy c ON (c.file = k.file OR c.package = archived_as(k.file)) AND c.state = 'present'
  WHERE k.over AND k.gone IS NULL AND (SELECT may_delete())
    AND NOT EXISTS (SELECT FROM deletion_copy dc WHERE dc.copy = c.id AND dc.stage = 'kept' AND dc.changed > now() - %(again_after)s)),
nominated AS (
  INSERT INTO deletion (package, file, reason)
  SELECT p.id, CASE WHEN p.id IS NULL THEN d.thing END, 'canary' FROM (SELECT DISTINCT thing FROM due) d LEFT JOIN raw_data_package p ON p.id = d.thing
  ON CONFLICT DO NOTHING RETURNING id, coalesce(package, file) AS thing)
INSERT INTO deletion_copy (deletion, copy) SELECT n.id, due.id FROM nominated n JOIN due USING (thing) RETURNING deletion;

-- name: canaries_gone
-- Nothing of it is left, and nothing of it is under way.
UPDATE canary k SET gone = now() FROM canary_trip t
WHERE t.id = k.id AND t.over AND k.gone IS NULL AND k.file IS NOT NULL AND NOT EXISTS (
  SELECT FROM physical_copy c WHERE (c.file = k.file OR c.package = archived_as(k.file)) AND c.state IN ('arriving', 'present', 'suspect', 'deleting'));

-- name: pressure
SELECT location, reap_enabled, high, low, total_bytes, used_bytes, above_high, under_way, needed FROM pressure ORDER BY location;

-- name: read_again
-- The survivors to read for what was nominated.
SELECT a.id || '@' || a.location AS subject, a.location AS place, a.location AS needs, 80 AS priority
FROM deletion d JOIN archive_copy a ON a.subject = coalesce(d.package, d.file)
WHERE d.state = 'nominated' AND d.reason <> 'canary' AND coalesce(a.proof_began < d.nominated, true);

-- name: to_decide
-- Nominated, and enough survivors were read since; or so old that it is decided as it stands.
SELECT d.id FROM deletion d LEFT JOIN raw_data_package p ON p.id = d.package LEFT JOIN raw_data_file f ON f.id = d.file, policy
WHERE d.state = 'nominated' AND (
  f.handling = 'ephemeral' OR d.reason = 'canary' OR d.nominated < now() - policy.proof_max_age
  OR (SELECT count(DISTINCT a.failure_domain) FROM archive_copy a WHERE a.subject = coalesce(d.package, d.file)
        AND a.proof_began >= d.nominated) >= copies_for(coalesce(p.program, f.program)))
ORDER BY d.id LIMIT 500;

-- name: decide
SELECT decide_deletion(%(id)s) AS going;

-- name: condemn
SELECT condemn_or_recall(%(deletion)s, %(location)s);

-- name: staged
-- What happened on the disk; a copy is moved on only from the stage that the worker saw.
UPDATE deletion_copy SET stage = %(stage)s::deletion_stage, trash = coalesce(%(trash)s::text, trash), detail = %(detail)s, doubt = %(doubt)s, changed = now()
WHERE deletion = %(deletion)s AND copy = %(copy)s AND stage::text = %(was)s RETURNING copy;

-- name: copy_is
-- A file that was replaced at its path while it was on its way out is not there any more.
UPDATE physical_copy c SET state = CASE WHEN %(state)s::text IN ('present', 'suspect') AND EXISTS (
    SELECT FROM raw_data_file f WHERE f.id = c.file AND f.replaced_by IS NOT NULL) THEN 'missing' ELSE %(state)s::text END::copy_state
WHERE c.id = %(copy)s AND c.state = 'deleting' RETURNING id;

-- name: close
-- One that is done, or all that are.
UPDATE deletion d SET state = 'done', closed = now(), outcome = o.outcome
FROM (SELECT dc.deletion, count(*) FILTER (WHERE dc.stage = 'deleted') || ' deleted, ' || count(*) FILTER (WHERE dc.stage = 'kept') || ' kept' AS outcome
      FROM deletion open JOIN deletion_copy dc ON dc.deletion = open.id
      WHERE open.state = 'decided' AND (%(deletion)s::uuid IS NULL OR open.id = %(deletion)s::uuid)
      GROUP BY dc.deletion HAVING bool_and(dc.stage IN ('deleted', 'kept'))) o
WHERE o.deletion = d.id AND d.state = 'decided' RETURNING d.id;

-- name: meant
-- The tokens that somebody still means at a place: of what arrives, and of the work on it.
SELECT coalesce(package, file)::text AS token FROM physical_copy WHERE location = %(location)s AND state = 'arriving'
UNION SELECT m.package::text FROM data_transfer_member m WHERE m.bundle::text = ANY(%(abouts)s)
UNION SELECT unnest(%(abouts)s::text[])
-- A data product's files, being put down or not yet published.
UNION SELECT d.id::text FROM data_product d WHERE d.location = %(location)s AND (d.returned IS NULL AND d.begun > now() - interval '1 day'
  OR EXISTS (SELECT FROM raw_data_file f JOIN physical_copy c ON c.file = f.id AND c.state = 'arriving' WHERE f.product = d.id));

-- name: temporaries_swept
INSERT INTO temporary_sweep (location, removed) VALUES (%(location)s, %(removed)s)
ON CONFLICT (location) DO UPDATE SET swept = now(), removed = EXCLUDED.removed;

-- name: plan
-- For 'nf reap plan': each place that may be emptied, and what is due there by age.
SELECT l.name AS location, l.reap_enabled AS enabled, l.keep, count(c.id) AS copies, coalesce(sum(c.size), 0) AS bytes,
       count(c.id) FILTER (WHERE d.due) AS due, coalesce(sum(c.size) FILTER (WHERE d.due), 0) AS due_bytes
FROM data_location l LEFT JOIN physical_copy c ON c.location = l.name AND c.state = 'present' LEFT JOIN raw_data_file f ON f.id = c.file
CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN f.handling = 'ephemeral' THEN f.ephemeral_until < now() ELSE c.created + l.keep < now() END, false) AS due) d
WHERE l.type IN ('SOURCE', 'BUFFER') GROUP BY l.name ORDER BY l.type, l.priority, l.name;

-- name: plan_clauses
-- The rule, asked of the oldest that are due at a place. That it is enabled and that the archives were
-- read again come only with a nomination: without these two, would it go?
WITH due AS (
  SELECT c.id, c.size, c.created FROM physical_copy c JOIN data_location l ON l.name = c.location LEFT JOIN raw_data_file f ON f.id = c.file
  WHERE c.location = %(location)s AND c.state = 'present'
    AND CASE WHEN f.handling = 'ephemeral' THEN f.ephemeral_until < now() ELSE c.created + l.keep < now() END
  ORDER BY c.created, c.id LIMIT %(most)s),
asked AS MATERIALIZED (
  SELECT due.id, due.size, r.clause, r.holds, r.detail FROM due CROSS JOIN LATERAL deletion_clauses(due.id) r),
going AS (
  SELECT id, size FROM asked GROUP BY id, size HAVING bool_and(holds OR clause IN ('enabled', 'proof')))
SELECT 'would go' AS clause, count(*) AS copies, coalesce(sum(size), 0) AS bytes, '' AS detail FROM going
UNION ALL
(SELECT clause, count(*), sum(size), min(detail) FROM asked WHERE NOT holds GROUP BY clause ORDER BY count(*) DESC, clause);

-- name: stops
SELECT id, stopped, stopped_by, reason FROM deletion_stop WHERE resumed IS NULL ORDER BY id;

-- name: stop
INSERT INTO deletion_stop (reason) VALUES (%(reason)s) RETURNING id;

-- name: resume
UPDATE deletion_stop SET resumed = now(), resumed_by = this_actor() WHERE resumed IS NULL RETURNING id, reason;

-- name: on_their_way
-- Copies that were decided on: those before 'condemned' wait for the switch, the others can't be called back.
SELECT count(*) FILTER (WHERE dc.stage IN ('deleting', 'trashed', 'hashed', 'recalled')) AS waiting,
       count(*) FILTER (WHERE dc.stage = 'condemned') AS condemned
FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id WHERE d.state = 'decided';

-- name: incarnation_is_trusted
SELECT incarnation_is_trusted() AS trusted;

-- name: trust
SELECT trust_incarnation(%(reason)s);
