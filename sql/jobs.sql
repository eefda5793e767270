-- The job state machine, statement by statement. jobs.py alone sends these. Statements over several
-- rows lock in the order of id, so that two of them never wait for each other.

-- name: enqueue
-- Sorted, so that two enqueuers can't deadlock. A job that exists only gets more urgent. One that runs,
-- or is urgent enough, is left out before: ON CONFLICT would lock its row, which its worker's finish holds
-- while it may be enqueueing as well.
INSERT INTO job (kind, subject, place, needs, priority)
SELECT %(kind)s, w.subject, w.place, w.needs, w.priority
FROM unnest(%(subjects)s::text[], %(places)s::text[], %(needs)s::text[], %(priorities)s::smallint[])
     AS w (subject, place, needs, priority)
WHERE NOT EXISTS (SELECT FROM blocked b WHERE b.kind = %(kind)s AND b.subject = w.subject)
  AND NOT EXISTS (SELECT FROM job j WHERE j.kind = %(kind)s AND j.subject = w.subject AND (j.state = 'running' OR j.priority <= w.priority))
ORDER BY w.subject
ON CONFLICT (kind, subject) DO UPDATE SET priority = EXCLUDED.priority
WHERE job.state IN ('ready', 'waiting') AND job.priority > EXCLUDED.priority
RETURNING id;

-- name: hint
-- Polling is the truth; this only makes it quicker.
SELECT pg_notify('nightferry', %(kind)s);

-- name: tick
-- waiting → ready when due; running → ready when its lease has ended, but never just after the
-- server started: nobody could renew while it was away.
WITH up AS MATERIALIZED (
  SELECT id FROM job WHERE state IN ('waiting', 'running') AND due <= now()
    AND (state = 'waiting' OR now() - pg_postmaster_start_time() > %(lease)s)
  ORDER BY due LIMIT 1000 FOR UPDATE SKIP LOCKED)
UPDATE job j SET state = 'ready', claim = NULL, claimed_by = NULL, due = now(),
  error = CASE WHEN j.state = 'running'
    THEN jsonb_build_object('reason', 'lease ended', 'message', 'its worker ' || j.claimed_by || ' went silent') ELSE error END
FROM up WHERE j.id = up.id
RETURNING j.id, j.kind, j.subject, j.attempts, j.max_attempts, j.error;

-- name: block_spent
-- A job whose attempts are spent leaves the table and becomes a row of the ledger.
WITH gone AS (DELETE FROM job WHERE id = ANY(%(ids)s) AND state = 'ready' AND attempts >= max_attempts RETURNING *)
INSERT INTO blocked (kind, subject, reason, evidence)
SELECT kind, subject, coalesce(error ->> 'reason', 'attempts spent'), coalesce(error, '{}') || jsonb_build_object('attempts', attempts) FROM gone
ON CONFLICT (kind, subject) DO NOTHING
RETURNING subject;

-- name: claim
-- The commit of a claim does not wait for the disk. A claim that a crash of the server forgets is a job
-- that is ready again, and its worker finds no row at its fence. Whatever waits for the disk later writes
-- this first: the fence before a publish or an unlink, and the finish. So nothing is done to a file's name
-- under a claim that could be forgotten. The breakers are looked at once more: who claims remembers its
-- lanes for a second.
WITH head AS MATERIALIZED (
  SELECT id, due AS was_due FROM job WHERE state = 'ready' AND kind = %(kind)s AND place = %(place)s AND needs = %(needs)s
    AND NOT EXISTS (SELECT FROM breaker b WHERE b.name IN (%(needs)s, %(place)s) AND b.state <> 'closed')
  ORDER BY priority, due, id LIMIT %(n)s FOR UPDATE SKIP LOCKED),
lightly AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE job j SET state = 'running', claim = gen_random_uuid(), claimed_by = %(me)s, attempts = attempts + 1,
  due = clock_timestamp() + %(lease)s, done = NULL, done_of = NULL, told = NULL, rate = NULL
FROM head, lightly WHERE j.id = head.id
RETURNING j.id, j.kind, j.subject, j.place, j.needs, j.priority, j.attempts, j.max_attempts, j.claim, clock_timestamp() AS claimed_at, head.was_due;

-- name: claim_above
-- The same from a floor: what was just claimed below it may still stand in an old snapshot's way.
WITH head AS MATERIALIZED (
  SELECT id, due AS was_due FROM job WHERE state = 'ready' AND kind = %(kind)s AND place = %(place)s AND needs = %(needs)s
    AND NOT EXISTS (SELECT FROM breaker b WHERE b.name IN (%(needs)s, %(place)s) AND b.state <> 'closed')
    AND (priority, due, id) >= (%(floor_priority)s::smallint, %(floor_due)s::timestamptz, %(floor_id)s::bigint)
  ORDER BY priority, due, id LIMIT %(n)s FOR UPDATE SKIP LOCKED),
lightly AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE job j SET state = 'running', claim = gen_random_uuid(), claimed_by = %(me)s, attempts = attempts + 1,
  due = clock_timestamp() + %(lease)s, done = NULL, done_of = NULL, told = NULL, rate = NULL
FROM head, lightly WHERE j.id = head.id
RETURNING j.id, j.kind, j.subject, j.place, j.needs, j.priority, j.attempts, j.max_attempts, j.claim, clock_timestamp() AS claimed_at, head.was_due;

-- name: lanes
-- The lanes with ready work, most urgent first: a loose walk over the index.
WITH RECURSIVE lane AS (
 (SELECT place, needs, priority, due FROM job WHERE state = 'ready' AND kind = %(kind)s
  ORDER BY place, needs, priority, due, id LIMIT 1)
 UNION ALL
 SELECT n.* FROM lane l, LATERAL (
   SELECT place, needs, priority, due FROM job WHERE state = 'ready' AND kind = %(kind)s
     AND (place, needs) > (l.place, l.needs) ORDER BY place, needs, priority, due, id LIMIT 1) n)
SELECT lane.place, lane.needs FROM lane
WHERE place = ANY(%(places)s)
  AND NOT EXISTS (SELECT FROM breaker b WHERE b.name IN (lane.needs, lane.place) AND b.state <> 'closed')
ORDER BY priority, due;

-- name: finish
-- The FIRST statement of the finishing transaction: the fence.
WITH mine AS MATERIALIZED (
  SELECT j.id FROM job j JOIN unnest(%(ids)s::bigint[], %(claims)s::uuid[]) u (id, claim) USING (id, claim)
  ORDER BY j.id FOR UPDATE OF j),
gone AS (DELETE FROM job j USING mine WHERE j.id = mine.id RETURNING j.*)
INSERT INTO job_done (id, claim, kind, subject, attempts, claimed_by, created)
SELECT id, claim, kind, subject, attempts, claimed_by, created FROM gone RETURNING id;

-- name: was_finished
-- No row from finish: either our own commit, whose answer was lost, or the claim is another's now.
SELECT d.id FROM job_done d JOIN unnest(%(ids)s::bigint[], %(claims)s::uuid[]) u (id, claim) USING (id, claim);

-- name: renew
WITH mine AS MATERIALIZED (
  SELECT j.id FROM job j JOIN unnest(%(ids)s::bigint[], %(claims)s::uuid[]) u (id, claim) USING (id, claim)
  ORDER BY j.id FOR UPDATE OF j)
UPDATE job j SET due = clock_timestamp() + %(lease)s FROM mine WHERE j.id = mine.id RETURNING j.id;

-- name: progress
-- The rate is of the last words, the newest counting half: what was there already when the work began,
-- and hours with another bandwidth, are not in it for long.
UPDATE job SET done = %(done)s, done_of = %(done_of)s, told = clock_timestamp(),
  rate = CASE WHEN %(done)s >= done AND told < clock_timestamp()
    THEN (coalesce(rate, r.now) + r.now) / 2 END
FROM (SELECT (%(done)s - j.done) / greatest(extract(epoch FROM clock_timestamp() - j.told), 0.001)::double precision AS now
      FROM job j WHERE j.id = %(id)s) r
WHERE id = %(id)s AND claim = %(claim)s RETURNING id;

-- name: retry
UPDATE job SET state = 'waiting', claim = NULL, claimed_by = NULL, due = now() + %(delay)s, error = %(error)s
WHERE id = %(id)s AND claim = %(claim)s RETURNING id;

-- name: give_back
-- The attempt is returned: the work was not at fault.
UPDATE job SET state = 'ready', claim = NULL, claimed_by = NULL, due = now(), attempts = attempts - 1, error = coalesce(%(error)s, error)
WHERE id = %(id)s AND claim = %(claim)s RETURNING id;

-- name: put_off
-- The same, but not before a while.
UPDATE job SET state = 'waiting', claim = NULL, claimed_by = NULL, due = now() + %(delay)s, attempts = attempts - 1, error = %(error)s
WHERE id = %(id)s AND claim = %(claim)s RETURNING id;

-- name: give_back_predecessors
-- Of a worker that is proven gone. Its attempts stay counted.
WITH mine AS MATERIALIZED (
  SELECT id FROM job WHERE state = 'running' AND claimed_by = ANY(%(workers)s) ORDER BY id FOR UPDATE)
UPDATE job j SET state = 'ready', claim = NULL, claimed_by = NULL, due = now(),
  error = jsonb_build_object('reason', 'worker ended', 'message', 'its worker ' || j.claimed_by || ' ended in the middle of it')
FROM mine WHERE j.id = mine.id RETURNING j.id, j.kind, j.subject, j.attempts, j.max_attempts;

-- name: workers_of
SELECT DISTINCT claimed_by AS worker FROM job WHERE state = 'running' AND kind = %(kind)s AND starts_with(claimed_by, %(prefix)s)
UNION SELECT holder FROM lease WHERE starts_with(holder, %(prefix)s);

-- name: block
WITH gone AS (DELETE FROM job WHERE id = %(id)s AND claim = %(claim)s RETURNING *)
INSERT INTO blocked (kind, subject, reason, evidence)
SELECT kind, subject, %(reason)s, %(evidence)s FROM gone
ON CONFLICT (kind, subject) DO UPDATE SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence, at = now()
RETURNING subject;

-- name: cancel
-- A person's word. The worker hears of it at its next renewal.
WITH gone AS (DELETE FROM job WHERE id = ANY(%(ids)s) RETURNING *)
INSERT INTO blocked (kind, subject, reason, evidence)
SELECT kind, subject, 'cancelled', jsonb_build_object('message', %(why)s::text) FROM gone
ON CONFLICT (kind, subject) DO NOTHING RETURNING kind, subject;

-- name: stop_what_goes_to
-- A drained place: what is on its way there is derived again, by another way, or when it is resumed. A
-- worker hears of it as of a cancelled one.
DELETE FROM job WHERE kind IN ('transfer', 'archive') AND split_part(subject, '@', 2) = %(name)s;

-- name: release
DELETE FROM blocked WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s) RETURNING kind, subject, reason;

-- name: clear_waits
-- Ready now, all that wait: a place came back.
UPDATE job SET state = 'ready', due = now() WHERE id IN (
  SELECT id FROM job WHERE state = 'waiting' AND %(needs)s IN (needs, place) ORDER BY id FOR UPDATE SKIP LOCKED) RETURNING id;

-- name: open_in_lanes
-- A plain count, for --once: what is ready or due here, and what waits for later.
SELECT count(*) FILTER (WHERE state = 'ready' OR (state = 'waiting' AND due <= now())
                          OR (state = 'running' AND claimed_by = %(me)s)) AS open,
       count(*) FILTER (WHERE state = 'waiting' AND due > now()) AS waiting,
       count(*) FILTER (WHERE state = 'running' AND claimed_by IS DISTINCT FROM %(me)s) AS elsewhere
FROM job WHERE kind = %(kind)s AND place = ANY(%(places)s)
  AND NOT EXISTS (SELECT FROM breaker b WHERE b.name IN (job.needs, job.place) AND b.state <> 'closed');

-- name: count_open
SELECT kind, state::text, count(*) AS jobs, min(created) AS oldest FROM job GROUP BY kind, state ORDER BY kind, state;

-- name: queue
-- For a status: how much is open at some places, and since when; no more than a person cares for.
SELECT count(*) AS open, min(created) AS oldest FROM (
  SELECT created FROM job WHERE kind = %(kind)s AND place = ANY(%(places)s) AND state IN ('ready', 'running') LIMIT 10000) q;

-- name: done_lately
-- A day's finished work of each kind, and when the last of all was finished.
SELECT k.kind, (SELECT count(*) FROM job_done d WHERE d.kind = k.kind AND d.at > now() - interval '1 day') AS done,
       (SELECT max(d.at) FROM job_done d WHERE d.kind = k.kind) AS last
FROM unnest(%(kinds)s::text[]) k (kind);

-- name: list_jobs
SELECT id, kind, subject, place, needs, state::text, priority, due, attempts, max_attempts, claimed_by, done, done_of, rate,
       CASE WHEN rate > 0 THEN told + make_interval(secs => (done_of - done) / rate) END AS eta, error, created
FROM job WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(state)s::text IS NULL OR state = %(state)s::job_state)
  AND (%(id)s::bigint IS NULL OR id = %(id)s)
ORDER BY kind, state, priority, due, id LIMIT %(limit)s;

-- name: subjects_at
-- All work, in any state, whose result is about a location.
SELECT subject FROM job WHERE subject LIKE '%%@' || %(location)s;

-- name: more_urgent
-- Is there ready work of a kind at a place that must not wait for what is less urgent than this?
-- What needs something that is away can't be done instead. And is this still ours, or was it cancelled?
SELECT EXISTS (SELECT FROM job WHERE id = %(id)s AND claim = %(claim)s) AS ours, EXISTS (SELECT FROM job WHERE state = 'ready' AND kind = %(kind)s AND place = %(place)s AND priority < %(priority)s
  AND NOT EXISTS (SELECT FROM breaker b WHERE b.name = job.needs AND b.state <> 'closed')) AS waits;

-- name: under_way
SELECT needs, place, done, done_of, rate, CASE WHEN rate > 0 THEN told + make_interval(secs => (done_of - done) / rate) END AS eta, claimed_by FROM job
WHERE state = 'running' AND kind = %(kind)s ORDER BY needs, id;

-- name: job_history
SELECT id, kind, subject, attempts, claimed_by, created, at FROM job_done WHERE subject = %(subject)s ORDER BY at;

-- name: months
SELECT make_job_months() AS made;

-- name: take_lease
-- Ours already, free, or ended: but no lease ends just after a server start. Where another's has not
-- ended, that one's transaction, which may be long, is not waited for.
INSERT INTO lease (location, kind, claim, holder, until)
SELECT %(location)s, %(kind)s, gen_random_uuid(), %(me)s, clock_timestamp() + %(lease)s
WHERE NOT EXISTS (SELECT FROM lease WHERE location = %(location)s AND kind = %(kind)s AND until >= clock_timestamp())
ON CONFLICT (location, kind) DO UPDATE SET claim = EXCLUDED.claim, holder = EXCLUDED.holder, until = EXCLUDED.until
WHERE lease.until < clock_timestamp() AND now() - pg_postmaster_start_time() > %(lease)s
RETURNING claim;

-- name: unheld
-- Of these, whose work of a kind nobody does at the moment: it is asked before each is tried for.
SELECT name FROM unnest(%(names)s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM lease WHERE location = name AND kind = %(kind)s AND until >= clock_timestamp());

-- name: hold_lease
-- The fence of work that is one at a time: first statement of what it commits, and its renewal.
UPDATE lease SET until = clock_timestamp() + %(lease)s
WHERE location = %(location)s AND kind = %(kind)s AND claim = %(claim)s RETURNING claim;

-- name: drop_lease
DELETE FROM lease WHERE location = %(location)s AND kind = %(kind)s AND claim = %(claim)s;

-- name: drop_leases_of
DELETE FROM lease WHERE holder = ANY(%(workers)s) RETURNING location, kind;

-- name: holder
SELECT holder FROM lease WHERE location = %(location)s AND kind = %(kind)s AND until > clock_timestamp();

-- name: breaker_fails
-- So many different subjects in a row open it: the first does where one is enough.
INSERT INTO breaker AS b (name, subjects, reason, state)
VALUES (%(name)s, ARRAY[%(subject)s], %(reason)s, CASE WHEN %(opens_after)s <= 1 THEN 'open' ELSE 'closed' END::breaker_state)
ON CONFLICT (name) DO UPDATE SET
  subjects = CASE WHEN %(subject)s = ANY(b.subjects) THEN b.subjects ELSE b.subjects || %(subject)s::text END,
  reason = EXCLUDED.reason,
  state = CASE WHEN cardinality(b.subjects) + (CASE WHEN %(subject)s = ANY(b.subjects) THEN 0 ELSE 1 END) >= %(opens_after)s
          THEN 'open'::breaker_state ELSE b.state END,
  since = CASE WHEN b.state = 'closed' AND cardinality(b.subjects) + (CASE WHEN %(subject)s = ANY(b.subjects) THEN 0 ELSE 1 END) >= %(opens_after)s
          THEN now() ELSE b.since END
RETURNING state::text, cardinality(subjects) AS subjects;

-- name: breaker_succeeds
UPDATE breaker SET state = 'closed', subjects = '{}', since = CASE WHEN state = 'open' THEN now() ELSE since END
WHERE name = %(name)s AND (state = 'open' OR subjects <> '{}') RETURNING name;

-- name: breaker_probed
UPDATE breaker SET probed = now(), reason = %(reason)s WHERE name = %(name)s AND state = 'open';

-- name: breakers
SELECT name, state::text, since, subjects, reason, probed FROM breaker ORDER BY name;

-- name: heartbeat
INSERT INTO heartbeat (daemon, host, name, pid, version, status) VALUES (%(daemon)s, %(host)s, %(name)s, %(pid)s, %(version)s, %(status)s)
ON CONFLICT (daemon, host, name) DO UPDATE SET seen = now(), status = EXCLUDED.status, stopped = NULL,
  started = CASE WHEN heartbeat.pid = EXCLUDED.pid THEN heartbeat.started ELSE now() END,
  pid = EXCLUDED.pid, version = EXCLUDED.version;

-- name: last_heartbeat
UPDATE heartbeat SET stopped = now(), seen = now(), status = %(status)s WHERE daemon = %(daemon)s AND host = %(host)s AND name = %(name)s AND pid = %(pid)s;

-- name: failing
SELECT id, kind, subject FROM job WHERE error ->> 'reason' = %(reason)s AND (%(kind)s::text IS NULL OR kind = %(kind)s) ORDER BY id;
