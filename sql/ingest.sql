-- Ingest: what the ledger knows of a source, and what was found there.

-- name: telescopes
-- What a night is for each instrument; '' is the telescope of the site's own.
SELECT i.name, t.zone, to_char(t.turnover, 'HH24:MI'), t.label FROM instrument i JOIN telescope t ON t.name = i.telescope
UNION ALL
(SELECT '', t.zone, to_char(t.turnover, 'HH24:MI'), t.label FROM telescope t, data_location l WHERE l.name = %(location)s
 ORDER BY t.name = l.settings ->> 'telescope' DESC NULLS LAST, t.name LIMIT 1);

-- name: digest
-- Not of a directory with a file that could not be read a while ago: it is tried again.
SELECT digest FROM source_directory d WHERE location = %(location)s AND path = %(directory)s
  AND NOT EXISTS (SELECT FROM quarantine q WHERE q.location = d.location AND q.released IS NULL
                    AND (q.evidence ->> 'tried')::timestamptz < now() - interval '10 minutes' AND directory_of(q.path) = d.path);

-- name: known
-- A file in doubt has a size that none has: it is read again if it is there, and missed if it is not.
-- One that rotted is known as it is, and read again when somebody has brought it back.
SELECT f.path, CASE WHEN c.state = 'suspect' THEN -1 ELSE f.size END, f.mtime_ns, f.ctime_ns, f.inode
FROM raw_data_file f JOIN physical_copy c ON c.file = f.id AND c.location = f.location AND c.state IN ('present', 'suspect', 'corrupt', 'deleting')
WHERE f.location = %(location)s AND f.replaced_by IS NULL AND f.directory = %(directory)s
  AND (%(paths)s::text[] IS NULL OR f.path = ANY(%(paths)s))
UNION ALL
SELECT q.path, (q.evidence -> 'signature' ->> 0)::bigint, (q.evidence -> 'signature' ->> 1)::bigint,
       (q.evidence -> 'signature' ->> 2)::bigint, (q.evidence -> 'signature' ->> 3)::bigint
FROM quarantine q WHERE q.location = %(location)s AND q.evidence ? 'signature'
  AND (q.released IS NULL AND coalesce((q.evidence ->> 'tried')::timestamptz > now() - interval '10 minutes', true) OR q.release = 'ignore')
  AND directory_of(q.path) = %(directory)s
  AND (%(paths)s::text[] IS NULL OR q.path = ANY(%(paths)s));

-- name: directories
SELECT DISTINCT f.directory FROM raw_data_file f WHERE f.location = %(location)s AND f.replaced_by IS NULL
  AND (%(under)s = '' OR f.directory = %(under)s OR starts_with(f.directory, %(under)s || '/'))
  AND EXISTS (SELECT FROM physical_copy c WHERE c.file = f.id AND c.location = f.location AND c.state IN ('present', 'suspect', 'corrupt'));

-- name: current
SELECT f.id, f.path, f.ordinal, f.sha256, f.size, f.mtime_ns, f.ctime_ns, f.inode, f.instrument, f.exposure_start,
       (SELECT c.state::text FROM physical_copy c WHERE c.file = f.id AND c.location = f.location ORDER BY c.id DESC LIMIT 1) AS copy_state
FROM raw_data_file f WHERE f.location = %(location)s AND f.replaced_by IS NULL AND f.path = ANY(%(paths)s)
FOR NO KEY UPDATE OF f;

-- name: ids
SELECT new_id() AS id, now() AS now FROM generate_series(1, %(n)s);

-- name: instruments
INSERT INTO instrument (name) SELECT DISTINCT unnest(%(names)s::text[]) ORDER BY 1 ON CONFLICT DO NOTHING;

-- name: programs
SELECT name, owner, proprietary FROM observing_program WHERE name = ANY(%(names)s);

-- name: replaced
UPDATE raw_data_file SET replaced_by = %(by)s WHERE id = %(id)s AND replaced_by IS NULL;

-- name: update_tuple
UPDATE raw_data_file SET mtime_ns = %(mtime_ns)s, ctime_ns = %(ctime_ns)s, inode = %(inode)s
WHERE id = %(id)s AND (mtime_ns, ctime_ns, inode) IS DISTINCT FROM (%(mtime_ns)s, %(ctime_ns)s, %(inode)s);

-- name: copies
-- No COPY: a table with row-level security takes none from a host's user.
INSERT INTO physical_copy (file, location, path, state, sha256, size)
SELECT f.id, f.location, f.path, 'present', f.sha256, f.size FROM raw_data_file f WHERE f.id = ANY(%(files)s);

-- name: copy_is_back
UPDATE physical_copy SET state = 'present' WHERE file = %(file)s AND location = %(location)s AND state IN ('missing', 'suspect', 'corrupt');

-- name: copy_again
INSERT INTO physical_copy (file, location, path, state, sha256, size)
SELECT f.id, f.location, f.path, 'present', f.sha256, f.size FROM raw_data_file f WHERE f.id = %(file)s AND f.location = %(location)s
ON CONFLICT DO NOTHING;

-- name: copy_missing
UPDATE physical_copy SET state = 'missing' WHERE file = ANY(%(files)s) AND location = %(location)s AND state IN ('present', 'suspect', 'corrupt');

-- name: copy_rotten
UPDATE physical_copy SET state = 'corrupt' WHERE file = %(file)s AND location = %(location)s AND state IN ('present', 'suspect');

-- name: captured
SELECT is_captured(%(file)s) AS captured;

-- name: lost
INSERT INTO lost_file (file, how) SELECT f.id, %(how)s FROM raw_data_file f
WHERE f.id = ANY(%(files)s) AND f.handling = 'archive' AND NOT is_captured(f.id) ON CONFLICT DO NOTHING;

-- name: not_lost
-- It came back, with the same bytes.
DELETE FROM lost_file WHERE file = %(file)s AND accepted IS NULL;

-- name: join_filed
-- Files that an observation was filed with before they came.
UPDATE raw_data_file f SET executed_obs_unit = u.id, owner = coalesce(u.owner, f.owner), public_after = coalesce(u.public_after, f.public_after),
  program = coalesce(u.program, f.program)
FROM filed_file x JOIN executed_obs_unit u ON u.id = x.executed_obs_unit
WHERE f.id = ANY(%(ids)s) AND x.location = f.location AND x.path = f.path AND u.night = f.night;

-- name: quarantine
-- What the disk refused is tried again after a while; the rest is as it is until it changes.
INSERT INTO quarantine (location, path, reason, advice, evidence)
VALUES (%(location)s, %(path)s, %(reason)s,
  CASE WHEN %(may_pass)s THEN 'look at the disk: it is read again every ten minutes'
       ELSE 'nf quarantine show it; then release it to be ignored, or archived as it is' END,
  %(evidence)s::jsonb || CASE WHEN %(may_pass)s THEN jsonb_build_object('tried', now()) ELSE '{}' END)
ON CONFLICT (location, path) WHERE released IS NULL DO UPDATE SET reason = EXCLUDED.reason, evidence = EXCLUDED.evidence;

-- name: end_quarantine
UPDATE quarantine SET released = now(), released_by = this_actor(), release = 'registered'
WHERE location = %(location)s AND path = ANY(%(paths)s) AND released IS NULL;

-- name: quarantine_gone
-- Nothing is there any more that could be looked at.
UPDATE quarantine SET released = now(), released_by = this_actor(), release = 'gone'
WHERE location = %(location)s AND path = ANY(%(paths)s) AND released IS NULL;

-- name: take_as_is
-- What a person said to archive as it is, and is not in the ledger since.
SELECT DISTINCT q.path FROM quarantine q WHERE q.location = %(location)s AND q.release = 'archive as is'
  AND NOT EXISTS (SELECT FROM raw_data_file f WHERE f.location = q.location AND f.path = q.path AND f.registered >= q.found);

-- name: present_at
SELECT f.id AS file, f.path FROM raw_data_file f JOIN physical_copy c ON c.file = f.id AND c.location = f.location AND c.state IN ('present', 'suspect', 'corrupt')
WHERE f.location = %(location)s AND f.replaced_by IS NULL AND f.path = ANY(%(paths)s) ORDER BY f.id;

-- name: count_present
SELECT count(*) AS files, (SELECT max((s.vanish_guard ->> 'accepted')::bigint) FROM location_state s WHERE s.location = %(location)s) AS accepted
FROM physical_copy c WHERE c.location = %(location)s AND c.state = 'present' AND c.file IS NOT NULL;

-- name: set_guard
INSERT INTO location_state AS s (location, host, state, vanish_guard) VALUES (%(location)s, this_host(), 'available', %(guard)s)
ON CONFLICT (location, host) DO UPDATE SET vanish_guard = EXCLUDED.vanish_guard;

-- name: clear_guard
UPDATE location_state SET vanish_guard = NULL WHERE location = %(location)s AND vanish_guard IS NOT NULL;

-- name: at_rest
INSERT INTO source_directory (location, path, digest) VALUES (%(location)s, %(directory)s, %(digest)s)
ON CONFLICT (location, path) DO UPDATE SET digest = EXCLUDED.digest, seen = now();

-- name: swept
INSERT INTO location_state AS s (location, host, state, full_sweep_began, full_sweep_ended, last_sweep_ended, unsettled, hints)
VALUES (%(location)s, this_host(), 'available',
  CASE WHEN %(full)s THEN %(began)s::timestamptz END, CASE WHEN %(full)s THEN %(ended)s::timestamptz END, %(ended)s, %(unsettled)s, %(hints)s)
ON CONFLICT (location, host) DO UPDATE SET state = 'available', reason = '', checked = now(),
  since = CASE WHEN s.state = 'available' THEN s.since ELSE now() END,
  full_sweep_began = coalesce(EXCLUDED.full_sweep_began, s.full_sweep_began), full_sweep_ended = coalesce(EXCLUDED.full_sweep_ended, s.full_sweep_ended),
  last_sweep_ended = EXCLUDED.last_sweep_ended, unsettled = EXCLUDED.unsettled, hints = EXCLUDED.hints;
