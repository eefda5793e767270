-- The whole schema, for reading: what the migrations make, as pg_dump writes it. Never run, never
-- edited: bin/schema writes it again after a migration was added.

CREATE TYPE public.availability AS ENUM (
    'available',
    'unavailable'
);

CREATE TYPE public.breaker_state AS ENUM (
    'closed',
    'open'
);

CREATE TYPE public.calibration_state AS ENUM (
    'good',
    'failed'
);

CREATE TYPE public.canary_outcome AS ENUM (
    'returned',
    'stuck',
    'wrong'
);

CREATE TYPE public.clock_state AS ENUM (
    'good',
    'doubtful',
    'unknown'
);

CREATE TYPE public.copy_state AS ENUM (
    'arriving',
    'present',
    'suspect',
    'missing',
    'corrupt',
    'deleting',
    'deleted'
);

CREATE TYPE public.deletion_stage AS ENUM (
    'nominated',
    'deleting',
    'trashed',
    'hashed',
    'condemned',
    'recalled',
    'deleted',
    'kept'
);

CREATE TYPE public.deletion_state AS ENUM (
    'nominated',
    'decided',
    'done',
    'withdrawn'
);

CREATE TYPE public.file_handling AS ENUM (
    'archive',
    'ephemeral',
    'adopted',
    'canary'
);

CREATE TYPE public.file_relation AS ENUM (
    'first',
    'version',
    'exposure'
);

CREATE TYPE public.frame_type AS ENUM (
    'bias',
    'dark',
    'flat',
    'arc',
    'focus',
    'standard',
    'science',
    'guide',
    'engineering',
    'product',
    'unknown'
);

CREATE TYPE public.header_state AS ENUM (
    'whole',
    'none',
    'broken'
);

CREATE TYPE public.job_state AS ENUM (
    'ready',
    'waiting',
    'running'
);

CREATE TYPE public.location_type AS ENUM (
    'SOURCE',
    'BUFFER',
    'LONG_TERM_ARCHIVE',
    'PROCESSING'
);

CREATE TYPE public.night_source AS ENUM (
    'exposure',
    'arrival'
);

CREATE TYPE public.package_state AS ENUM (
    'planned',
    'packed',
    'dissolved'
);

CREATE TYPE public.quality AS ENUM (
    'unknown',
    'good',
    'doubtful',
    'bad'
);

CREATE TYPE public.read_kind AS ENUM (
    'cache',
    'remote',
    'medium'
);

CREATE TYPE public.reading_outcome AS ENUM (
    'good',
    'differs',
    'unreadable'
);

CREATE DOMAIN public.sha256 AS text
	CONSTRAINT sha256_check CHECK ((VALUE ~ '^[0-9a-f]{64}$'::text));

CREATE TYPE public.staged_state AS ENUM (
    'wanted',
    'ready',
    'leaving',
    'gone'
);

CREATE TYPE public.staging_state AS ENUM (
    'open',
    'ready',
    'ended',
    'gone'
);

CREATE TYPE public.storage_kind AS ENUM (
    'posix',
    's3'
);

CREATE TYPE public.unit_origin AS ENUM (
    'filed',
    'grouped'
);

CREATE FUNCTION public.archived_as(file uuid) RETURNS uuid
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce((SELECT m.package FROM package_member m WHERE m.file = archived_as.file), archived_as.file)
$$;

CREATE FUNCTION public.archives_for(program text) RETURNS SETOF text
    LANGUAGE sql STABLE
    AS $$
  SELECT l.name FROM program_archive a JOIN data_location l ON l.name = a.location
  WHERE l.active AND l.type = 'LONG_TERM_ARCHIVE' AND a.program =
    coalesce((SELECT min(x.program) FROM program_archive x WHERE x.program = archives_for.program), '')
$$;

CREATE FUNCTION public.calibrated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  UPDATE hold SET lifted = now(), lifted_by = this_actor()
  WHERE file = NEW.file AND reason = 'waits for its calibration' AND lifted IS NULL;
  RETURN NULL;
END $$;

CREATE FUNCTION public.canary_was_announced() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'UPDATE' OR NOT EXISTS (
      SELECT FROM canary k WHERE (k.location, k.path, k.sha256, k.size) = (NEW.location, NEW.path, NEW.sha256, NEW.size)) THEN
    RAISE EXCEPTION '% of % is no canary that was announced', NEW.path, NEW.location USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION public.condemn_or_recall(wanted uuid, place text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  PERFORM lock_subject(d.package, d.file) FROM deletion d WHERE d.id = wanted;
  WITH verdict AS MATERIALIZED (
    SELECT dc.copy, bool_and(r.holds) AS goes, string_agg(r.detail, '; ') FILTER (WHERE NOT r.holds) AS why
    FROM deletion_copy dc JOIN physical_copy c ON c.id = dc.copy AND c.location = place
    CROSS JOIN LATERAL deletion_clauses(dc.copy, wanted, true) r
    WHERE dc.deletion = wanted AND dc.stage IN ('hashed', 'condemned') GROUP BY dc.copy)
  UPDATE deletion_copy dc SET stage = CASE WHEN v.goes THEN 'condemned'::deletion_stage ELSE 'recalled' END,
         detail = coalesce(v.why, ''), changed = now()
  FROM verdict v WHERE dc.deletion = wanted AND dc.copy = v.copy AND NOT (v.goes AND dc.stage = 'condemned');
END $$;

CREATE FUNCTION public.copies_for(program text) RETURNS smallint
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce((SELECT g.copies FROM observing_program g WHERE g.name = copies_for.program), policy.copies)
  FROM policy
$$;

CREATE FUNCTION public.copy_changes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  PERFORM lock_subject(NEW.package, NEW.file);
  NEW.changed := now();
  RETURN NEW;
END $$;

CREATE FUNCTION public.copy_is_own(copy uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  SELECT is_own_place(c.location) FROM physical_copy c WHERE c.id = copy_is_own.copy
$$;

CREATE FUNCTION public.directory_of(path text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $_$
  SELECT CASE WHEN path LIKE '%/%' THEN regexp_replace(path, '/[^/]*$', '') ELSE '' END
$_$;

CREATE FUNCTION public.new_id() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
      PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
      FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

CREATE FUNCTION public.this_site() RETURNS text
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce(nullif(current_setting('nightferry.site', true), ''), 'here')
$$;

CREATE TABLE public.raw_data_file (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    location text NOT NULL,
    path text NOT NULL,
    directory text GENERATED ALWAYS AS (public.directory_of(path)) STORED NOT NULL,
    ordinal integer DEFAULT 1 NOT NULL,
    relation public.file_relation DEFAULT 'first'::public.file_relation NOT NULL,
    replaced_by uuid,
    handling public.file_handling DEFAULT 'archive'::public.file_handling NOT NULL,
    ephemeral_until timestamp with time zone,
    sha256 public.sha256 NOT NULL,
    size bigint NOT NULL,
    mtime_ns bigint NOT NULL,
    ctime_ns bigint NOT NULL,
    inode bigint DEFAULT 0 NOT NULL,
    registered timestamp with time zone DEFAULT now() NOT NULL,
    header public.header_state NOT NULL,
    defects text[] DEFAULT '{}'::text[] NOT NULL,
    night date NOT NULL,
    night_from public.night_source NOT NULL,
    clock public.clock_state DEFAULT 'unknown'::public.clock_state NOT NULL,
    instrument text NOT NULL,
    module text DEFAULT ''::text NOT NULL,
    frame_type public.frame_type DEFAULT 'unknown'::public.frame_type NOT NULL,
    object text DEFAULT ''::text NOT NULL,
    program text,
    exposure_start timestamp with time zone,
    exposure_seconds double precision,
    filter text,
    ra double precision,
    "dec" double precision,
    airmass double precision,
    counter bigint,
    exposure_key text,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    executed_obs_unit uuid,
    owner text,
    public_after timestamp with time zone,
    quality public.quality DEFAULT 'unknown'::public.quality NOT NULL,
    in_package boolean DEFAULT false NOT NULL,
    product uuid,
    CONSTRAINT raw_data_file_check CHECK (((handling = 'ephemeral'::public.file_handling) = (ephemeral_until IS NOT NULL))),
    CONSTRAINT raw_data_file_dec_check CHECK ((("dec" >= ('-90'::integer)::double precision) AND ("dec" <= (90)::double precision))),
    CONSTRAINT raw_data_file_ordinal_check CHECK ((ordinal >= 1)),
    CONSTRAINT raw_data_file_ra_check CHECK (((ra >= (0)::double precision) AND (ra < (360)::double precision))),
    CONSTRAINT raw_data_file_size_check CHECK ((size >= 0))
);

CREATE FUNCTION public.corrections_of(f public.raw_data_file) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_array(c.keyword, c.value) ORDER BY c.file IS NOT NULL, c.at), '[]') FROM header_correction c
  WHERE c.withdrawn IS NULL
    AND (c.file = f.id OR (c.night = f.night AND (c.instrument IS NULL OR c.instrument = f.instrument)))
$$;

CREATE FUNCTION public.decide_deletion(wanted uuid) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE going integer;
BEGIN
  PERFORM lock_subject(d.package, d.file) FROM deletion d WHERE d.id = wanted AND d.state = 'nominated';
  WITH verdict AS MATERIALIZED (
    SELECT dc.copy, bool_and(r.holds) AS goes, string_agg(r.detail, '; ') FILTER (WHERE NOT r.holds) AS why
    FROM deletion d JOIN deletion_copy dc ON dc.deletion = d.id AND dc.stage = 'nominated'
    CROSS JOIN LATERAL deletion_clauses(dc.copy, d.id) r
    WHERE d.id = wanted AND d.state = 'nominated' GROUP BY dc.copy),
  staged AS (
    UPDATE deletion_copy dc SET stage = CASE WHEN v.goes THEN 'deleting'::deletion_stage ELSE 'kept' END,
           detail = coalesce(v.why, ''), changed = now()
    FROM verdict v WHERE dc.deletion = wanted AND dc.copy = v.copy RETURNING dc.copy, dc.stage)
  UPDATE physical_copy c SET state = 'deleting' FROM staged s WHERE c.id = s.copy AND s.stage = 'deleting';
  GET DIAGNOSTICS going = ROW_COUNT;
  UPDATE deletion SET state = CASE WHEN going > 0 THEN 'decided'::deletion_state ELSE 'withdrawn' END,
         decided = now(), closed = CASE WHEN going > 0 THEN NULL ELSE now() END,
         outcome = CASE WHEN going > 0 THEN outcome ELSE
           coalesce((SELECT dc.detail FROM deletion_copy dc WHERE dc.deletion = wanted AND dc.stage = 'kept' LIMIT 1), '') END
  WHERE id = wanted AND state = 'nominated';
  RETURN going;
END $$;

CREATE FUNCTION public.deletion_clauses(copy uuid, deletion uuid DEFAULT NULL::uuid, again boolean DEFAULT false) RETURNS TABLE(clause text, holds boolean, detail text)
    LANGUAGE sql STABLE
    AS $$
  WITH c AS (
    SELECT c.id, c.state, c.location, c.created, c.package AS own_package,
           f.id AS file, f.handling, f.ephemeral_until, f.replaced_by, f.night AS file_night,
           p.id AS package, p.state AS package_state, p.night AS package_night,
           coalesce(p.program, f.program) AS program, coalesce(p.id, f.id) AS subject,
           l.type, l.reap_enabled, l.keep, l.active,
           d.nominated, d.closed AS deletion_closed, dc.stage, d.reason = 'pressure' AS for_room, k.over
    FROM physical_copy c
    JOIN data_location l ON l.name = c.location
    LEFT JOIN raw_data_file f ON f.id = c.file
    LEFT JOIN package_member m ON m.file = c.file
    LEFT JOIN raw_data_package p ON p.id = coalesce(c.package, m.package)
    LEFT JOIN deletion d ON d.id = deletion_clauses.deletion
    LEFT JOIN deletion_copy dc ON dc.deletion = d.id AND dc.copy = c.id
    -- A canary's own file, or the package that it has to itself.
    LEFT JOIN canary_trip k ON k.file = CASE WHEN f.handling = 'canary' THEN f.id
      WHEN c.package IS NOT NULL AND p.members = 1 THEN (SELECT m.file FROM package_member m
        JOIN raw_data_file o ON o.id = m.file AND o.handling = 'canary' WHERE m.package = c.package) END
    WHERE c.id = deletion_clauses.copy),
  survivor AS (
    SELECT count(DISTINCT a.failure_domain) AS held,
           count(DISTINCT a.failure_domain) FILTER (WHERE a.proof_began >= c.nominated
             AND a.proof_how >= a.best_reading
             AND (again OR a.proof_ended > now() - policy.proof_max_age)) AS proven,
           string_agg(a.location, ', ' ORDER BY a.location) AS places
    FROM c, policy, archive_copy a WHERE a.subject = c.subject AND a.id <> c.id),
  need AS (SELECT CASE WHEN c.handling = 'ephemeral' OR c.over IS NOT NULL THEN 0 ELSE copies_for(c.program) END AS copies FROM c),
  held_by AS (
    SELECT h.reason, h.placed_by FROM hold h, c WHERE h.lifted IS NULL
      AND (h.package = c.package OR h.file = c.file OR h.night IN (c.file_night, c.package_night)
           OR h.file IN (SELECT m.file FROM package_member m WHERE m.package = c.own_package)) LIMIT 1),
  unfinished AS (  -- nothing waits for a canary whose trip is over
    SELECT a.name AS missing FROM c, archives_for(c.program) a (name)
    WHERE c.over IS NULL AND c.package_state = 'packed' AND c.type = 'BUFFER' AND NOT EXISTS (
      SELECT FROM physical_copy t WHERE t.package = c.package AND t.location = a.name AND t.state = 'present')
    UNION ALL
    SELECT r.destination FROM c JOIN data_transfer_member m ON m.package = c.own_package
      JOIN data_transfer_package b ON b.id = m.bundle AND b.closed IS NULL
      JOIN route r ON r.name = b.route AND r.origin = c.location
      WHERE c.over IS NULL
    UNION ALL
    SELECT s.location FROM c JOIN staged_package s ON s.package = c.package AND s.state = 'wanted'
    LIMIT 1)
  SELECT 'present', c.state = 'present' OR (again AND c.state = 'deleting'), 'the copy is ' || c.state FROM c
  UNION ALL SELECT 'place', c.type IN ('SOURCE', 'BUFFER') OR c.over IS NOT NULL,
    CASE WHEN c.over IS NOT NULL THEN 'a canary is taken out wherever it is' WHEN c.type IN ('SOURCE', 'BUFFER') THEN 'a ' || c.type || ' may be emptied' ELSE 'nothing is deleted from a ' || c.type END FROM c
  UNION ALL SELECT 'enabled', c.reap_enabled OR c.over IS NOT NULL, CASE WHEN c.over IS NOT NULL THEN 'a canary needs no leave'
    WHEN c.reap_enabled THEN 'deletion is enabled at ' || c.location
    ELSE 'deletion is not enabled at ' || c.location || ': the reaper only plans' END FROM c
  UNION ALL SELECT 'policy', coalesce(CASE WHEN c.over IS NOT NULL THEN c.over WHEN c.handling = 'ephemeral' THEN c.ephemeral_until < now() ELSE c.created + c.keep < now() END, false)
      OR (coalesce(c.for_room, false) AND c.over IS NULL AND c.handling IS DISTINCT FROM 'ephemeral' AND EXISTS (
          SELECT FROM fullness p WHERE p.location = c.location AND p.above_low)),
    CASE WHEN c.over THEN 'the canary''s trip is over' WHEN NOT c.over THEN 'the canary is still on its trip'
         WHEN c.handling = 'ephemeral' THEN 'ephemeral, kept until ' || to_char(c.ephemeral_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
         WHEN c.for_room THEN coalesce((SELECT format('%s is %s %% full, and is emptied to %s %%', c.location,
             round(100.0 * p.used_bytes / p.total_bytes), round((100 * p.low)::numeric)) FROM fullness p WHERE p.location = c.location),
           'how full ' || c.location || ' is, was not measured in the last minutes')
         WHEN c.keep IS NULL THEN c.location || ' lets nothing go by age'
         ELSE 'kept until ' || to_char((c.created + c.keep) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') END FROM c
  UNION ALL SELECT 'version', coalesce(CASE WHEN c.own_package IS NOT NULL THEN c.package_state = 'packed'
      ELSE c.replaced_by IS NULL AND (c.handling IN ('ephemeral', 'canary') OR c.package_state = 'packed') END, false),
    CASE WHEN c.replaced_by IS NOT NULL THEN 'the file was replaced at its path'
         WHEN c.handling = 'ephemeral' THEN 'ephemeral files are not archived'
         WHEN c.handling = 'canary' THEN 'these are the bytes that were sent'
         WHEN c.package IS NULL THEN 'the file is in no package yet'
         WHEN c.package_state <> 'packed' THEN 'its package is not packed yet'
         ELSE 'these are the bytes that were packed' END FROM c
  UNION ALL SELECT 'copies', s.held >= n.copies,
    format('%s of %s archives hold it%s', s.held, n.copies, coalesce(': ' || s.places, '')) FROM survivor s, need n
  UNION ALL SELECT 'proof', n.copies = 0 OR (c.nominated IS NOT NULL AND s.proven >= least(s.held, n.copies)),
    CASE WHEN n.copies = 0 THEN 'none is needed'
         WHEN c.nominated IS NULL THEN 'not nominated: its archive copies are read again first'
         ELSE format('%s of %s archives were read well since it was nominated', s.proven, least(s.held, n.copies)) END FROM c, survivor s, need n
  UNION ALL SELECT 'unneeded', u.missing IS NULL,
    CASE WHEN u.missing IS NULL THEN 'no transfer or archive waits for it' ELSE u.missing || ' still waits for it' END
    FROM c LEFT JOIN unfinished u ON true
  UNION ALL SELECT 'hold', h.reason IS NULL,
    CASE WHEN h.reason IS NULL THEN 'nobody holds it' ELSE 'held by ' || h.placed_by || ': ' || h.reason END
    FROM c LEFT JOIN held_by h ON true
  UNION ALL SELECT 'database', incarnation_is_trusted(),
    CASE WHEN incarnation_is_trusted() THEN 'the database is the one that was trusted'
         ELSE 'the database was restored or failed over and is not audited yet' END
  UNION ALL SELECT 'switch', NOT EXISTS (SELECT FROM deletion_stop WHERE resumed IS NULL),
    coalesce((SELECT 'stopped by ' || stopped_by || ': ' || reason FROM deletion_stop WHERE resumed IS NULL LIMIT 1),
             'deletion is not stopped')
$$;

CREATE FUNCTION public.disturb_directories() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  DELETE FROM source_directory d USING (SELECT DISTINCT location, directory_of(path) AS path FROM fresh) f
  WHERE d.location = f.location AND d.path = f.path;
  RETURN NULL;
END $$;

CREATE FUNCTION public.exposure_under_name(of_file uuid, part text) RETURNS integer
    LANGUAGE sql STABLE
    AS $$
  SELECT CASE WHEN part <> '' OR of_file IS NULL THEN 0 ELSE (
    SELECT count(*)::integer FROM raw_data_file f JOIN raw_data_file x ON x.location = f.location AND x.path = f.path
      AND x.ordinal <= f.ordinal AND x.relation = 'exposure' WHERE f.id = of_file) END
$$;

CREATE FUNCTION public.file_answers(files uuid[]) RETURNS TABLE(file uuid, package uuid, need smallint, held bigint, proven bigint, oldest_proof timestamp with time zone, safe boolean, reason text)
    LANGUAGE sql STABLE
    AS $$
  WITH f AS MATERIALIZED (
    SELECT f.id, f.handling, f.location, p.id AS package, coalesce(p.id, f.id) AS subject,
           p.state AS package_state, coalesce(p.program, f.program) AS program
    -- OFFSET 0: of these files alone, instead of every member that there is
    FROM raw_data_file f LEFT JOIN LATERAL (
      SELECT p.id, p.state, p.program FROM package_member m JOIN raw_data_package p ON p.id = m.package WHERE m.file = f.id OFFSET 0) p ON true
    WHERE f.id = ANY(files)),
  thing AS MATERIALIZED (
    SELECT t.subject, t.program, copies_for(t.program) AS need,
           coalesce(s.held, 0) AS held, coalesce(s.proven, 0) AS proven, s.oldest_proof,
           (SELECT count(*) FROM archive_copy a WHERE a.subject = t.subject) AS copies,
           (SELECT string_agg(n.name || ': ' || coalesce(
                     (SELECT CASE c.state WHEN 'arriving' THEN 'written, not read back yet'
                                          WHEN 'deleted' THEN 'deleted' ELSE 'the copy is ' || c.state END
                      FROM physical_copy c WHERE coalesce(c.package, c.file) = t.subject AND c.location = n.name
                      ORDER BY c.created DESC, c.id DESC LIMIT 1), 'no copy yet'), '; ' ORDER BY n.name)
            FROM archives_for(t.program) n (name)
            WHERE NOT EXISTS (SELECT FROM archive_copy a WHERE a.subject = t.subject AND a.location = n.name)) AS lacking
    FROM (SELECT DISTINCT f.subject, f.program FROM f) t
    -- OFFSET 0: for this thing alone, instead of for every thing there is
    LEFT JOIN LATERAL (SELECT * FROM safety s WHERE s.subject = t.subject OFFSET 0) s ON true)
  SELECT f.id, f.package, t.need, t.held, t.proven, t.oldest_proof,
         f.handling <> 'ephemeral' AND t.proven >= t.need,
         CASE
           WHEN f.handling = 'ephemeral' THEN 'ephemeral: never archived, by this site''s rule'
           WHEN t.proven >= t.need THEN NULL
           WHEN l.accepted IS NOT NULL THEN 'lost, and accepted by ' || l.accepted_by || ': ' || l.reason
           WHEN l.file IS NOT NULL THEN 'lost: ' || l.how
           WHEN f.package IS NULL AND f.handling = 'archive' THEN coalesce(
             (SELECT 'in no package, and its copy at ' || c.location || ' is ' || c.state FROM physical_copy c
              WHERE c.file = f.id AND c.location = f.location AND c.state <> 'present'
              ORDER BY c.created DESC, c.id DESC LIMIT 1), 'in no package yet')
           WHEN f.package_state = 'planned' THEN 'its package is not packed yet'
           WHEN t.held < t.need THEN format('at %s of %s archives', t.held, t.need)
             || CASE WHEN t.copies > t.held THEN ', for some of them fail together' ELSE '' END
             || coalesce(' (' || t.lacking || ')', ': no other archive is asked for it')
           ELSE format('at %s archives, but only %s of %s read it well within %s days',
                       t.held, t.proven, t.need, (SELECT scrub_days FROM policy))
         END
  FROM f JOIN thing t ON t.subject = f.subject AND t.program IS NOT DISTINCT FROM f.program
  LEFT JOIN lost_file l ON l.file = f.id
$$;

CREATE FUNCTION public.grant_calibration(host name) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  EXECUTE format('GRANT INSERT ON calibration, calibration_table, catalog_load, night_solution, night_exposure, '
                 'master_frame, master_member TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON reduced_datum, catalog TO %I', host);
  EXECUTE format('GRANT INSERT, DELETE ON catalog_star TO %I', host);
END $$;

CREATE FUNCTION public.grant_canary(host name) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  EXECUTE format('GRANT SELECT ON canary, canary_trip TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON canary TO %I', host);
END $$;

CREATE FUNCTION public.grant_host(host name, locations text[], reaps boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  INSERT INTO host_role (role, reaps) VALUES (host, reaps) ON CONFLICT (role) DO UPDATE SET reaps = EXCLUDED.reaps;
  DELETE FROM host_place h WHERE h.role = host;
  INSERT INTO host_place (role, location) SELECT host, unnest(locations);
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', host);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON raw_data_file, physical_copy, raw_data_package, executed_obs_unit,
    lost_file, quarantine, location_state, source_directory, data_transfer_package, heartbeat, breaker,
    deletion, deletion_copy, temporary_sweep, instrument, file_header, scrub_pace, staging, staged_package TO %I', host);
  EXECUTE format('GRANT INSERT ON event, verification, audit_result, data_transfer_member, blocked, job_done, instrument_module TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE, DELETE ON job, lease, package_member, source_directory TO %I', host);
  IF NOT reaps THEN
    EXECUTE format('REVOKE ALL ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text) FROM %I', host);
    EXECUTE format('REVOKE INSERT, UPDATE ON deletion, deletion_copy FROM %I', host);
  ELSE
    EXECUTE format('GRANT EXECUTE ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text) TO %I', host);
  END IF;
END $$;

CREATE FUNCTION public.grant_products(host name) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON data_product TO %I', host);
  EXECUTE format('GRANT SELECT, INSERT ON data_product_source TO %I', host);
END $$;

CREATE FUNCTION public.hold_changes() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.night IS NOT NULL THEN
    PERFORM FROM raw_data_package p WHERE p.night = NEW.night ORDER BY p.id FOR NO KEY UPDATE;
    PERFORM FROM raw_data_file f WHERE f.night = NEW.night ORDER BY f.id FOR NO KEY UPDATE;
  ELSE
    PERFORM lock_subject(NEW.package, NEW.file);
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION public.hold_for_calibration() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  INSERT INTO hold (file, reason) SELECT f.id, 'waits for its calibration' FROM fresh f
    JOIN data_location l ON l.name = f.location AND l.type = 'SOURCE'
      AND is_calibrated(l.settings ->> 'content', f.frame_type);
  RETURN NULL;
END $$;

CREATE FUNCTION public.incarnation_is_trusted() RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce((SELECT (i.system_identifier, i.timeline, i.database_oid)
                        = (r.system_identifier, r.timeline, r.database_oid)
                   FROM incarnation i, running_incarnation() r ORDER BY i.began DESC, i.id DESC LIMIT 1), false)
$$;

CREATE FUNCTION public.is_calibrated(content text, type public.frame_type) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
  SELECT content = 'photometry' OR (content = 'images' AND type IN ('science', 'standard'))
$$;

CREATE FUNCTION public.is_captured(file uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  SELECT EXISTS (SELECT FROM package_member m JOIN physical_copy c ON c.package = m.package
                 WHERE m.file = is_captured.file AND c.state IN ('present', 'deleting'))
      OR EXISTS (SELECT FROM package_member m JOIN safety s ON s.subject = m.package WHERE m.file = is_captured.file)
      OR EXISTS (SELECT FROM raw_data_file f WHERE f.id = is_captured.file AND f.handling = 'adopted')
$$;

CREATE FUNCTION public.is_own_place(location text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  SELECT EXISTS (SELECT FROM host_place h WHERE h.role = session_user AND h.location = is_own_place.location)
$$;

CREATE FUNCTION public.is_sent_from_own_place(location text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  SELECT EXISTS (SELECT FROM route r JOIN host_place h ON h.location = r.origin
                 WHERE h.role = session_user AND r.destination = is_sent_from_own_place.location)
$$;

CREATE FUNCTION public.keep_measured() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
  INSERT INTO space_measured (location, at, total_bytes, free_bytes)
  SELECT NEW.location, NEW.measured, NEW.total_bytes, NEW.free_bytes
  WHERE NOT EXISTS (SELECT FROM space_measured s WHERE s.location = NEW.location AND s.at > NEW.measured - interval '10 minutes')
  ON CONFLICT DO NOTHING;
  DELETE FROM space_measured WHERE location = NEW.location AND at < NEW.measured - interval '30 days';
  RETURN NULL;
END $$;

CREATE FUNCTION public.lock_subject(package uuid, file uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE its_package uuid := coalesce(package, (SELECT m.package FROM package_member m WHERE m.file = lock_subject.file));
BEGIN
  IF its_package IS NOT NULL THEN
    PERFORM FROM raw_data_package p WHERE p.id = its_package FOR NO KEY UPDATE;
  ELSE
    PERFORM FROM raw_data_file f WHERE f.id = lock_subject.file FOR NO KEY UPDATE;
  END IF;
END $$;

CREATE FUNCTION public.make_job_months() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE month timestamptz; name text; made integer := 0;
BEGIN
  FOR ahead IN 0..2 LOOP
    month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => ahead);
    name := 'job_done_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
    CONTINUE WHEN to_regclass(name) IS NOT NULL;
    -- Rows that the default already took for that month keep it; a new partition would not attach.
    CONTINUE WHEN EXISTS (SELECT FROM job_done_default WHERE at >= month AND at < month + interval '1 month');
    EXECUTE format('CREATE TABLE %I PARTITION OF job_done FOR VALUES FROM (%L) TO (%L)',
                   name, month, (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

CREATE FUNCTION public.mark_members() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  UPDATE raw_data_file f SET in_package = (TG_OP = 'INSERT') FROM touched m WHERE f.id = m.file;
  RETURN NULL;
END $$;

CREATE FUNCTION public.may_delete() RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
  SELECT incarnation_is_trusted() AND NOT EXISTS (SELECT FROM deletion_stop WHERE resumed IS NULL)
$$;

CREATE FUNCTION public.may_reap() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
  SELECT NOT EXISTS (SELECT FROM host_role h WHERE h.role = session_user)
      OR EXISTS (SELECT FROM host_role h WHERE h.role = session_user AND h.reaps)
$$;

CREATE FUNCTION public.only_the_reaper() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NOT may_reap() THEN
    RAISE EXCEPTION 'permission denied: only the reaper''s role may let a copy go (copy %)', NEW.id
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION '% rows are history: they are never changed or removed', TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION public.row_counts() RETURNS TABLE(name text, rows bigint)
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
  FOR name IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              ORDER BY c.relname LOOP
    EXECUTE format('SELECT count(*) FROM %I', name) INTO rows;
    RETURN NEXT;
  END LOOP;
END $$;

CREATE FUNCTION public.running_incarnation(OUT system_identifier bigint, OUT timeline integer, OUT database_oid oid) RETURNS record
    LANGUAGE sql STABLE
    AS $$
  SELECT s.system_identifier,
         CASE WHEN pg_is_in_recovery() THEN c.timeline_id
              -- The first eight digits of the name of the log's file that is written to.
              ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer END,
         d.oid
  FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
  WHERE d.datname = current_database()
$$;

CREATE FUNCTION public.scrub_needs() RETURNS TABLE(location text, due bigint, due_bytes numeric, bytes_per_second double precision)
    LANGUAGE sql STABLE
    AS $$
  WITH due AS (
    SELECT k.location, k.size, sum(k.size) OVER (PARTITION BY k.location ORDER BY k.read_well, k.id) AS sum_so_far,
           k.read_well + make_interval(secs => policy.scrub_days * 0.9 * 86400) - now() AS left_for_it
    FROM kept_copy k, policy WHERE k.read_well < now() - make_interval(secs => policy.scrub_days * 0.8 * 86400))
  SELECT d.location, count(*), sum(d.size), max(d.sum_so_far::double precision / greatest(extract(epoch FROM d.left_for_it)::double precision, 3600))
  FROM due d GROUP BY d.location
$$;

CREATE FUNCTION public.tell_copies() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN  -- a file that was just registered has told of itself
    INSERT INTO event (what, subject, location, detail)
    SELECT 'copy ' || state, coalesce(package, file), location, jsonb_build_object('copy', id, 'path', path)
    FROM fresh WHERE package IS NOT NULL OR state <> 'present';
  ELSE
    INSERT INTO event (what, subject, location, detail)
    SELECT 'copy ' || f.state, coalesce(f.package, f.file), f.location,
           jsonb_build_object('copy', f.id, 'path', f.path, 'was', o.state)
    FROM fresh f JOIN old o USING (id) WHERE f.state <> o.state;
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION public.tell_files() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  INSERT INTO event (what, subject, location, detail)
  SELECT 'file registered', id, location, jsonb_strip_nulls(jsonb_build_object('path', path,
      'ordinal', nullif(ordinal, 1), 'relation', nullif(relation, 'first'), 'sha256', sha256, 'size', size)) FROM fresh;
  RETURN NULL;
END $$;

CREATE FUNCTION public.tell_row() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
  told jsonb := to_jsonb(NEW) - 'document';
  was jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) - 'document' ELSE '{}' END;
  about text := coalesce(told ->> TG_ARGV[1], told ->> 'id', told ->> 'name', told ->> 'subject', '');
BEGIN
  IF TG_OP = 'UPDATE' AND told = was THEN RETURN NULL; END IF;
  SELECT coalesce(jsonb_object_agg(key, value), '{}') INTO told FROM jsonb_each(told)
    WHERE value <> 'null' AND (TG_OP = 'INSERT' OR value IS DISTINCT FROM was -> key);
  INSERT INTO event (what, subject, location, detail)
  VALUES (TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN ' made' ELSE ' changed' END, about, to_jsonb(NEW) ->> 'location', told);
  RETURN NULL;
END $$;

CREATE FUNCTION public.this_actor() RETURNS text
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce(nullif(current_setting('nightferry.actor', true), ''), session_user::text)
$$;

CREATE FUNCTION public.this_host() RETURNS text
    LANGUAGE sql STABLE
    AS $$
  SELECT coalesce(nullif(current_setting('nightferry.host', true), ''), 'here')
$$;

CREATE FUNCTION public.trust_incarnation(reason text) RETURNS void
    LANGUAGE sql
    AS $$
  INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)
  SELECT system_identifier, timeline, database_oid, trust_incarnation.reason FROM running_incarnation();
  INSERT INTO event (what, detail) VALUES ('incarnation trusted', jsonb_build_object('reason', reason));
$$;

CREATE TABLE public.raw_data_package (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    name text NOT NULL,
    path text NOT NULL,
    origin text NOT NULL,
    night date NOT NULL,
    instrument text NOT NULL,
    module text DEFAULT ''::text NOT NULL,
    executed_obs_unit uuid,
    program text,
    owner text,
    public_after timestamp with time zone,
    state public.package_state DEFAULT 'planned'::public.package_state NOT NULL,
    priority smallint DEFAULT 100 NOT NULL,
    supplement_of uuid,
    members integer NOT NULL,
    document jsonb NOT NULL,
    planned timestamp with time zone DEFAULT now() NOT NULL,
    packed timestamp with time zone,
    sha256 public.sha256,
    size bigint,
    dissolved_because text,
    CONSTRAINT raw_data_package_check CHECK (((state = 'packed'::public.package_state) = (sha256 IS NOT NULL))),
    CONSTRAINT raw_data_package_check1 CHECK ((num_nonnulls(packed, sha256, size) = ANY (ARRAY[0, 3]))),
    CONSTRAINT raw_data_package_size_check CHECK ((size >= 0))
);

CREATE VIEW public.archivable AS
 SELECT raw_data_package.id,
    'package'::text AS kind,
    raw_data_package.name,
    raw_data_package.path,
    raw_data_package.sha256,
    raw_data_package.size,
    raw_data_package.program,
    raw_data_package.night,
    raw_data_package.priority
   FROM public.raw_data_package
  WHERE (raw_data_package.state = 'packed'::public.package_state)
UNION ALL
 SELECT raw_data_file.id,
    'file'::text AS kind,
    raw_data_file.path AS name,
    raw_data_file.path,
    raw_data_file.sha256,
    raw_data_file.size,
    raw_data_file.program,
    raw_data_file.night,
    100 AS priority
   FROM public.raw_data_file
  WHERE (raw_data_file.handling = 'adopted'::public.file_handling);

CREATE TABLE public.data_location (
    name text NOT NULL,
    site text NOT NULL,
    type public.location_type NOT NULL,
    storage public.storage_kind DEFAULT 'posix'::public.storage_kind NOT NULL,
    priority smallint DEFAULT 100 NOT NULL,
    active boolean DEFAULT true NOT NULL,
    failure_domain text NOT NULL,
    marker uuid,
    capabilities jsonb DEFAULT '{}'::jsonb NOT NULL,
    best_reading public.read_kind DEFAULT 'medium'::public.read_kind NOT NULL,
    reap_enabled boolean DEFAULT false NOT NULL,
    keep interval,
    high double precision,
    low double precision,
    trash_grace interval DEFAULT '24:00:00'::interval NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT data_location_check CHECK ((((high IS NULL) = (low IS NULL)) AND COALESCE((low < high), true))),
    CONSTRAINT data_location_high_check CHECK ((high < (1)::double precision)),
    CONSTRAINT data_location_low_check CHECK ((low > (0)::double precision))
);

CREATE TABLE public.physical_copy (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    file uuid,
    package uuid,
    location text NOT NULL,
    path text NOT NULL,
    temporary text,
    state public.copy_state NOT NULL,
    sha256 public.sha256 NOT NULL,
    size bigint NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    changed timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT physical_copy_check CHECK ((num_nonnulls(file, package) = 1)),
    CONSTRAINT physical_copy_check1 CHECK (((state = 'arriving'::public.copy_state) = (temporary IS NOT NULL))),
    CONSTRAINT physical_copy_size_check CHECK ((size >= 0))
);

CREATE TABLE public.verification (
    id uuid DEFAULT public.new_id() NOT NULL,
    copy uuid NOT NULL,
    began timestamp with time zone NOT NULL,
    ended timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    outcome public.reading_outcome NOT NULL,
    sha256 public.sha256,
    size bigint,
    how public.read_kind NOT NULL,
    host text NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    CONSTRAINT verification_check CHECK ((began <= ended)),
    CONSTRAINT verification_check1 CHECK (((outcome <> 'good'::public.reading_outcome) OR ((sha256 IS NOT NULL) AND (size IS NOT NULL))))
);

CREATE VIEW public.archive_copy AS
 SELECT c.id,
    COALESCE(c.package, c.file) AS subject,
    c.package,
    c.file,
    c.location,
    c.path,
    l.site,
    l.failure_domain,
    l.active,
    l.best_reading,
    v.began AS proof_began,
    v.ended AS proof_ended,
    v.how AS proof_how
   FROM ((public.physical_copy c
     JOIN public.data_location l ON (((l.name = c.location) AND (l.type = 'LONG_TERM_ARCHIVE'::public.location_type))))
     LEFT JOIN LATERAL ( SELECT v_1.began,
            v_1.ended,
            v_1.how
           FROM public.verification v_1
          WHERE ((v_1.copy = c.id) AND (v_1.outcome = 'good'::public.reading_outcome))
          ORDER BY v_1.ended DESC
         LIMIT 1) v ON (true))
  WHERE (c.state = 'present'::public.copy_state);

CREATE VIEW public.archive_gap AS
 SELECT t.id AS thing,
    a.name AS archive,
    t.priority
   FROM ((public.archivable t
     CROSS JOIN LATERAL public.archives_for(t.program) a(name))
     JOIN public.data_location l ON ((l.name = a.name)))
  WHERE ((NOT (EXISTS ( SELECT
           FROM public.physical_copy c
          WHERE (((c.package = t.id) OR (c.file = t.id)) AND (c.location = a.name) AND (c.state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state])))))) AND (EXISTS ( SELECT
           FROM (public.physical_copy c
             JOIN public.data_location here ON ((here.name = c.location)))
          WHERE (((c.package = t.id) OR (c.file = t.id)) AND (c.state = 'present'::public.copy_state) AND (here.site = l.site) AND (here.type <> 'SOURCE'::public.location_type)))));

CREATE TABLE public.audit_result (
    id uuid DEFAULT public.new_id() NOT NULL,
    location text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    database_oid oid NOT NULL,
    passed boolean NOT NULL,
    files bigint NOT NULL,
    copies bigint NOT NULL,
    unknown bigint NOT NULL,
    absent bigint NOT NULL,
    other_size bigint NOT NULL
);

CREATE TABLE public.backup (
    id uuid DEFAULT public.new_id() NOT NULL,
    location text NOT NULL,
    path text NOT NULL,
    sha256 public.sha256 NOT NULL,
    size bigint NOT NULL,
    taken timestamp with time zone NOT NULL,
    proven timestamp with time zone DEFAULT now() NOT NULL,
    rows bigint NOT NULL,
    host text DEFAULT public.this_host() NOT NULL,
    CONSTRAINT backup_size_check CHECK ((size > 0))
);

CREATE TABLE public.blocked (
    kind text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    evidence jsonb DEFAULT '{}'::jsonb NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL
);

CREATE TABLE public.breaker (
    name text NOT NULL,
    state public.breaker_state DEFAULT 'closed'::public.breaker_state NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    subjects text[] DEFAULT '{}'::text[] NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    probed timestamp with time zone
);

CREATE TABLE public.calibration (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    file uuid,
    source_name text NOT NULL,
    source_location text NOT NULL,
    sha256 public.sha256 NOT NULL,
    part text DEFAULT ''::text NOT NULL,
    made timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    state public.calibration_state NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    advice text DEFAULT ''::text NOT NULL,
    night date,
    instrument text DEFAULT ''::text NOT NULL,
    middle timestamp with time zone,
    exposure_seconds double precision,
    airmass double precision,
    filter text DEFAULT ''::text NOT NULL,
    band text,
    system text,
    unit text,
    aperture text DEFAULT ''::text NOT NULL,
    catalog text,
    transformation text,
    zero_point double precision,
    zero_point_error double precision,
    fit_error double precision,
    colour text,
    colour_reference double precision,
    colour_term double precision,
    colour_term_error double precision,
    scatter double precision,
    measured integer DEFAULT 0 NOT NULL,
    matched integer DEFAULT 0 NOT NULL,
    used integer DEFAULT 0 NOT NULL,
    limiting double precision,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    exposure integer DEFAULT 0 NOT NULL,
    CONSTRAINT calibration_check CHECK (((state = 'failed'::public.calibration_state) OR (num_nulls(band, system, unit, catalog, zero_point, zero_point_error, middle) = 0))),
    CONSTRAINT calibration_check1 CHECK (((state = 'good'::public.calibration_state) OR ((reason <> ''::text) AND (zero_point IS NULL)))),
    CONSTRAINT calibration_system_check CHECK ((system = ANY (ARRAY['AB'::text, 'Vega'::text]))),
    CONSTRAINT calibration_unit_check CHECK ((unit = ANY (ARRAY['ADU/s'::text, 'e-/s'::text])))
);

CREATE TABLE public.calibration_table (
    calibration uuid NOT NULL,
    content bytea NOT NULL
);

CREATE TABLE public.canary (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    host text DEFAULT public.this_host() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    location text NOT NULL,
    path text NOT NULL,
    sha256 public.sha256 NOT NULL,
    size bigint NOT NULL,
    daily boolean DEFAULT false NOT NULL,
    sent timestamp with time zone DEFAULT now() NOT NULL,
    file uuid,
    ended timestamp with time zone,
    outcome public.canary_outcome,
    why text DEFAULT ''::text NOT NULL,
    gone timestamp with time zone,
    CONSTRAINT canary_check CHECK (((ended IS NULL) = (outcome IS NULL))),
    CONSTRAINT canary_size_check CHECK ((size > 0))
);

CREATE VIEW public.canary_trip AS
 SELECT id,
    site,
    host,
    by,
    location,
    path,
    sha256,
    size,
    daily,
    sent,
    file,
    ended,
    outcome,
    why,
    gone,
    ((ended IS NOT NULL) OR (sent < (now() - '1 day'::interval))) AS over
   FROM public.canary k;

CREATE TABLE public.catalog (
    name text NOT NULL,
    number smallint NOT NULL,
    columns text[] NOT NULL,
    stars bigint DEFAULT 0 NOT NULL,
    covered int8multirange DEFAULT '{}'::int8multirange NOT NULL,
    loaded timestamp with time zone
);

CREATE TABLE public.catalog_load (
    id uuid DEFAULT public.new_id() NOT NULL,
    catalog text NOT NULL,
    source text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    stars bigint NOT NULL,
    covered int8multirange NOT NULL
);

ALTER TABLE public.catalog ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.catalog_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.catalog_star (
    catalog smallint NOT NULL,
    hpx bigint NOT NULL,
    star bigint NOT NULL,
    ra double precision NOT NULL,
    "dec" double precision NOT NULL,
    numbers real[] NOT NULL,
    name text
);

CREATE VIEW public.held_at_site AS
 SELECT c.package,
    l.site
   FROM (public.physical_copy c
     JOIN public.data_location l ON (((l.name = c.location) AND (l.type <> 'SOURCE'::public.location_type))))
  WHERE ((c.package IS NOT NULL) AND (c.state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state])) AND (NOT (EXISTS ( SELECT
           FROM public.breaker b
          WHERE ((b.name = l.name) AND (b.state = 'open'::public.breaker_state))))));

CREATE TABLE public.location_state (
    location text NOT NULL,
    host text NOT NULL,
    state public.availability NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    checked timestamp with time zone DEFAULT now() NOT NULL,
    total_bytes bigint,
    free_bytes bigint,
    measured timestamp with time zone,
    full_sweep_began timestamp with time zone,
    full_sweep_ended timestamp with time zone,
    last_sweep_ended timestamp with time zone,
    unsettled integer DEFAULT 0 NOT NULL,
    hints text DEFAULT ''::text NOT NULL,
    vanish_guard jsonb
);

CREATE TABLE public.policy (
    only_row boolean DEFAULT true NOT NULL,
    copies smallint DEFAULT 2 NOT NULL,
    scrub_days real DEFAULT 90 NOT NULL,
    proof_max_age interval DEFAULT '72:00:00'::interval NOT NULL,
    group_quiet interval DEFAULT '00:10:00'::interval NOT NULL,
    package_size bigint DEFAULT '50000000000'::bigint NOT NULL,
    bundle_size bigint DEFAULT '200000000000'::bigint NOT NULL,
    sweep_temporaries interval DEFAULT '01:00:00'::interval NOT NULL,
    backup_max_age interval DEFAULT '2 days'::interval NOT NULL,
    reap_files integer DEFAULT 10000 NOT NULL,
    reap_bytes bigint DEFAULT '5000000000000'::bigint NOT NULL,
    document jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT policy_bundle_size_check CHECK ((bundle_size > 0)),
    CONSTRAINT policy_copies_check CHECK ((copies >= 1)),
    CONSTRAINT policy_only_row_check CHECK (only_row),
    CONSTRAINT policy_package_size_check CHECK ((package_size > 0)),
    CONSTRAINT policy_scrub_days_check CHECK ((scrub_days > (0)::double precision))
);

CREATE TABLE public.route (
    name text NOT NULL,
    origin text NOT NULL,
    destination text NOT NULL,
    transport text DEFAULT 'local'::text NOT NULL,
    priority smallint DEFAULT 100 NOT NULL,
    active boolean DEFAULT true NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT route_check CHECK ((origin <> destination))
);

CREATE VIEW public.way AS
 SELECT r.name AS route,
    r.origin,
    r.destination,
    o.site AS from_site,
    d.site AS to_site,
    r.priority,
    d.priority AS place_priority,
    ((EXISTS ( SELECT
           FROM public.breaker b
          WHERE ((b.name = ANY (ARRAY[r.name, r.destination])) AND (b.state = 'open'::public.breaker_state)))) OR (EXISTS ( SELECT
           FROM public.location_state s,
            public.policy
          WHERE ((s.location = r.destination) AND (s.measured > (now() - '00:05:00'::interval)) AND (s.free_bytes < policy.package_size))))) AS broken
   FROM ((public.route r
     JOIN public.data_location o ON ((o.name = r.origin)))
     JOIN public.data_location d ON (((d.name = r.destination) AND d.active)))
  WHERE r.active;

CREATE VIEW public.route_feeds AS
 WITH RECURSIVE ways AS MATERIALIZED (
         SELECT way.route,
            way.origin,
            way.destination,
            way.from_site,
            way.to_site,
            way.priority,
            way.place_priority,
            way.broken
           FROM public.way
        ), leads(route, site, past, whole) AS (
         SELECT w_1.route,
            w_1.to_site,
            ARRAY[w_1.from_site, w_1.to_site] AS "array",
            (NOT w_1.broken) AS "?column?"
           FROM ways w_1
        UNION ALL
         SELECT l.route,
            w_1.to_site,
            (l.past || w_1.to_site),
            (l.whole AND (NOT w_1.broken))
           FROM (leads l
             JOIN ways w_1 ON (((w_1.from_site = l.site) AND (w_1.to_site <> ALL (l.past)))))
        ), reached AS (
         SELECT l.route,
            l.site,
            bool_or(l.whole) AS whole,
            (min(cardinality(l.past)) - 1) AS legs
           FROM leads l
          GROUP BY l.route, l.site
        )
 SELECT r.route,
    r.site,
    r.whole,
    r.legs,
    w.origin,
    w.from_site,
    (row_number() OVER (PARTITION BY w.origin, r.site ORDER BY r.whole DESC, w.priority, w.place_priority, r.legs, r.route) = 1) AS preferred
   FROM (reached r
     JOIN ways w ON ((w.route = r.route)));

CREATE VIEW public.crossing AS
 SELECT w.route,
    p.id AS package,
    p.size,
    p.priority,
    p.packed
   FROM ((public.way w
     JOIN public.physical_copy here ON (((here.location = w.origin) AND (here.state = 'present'::public.copy_state) AND (here.package IS NOT NULL))))
     JOIN public.raw_data_package p ON ((p.id = here.package)))
  WHERE ((NOT (EXISTS ( SELECT
           FROM public.physical_copy t
          WHERE ((t.package = p.id) AND (t.location = w.destination) AND (t.state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state])))))) AND ((w.from_site = w.to_site) OR (NOT (EXISTS ( SELECT
           FROM public.held_at_site h
          WHERE ((h.package = p.id) AND (h.site = w.to_site)))))) AND (EXISTS ( SELECT
           FROM ((public.archives_for(p.program) a(name)
             JOIN public.data_location l ON ((l.name = a.name)))
             JOIN public.route_feeds f ON (((f.route = w.route) AND (f.site = l.site) AND f.preferred)))
          WHERE (NOT (EXISTS ( SELECT
                   FROM public.physical_copy c
                  WHERE ((c.package = p.id) AND (c.location = a.name) AND (c.state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state])))))))));

CREATE VIEW public.current_calibration AS
 SELECT DISTINCT ON (source_location, source_name, exposure, part, band) id,
    site,
    file,
    source_name,
    source_location,
    sha256,
    part,
    made,
    by,
    state,
    reason,
    advice,
    night,
    instrument,
    middle,
    exposure_seconds,
    airmass,
    filter,
    band,
    system,
    unit,
    aperture,
    catalog,
    transformation,
    zero_point,
    zero_point_error,
    fit_error,
    colour,
    colour_reference,
    colour_term,
    colour_term_error,
    scatter,
    measured,
    matched,
    used,
    limiting,
    flags,
    detail,
    exposure
   FROM public.calibration
  WHERE (state = 'good'::public.calibration_state)
  ORDER BY source_location, source_name, exposure, part, band, made DESC, id DESC;

CREATE TABLE public.night_solution (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    made timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    night date NOT NULL,
    source_location text NOT NULL,
    instrument text DEFAULT ''::text NOT NULL,
    field text NOT NULL,
    band text NOT NULL,
    system text NOT NULL,
    unit text NOT NULL,
    catalog text NOT NULL,
    transformation text NOT NULL,
    state public.calibration_state NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    advice text DEFAULT ''::text NOT NULL,
    zero_point double precision,
    zero_point_error double precision,
    fit_error double precision,
    at_colour_0 double precision,
    colour text,
    colour_reference double precision,
    colour_term double precision,
    colour_term_error double precision,
    exposures integer NOT NULL,
    stars integer DEFAULT 0 NOT NULL,
    used integer DEFAULT 0 NOT NULL,
    repeats double precision,
    repeats_worst double precision,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT night_solution_check CHECK (((state = 'failed'::public.calibration_state) OR (num_nulls(zero_point, zero_point_error, fit_error, colour_reference) = 0))),
    CONSTRAINT night_solution_check1 CHECK (((state = 'good'::public.calibration_state) OR ((reason <> ''::text) AND (zero_point IS NULL)))),
    CONSTRAINT night_solution_system_check CHECK ((system = ANY (ARRAY['AB'::text, 'Vega'::text]))),
    CONSTRAINT night_solution_unit_check CHECK ((unit = ANY (ARRAY['ADU/s'::text, 'e-/s'::text])))
);

CREATE VIEW public.current_night_solution AS
 SELECT DISTINCT ON (night, source_location, field, band) id,
    site,
    made,
    by,
    night,
    source_location,
    instrument,
    field,
    band,
    system,
    unit,
    catalog,
    transformation,
    state,
    reason,
    advice,
    zero_point,
    zero_point_error,
    fit_error,
    at_colour_0,
    colour,
    colour_reference,
    colour_term,
    colour_term_error,
    exposures,
    stars,
    used,
    repeats,
    repeats_worst,
    flags
   FROM public.night_solution
  WHERE (state = 'good'::public.calibration_state)
  ORDER BY night, source_location, field, band, made DESC, id DESC;

CREATE TABLE public.data_product (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    name text NOT NULL,
    location text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    staging uuid,
    by text DEFAULT public.this_actor() NOT NULL,
    begun timestamp with time zone DEFAULT now() NOT NULL,
    returned timestamp with time zone
);

CREATE TABLE public.data_product_source (
    product uuid NOT NULL,
    file uuid NOT NULL
);

CREATE TABLE public.data_transfer_member (
    bundle uuid NOT NULL,
    package uuid NOT NULL
);

CREATE TABLE public.data_transfer_package (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    route text NOT NULL,
    priority smallint NOT NULL,
    size bigint NOT NULL,
    formed timestamp with time zone DEFAULT now() NOT NULL,
    closed timestamp with time zone
);

CREATE TABLE public.deletion (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    package uuid,
    file uuid,
    reason text NOT NULL,
    state public.deletion_state DEFAULT 'nominated'::public.deletion_state NOT NULL,
    nominated timestamp with time zone DEFAULT now() NOT NULL,
    decided timestamp with time zone,
    closed timestamp with time zone,
    outcome text DEFAULT ''::text NOT NULL,
    CONSTRAINT deletion_check CHECK ((num_nonnulls(package, file) = 1))
);

CREATE TABLE public.deletion_copy (
    deletion uuid NOT NULL,
    copy uuid NOT NULL,
    stage public.deletion_stage DEFAULT 'nominated'::public.deletion_stage NOT NULL,
    trash text,
    changed timestamp with time zone DEFAULT now() NOT NULL,
    detail text DEFAULT ''::text NOT NULL,
    doubt text DEFAULT ''::text NOT NULL,
    CONSTRAINT deletion_copy_doubt CHECK ((doubt = ANY (ARRAY[''::text, 'touched'::text, 'bad'::text])))
);

COMMENT ON COLUMN public.deletion_copy.doubt IS 'touched: perhaps written since it was last read; bad: could not be proven in the trash';

CREATE TABLE public.deletion_stop (
    id uuid DEFAULT public.new_id() NOT NULL,
    stopped timestamp with time zone DEFAULT now() NOT NULL,
    stopped_by text DEFAULT public.this_actor() NOT NULL,
    reason text NOT NULL,
    resumed timestamp with time zone,
    resumed_by text
);

CREATE TABLE public.event (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text DEFAULT public.this_actor() NOT NULL,
    what text NOT NULL,
    subject text DEFAULT ''::text NOT NULL,
    location text,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE public.executed_obs_unit (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    origin public.unit_origin NOT NULL,
    program text,
    obs_unit uuid,
    instrument text NOT NULL,
    module text DEFAULT ''::text NOT NULL,
    night date NOT NULL,
    frame_type public.frame_type DEFAULT 'unknown'::public.frame_type NOT NULL,
    target text DEFAULT ''::text NOT NULL,
    began timestamp with time zone,
    ended timestamp with time zone,
    completed timestamp with time zone,
    owner text,
    public_after timestamp with time zone,
    quality public.quality DEFAULT 'unknown'::public.quality NOT NULL,
    document jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE public.file_header (
    file uuid NOT NULL,
    hdu integer NOT NULL,
    cards text NOT NULL
);

CREATE TABLE public.filed_file (
    executed_obs_unit uuid NOT NULL,
    location text NOT NULL,
    path text NOT NULL
);

CREATE VIEW public.fullness AS
 SELECT l.name AS location,
    l.reap_enabled,
    l.high,
    l.low,
    s.total_bytes,
    (s.total_bytes - s.free_bytes) AS used_bytes,
    s.measured,
    (((s.total_bytes - s.free_bytes))::double precision >= (l.high * (s.total_bytes)::double precision)) AS above_high,
    (((s.total_bytes - s.free_bytes))::double precision > (l.low * (s.total_bytes)::double precision)) AS above_low
   FROM (public.data_location l
     JOIN LATERAL ( SELECT s_1.total_bytes,
            s_1.free_bytes,
            s_1.measured
           FROM public.location_state s_1
          WHERE ((s_1.location = l.name) AND (s_1.state = 'available'::public.availability) AND (s_1.measured > (now() - '00:05:00'::interval)))
          ORDER BY s_1.measured DESC
         LIMIT 1) s ON (true))
  WHERE ((l.high IS NOT NULL) AND (l.type = ANY (ARRAY['SOURCE'::public.location_type, 'BUFFER'::public.location_type])));

CREATE TABLE public.header_correction (
    id uuid DEFAULT public.new_id() NOT NULL,
    file uuid,
    instrument text,
    night date,
    keyword text NOT NULL,
    value jsonb,
    by text DEFAULT public.this_actor() NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    why text NOT NULL,
    withdrawn timestamp with time zone,
    CONSTRAINT header_correction_check CHECK ((num_nonnulls(file, night) = 1))
);

CREATE TABLE public.heartbeat (
    daemon text NOT NULL,
    host text NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started timestamp with time zone DEFAULT now() NOT NULL,
    seen timestamp with time zone DEFAULT now() NOT NULL,
    stopped timestamp with time zone,
    status text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.hold (
    id uuid DEFAULT public.new_id() NOT NULL,
    night date,
    package uuid,
    file uuid,
    reason text NOT NULL,
    placed timestamp with time zone DEFAULT now() NOT NULL,
    placed_by text DEFAULT public.this_actor() NOT NULL,
    lifted timestamp with time zone,
    lifted_by text,
    CONSTRAINT hold_check CHECK ((num_nonnulls(night, package, file) = 1))
);

CREATE TABLE public.host_place (
    role name NOT NULL,
    location text NOT NULL
);

CREATE TABLE public.host_role (
    role name NOT NULL,
    reaps boolean DEFAULT false NOT NULL
);

CREATE TABLE public.incarnation (
    id uuid DEFAULT public.new_id() NOT NULL,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    database_oid oid NOT NULL,
    began timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    trusted_by text DEFAULT public.this_actor() NOT NULL,
    reason text NOT NULL
);

CREATE TABLE public.instrument (
    name text NOT NULL,
    telescope text
);

CREATE TABLE public.instrument_module (
    instrument text NOT NULL,
    name text NOT NULL
);

CREATE TABLE public.job (
    id bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    place text DEFAULT ''::text NOT NULL,
    needs text DEFAULT ''::text NOT NULL,
    state public.job_state DEFAULT 'ready'::public.job_state NOT NULL,
    priority smallint DEFAULT 100 NOT NULL,
    due timestamp with time zone DEFAULT now() NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    max_attempts smallint DEFAULT 8 NOT NULL,
    claim uuid,
    claimed_by text,
    done bigint,
    done_of bigint,
    error jsonb,
    created timestamp with time zone DEFAULT now() NOT NULL,
    told timestamp with time zone,
    rate double precision,
    CONSTRAINT job_check CHECK (((state = 'running'::public.job_state) = (claim IS NOT NULL)))
)
WITH (fillfactor='70', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000');

CREATE TABLE public.job_done (
    id bigint NOT NULL,
    claim uuid NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    attempts smallint NOT NULL,
    claimed_by text,
    created timestamp with time zone NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (at);

CREATE TABLE public.job_done_default (
    id bigint CONSTRAINT job_done_id_not_null NOT NULL,
    claim uuid CONSTRAINT job_done_claim_not_null NOT NULL,
    kind text CONSTRAINT job_done_kind_not_null NOT NULL,
    subject text CONSTRAINT job_done_subject_not_null NOT NULL,
    attempts smallint CONSTRAINT job_done_attempts_not_null NOT NULL,
    claimed_by text,
    created timestamp with time zone CONSTRAINT job_done_created_not_null NOT NULL,
    at timestamp with time zone DEFAULT now() CONSTRAINT job_done_at_not_null NOT NULL
);

ALTER TABLE public.job ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE VIEW public.kept_copy AS
 SELECT c.id,
    c.location,
    l.type,
    c.size,
    c.created,
    v.ended AS read_well
   FROM ((public.physical_copy c
     JOIN public.data_location l ON (((l.name = c.location) AND (l.type = ANY (ARRAY['LONG_TERM_ARCHIVE'::public.location_type, 'BUFFER'::public.location_type])))))
     LEFT JOIN LATERAL ( SELECT v_1.ended
           FROM public.verification v_1
          WHERE ((v_1.copy = c.id) AND (v_1.outcome = 'good'::public.reading_outcome))
          ORDER BY v_1.ended DESC
         LIMIT 1) v ON (true))
  WHERE (c.state = 'present'::public.copy_state);

CREATE TABLE public.lease (
    location text NOT NULL,
    kind text NOT NULL,
    claim uuid NOT NULL,
    holder text NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE TABLE public.lost_file (
    file uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    how text NOT NULL,
    accepted timestamp with time zone,
    accepted_by text,
    reason text,
    CONSTRAINT lost_file_check CHECK ((num_nonnulls(accepted, accepted_by, reason) = ANY (ARRAY[0, 3])))
);

CREATE TABLE public.master_frame (
    id uuid NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    location text NOT NULL,
    instrument text NOT NULL,
    kind public.frame_type NOT NULL,
    configuration jsonb NOT NULL,
    filter text DEFAULT ''::text NOT NULL,
    night date NOT NULL,
    made timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    frames integer NOT NULL,
    considered integer NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL,
    content bytea NOT NULL,
    CONSTRAINT master_frame_frames_check CHECK ((frames > 0)),
    CONSTRAINT master_frame_kind_check CHECK ((kind = ANY (ARRAY['bias'::public.frame_type, 'dark'::public.frame_type, 'flat'::public.frame_type])))
);
ALTER TABLE ONLY public.master_frame ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE public.master_member (
    master uuid NOT NULL,
    name text NOT NULL,
    sha256 public.sha256 NOT NULL,
    file uuid
);

CREATE TABLE public.night_exposure (
    solution uuid NOT NULL,
    calibration uuid NOT NULL,
    zero_point double precision,
    error double precision
);

CREATE TABLE public.obs_unit (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    program text NOT NULL,
    name text NOT NULL,
    target text
);

CREATE TABLE public.observatory (
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.observing_program (
    name text NOT NULL,
    title text DEFAULT ''::text NOT NULL,
    owner text,
    proprietary interval,
    copies smallint,
    CONSTRAINT observing_program_copies_check CHECK ((copies >= 1))
);

CREATE TABLE public.package_member (
    package uuid NOT NULL,
    file uuid NOT NULL,
    data_offset bigint NOT NULL
);

CREATE VIEW public.pressure AS
 SELECT f.location,
    f.reap_enabled,
    f.high,
    f.low,
    f.total_bytes,
    f.used_bytes,
    f.measured,
    f.above_high,
    f.above_low,
    w.bytes AS under_way,
    GREATEST(((floor(((f.used_bytes)::double precision - (f.low * (f.total_bytes)::double precision))))::bigint - w.bytes), (0)::bigint) AS needed
   FROM (public.fullness f
     JOIN LATERAL ( SELECT (COALESCE(sum(c.size), (0)::numeric))::bigint AS bytes
           FROM ((public.deletion d
             JOIN public.deletion_copy dc ON ((dc.deletion = d.id)))
             JOIN public.physical_copy c ON (((c.id = dc.copy) AND (c.location = f.location))))
          WHERE (((d.closed IS NULL) AND (dc.stage = ANY (ARRAY['nominated'::public.deletion_stage, 'deleting'::public.deletion_stage, 'trashed'::public.deletion_stage, 'hashed'::public.deletion_stage, 'condemned'::public.deletion_stage]))) OR ((dc.stage = 'deleted'::public.deletion_stage) AND ((d.closed IS NULL) OR (d.closed > (f.measured - '00:10:00'::interval))) AND (dc.changed > (f.measured - '00:05:00'::interval))))) w ON (true));

CREATE TABLE public.program_archive (
    program text DEFAULT ''::text NOT NULL,
    location text NOT NULL
);

CREATE TABLE public.quality_note (
    id uuid DEFAULT public.new_id() NOT NULL,
    file uuid,
    executed_obs_unit uuid,
    quality public.quality NOT NULL,
    note text NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT quality_note_check CHECK ((num_nonnulls(file, executed_obs_unit) = 1))
);

CREATE TABLE public.quarantine (
    id uuid DEFAULT public.new_id() NOT NULL,
    location text NOT NULL,
    path text NOT NULL,
    reason text NOT NULL,
    advice text NOT NULL,
    evidence jsonb DEFAULT '{}'::jsonb NOT NULL,
    found timestamp with time zone DEFAULT now() NOT NULL,
    released timestamp with time zone,
    released_by text,
    release text,
    CONSTRAINT quarantine_check CHECK ((num_nonnulls(released, released_by, release) = ANY (ARRAY[0, 3])))
);

CREATE TABLE public.reduced_datum (
    id uuid DEFAULT public.new_id() NOT NULL,
    target uuid NOT NULL,
    calibration uuid NOT NULL,
    "time" timestamp with time zone NOT NULL,
    mjd double precision NOT NULL,
    bjd_tdb double precision NOT NULL,
    band text NOT NULL,
    system text NOT NULL,
    magnitude double precision NOT NULL,
    error double precision NOT NULL,
    zero_point_error double precision NOT NULL,
    limiting double precision,
    flags text[] DEFAULT '{}'::text[] NOT NULL,
    source_name text NOT NULL,
    source_location text NOT NULL,
    superseded timestamp with time zone,
    solution uuid
);

CREATE VIEW public.refill_gap AS
 WITH feeds AS MATERIALIZED (
         SELECT f_1.route,
            f_1.site,
            f_1.whole,
            f_1.legs,
            f_1.origin,
            f_1.from_site,
            f_1.preferred,
            o.priority AS place_priority,
            o.active
           FROM (public.route_feeds f_1
             JOIN public.data_location o ON ((o.name = f_1.origin)))
        ), lacking AS MATERIALIZED (
         SELECT DISTINCT p.id AS package,
            p.priority,
            l.site
           FROM ((public.raw_data_package p
             CROSS JOIN LATERAL public.archives_for(p.program) a(name))
             JOIN public.data_location l ON ((l.name = a.name)))
          WHERE ((p.state = 'packed'::public.package_state) AND (l.site IN ( SELECT f_1.site
                   FROM feeds f_1)) AND (NOT (EXISTS ( SELECT
                   FROM public.physical_copy c
                  WHERE ((c.package = p.id) AND (c.location = a.name) AND (c.state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state])))))))
        )
 SELECT DISTINCT n.package,
    f.origin AS buffer,
    n.priority
   FROM (lacking n
     CROSS JOIN LATERAL ( SELECT f_1.origin
           FROM feeds f_1
          WHERE ((f_1.site = n.site) AND f_1.preferred AND f_1.active AND (EXISTS ( SELECT
                   FROM (public.physical_copy c
                     JOIN public.data_location h ON (((h.name = c.location) AND (h.type <> 'SOURCE'::public.location_type))))
                  WHERE ((c.package = n.package) AND (c.state = 'present'::public.copy_state) AND (h.site = f_1.from_site)))))
          ORDER BY f_1.whole DESC, f_1.legs, f_1.place_priority, f_1.origin
         LIMIT 1) f)
  WHERE ((NOT (EXISTS ( SELECT
           FROM public.held_at_site h
          WHERE ((h.package = n.package) AND (h.site = n.site))))) AND (NOT (EXISTS ( SELECT
           FROM (public.physical_copy c
             JOIN feeds f_1 ON (((f_1.origin = c.location) AND (f_1.site = n.site))))
          WHERE ((c.package = n.package) AND (c.state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state])))))));

CREATE VIEW public.safety AS
 SELECT a.subject,
    count(DISTINCT a.failure_domain) AS held,
    count(DISTINCT a.failure_domain) FILTER (WHERE (a.proof_ended > (now() - make_interval(secs => (policy.scrub_days * (86400)::double precision))))) AS proven,
    min(a.proof_ended) AS oldest_proof
   FROM public.archive_copy a,
    public.policy
  GROUP BY a.subject, policy.scrub_days;

CREATE TABLE public.schema_migration (
    name text NOT NULL,
    sha256 text NOT NULL,
    applied timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.scrub_pace (
    location text NOT NULL,
    computed timestamp with time zone DEFAULT now() NOT NULL,
    bytes_per_second double precision NOT NULL,
    CONSTRAINT scrub_pace_bytes_per_second_check CHECK ((bytes_per_second >= (0)::double precision))
);

CREATE TABLE public.site (
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.source_directory (
    location text NOT NULL,
    path text NOT NULL,
    digest bytea NOT NULL,
    seen timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT source_directory_digest_check CHECK ((octet_length(digest) = 16))
);

CREATE TABLE public.space_measured (
    location text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    total_bytes bigint NOT NULL,
    free_bytes bigint NOT NULL
);

CREATE VIEW public.space_forecast AS
 SELECT l.name AS location,
    now.total_bytes,
    now.free_bytes,
    now.at AS measured,
    line.bytes_per_day,
        CASE
            WHEN (line.bytes_per_day < (0)::double precision) THEN ((now.free_bytes)::double precision / (- line.bytes_per_day))
            ELSE NULL::double precision
        END AS days_left
   FROM ((public.data_location l
     JOIN LATERAL ( SELECT m.location,
            m.at,
            m.total_bytes,
            m.free_bytes
           FROM public.space_measured m
          WHERE (m.location = l.name)
          ORDER BY m.at DESC
         LIMIT 1) now ON (true))
     LEFT JOIN LATERAL ( SELECT (regr_slope((m.free_bytes)::double precision, (EXTRACT(epoch FROM m.at))::double precision) * (86400)::double precision) AS bytes_per_day
           FROM public.space_measured m
          WHERE ((m.location = l.name) AND (m.at > (now.at - '7 days'::interval)))
         HAVING ((max(m.at) - min(m.at)) > '12:00:00'::interval)) line ON (true));

CREATE TABLE public.staged_package (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    package uuid NOT NULL,
    location text NOT NULL,
    path text NOT NULL,
    size bigint NOT NULL,
    state public.staged_state DEFAULT 'wanted'::public.staged_state NOT NULL,
    changed timestamp with time zone DEFAULT now() NOT NULL,
    detail text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.staging (
    id uuid DEFAULT public.new_id() NOT NULL,
    site text DEFAULT public.this_site() NOT NULL,
    location text NOT NULL,
    asked text NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    override text DEFAULT ''::text NOT NULL,
    command text DEFAULT ''::text NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    expires timestamp with time zone NOT NULL,
    state public.staging_state DEFAULT 'open'::public.staging_state NOT NULL,
    changed timestamp with time zone DEFAULT now() NOT NULL,
    outcome text DEFAULT ''::text NOT NULL
);

CREATE TABLE public.staging_member (
    staging uuid NOT NULL,
    staged uuid NOT NULL
);

CREATE TABLE public.target (
    id uuid DEFAULT public.new_id() NOT NULL,
    name text NOT NULL,
    ra double precision NOT NULL,
    "dec" double precision NOT NULL,
    radius double precision DEFAULT 2.0 NOT NULL,
    registered timestamp with time zone DEFAULT now() NOT NULL,
    by text DEFAULT public.this_actor() NOT NULL,
    CONSTRAINT target_dec_check CHECK ((("dec" >= ('-90'::integer)::double precision) AND ("dec" <= (90)::double precision))),
    CONSTRAINT target_ra_check CHECK (((ra >= (0)::double precision) AND (ra < (360)::double precision))),
    CONSTRAINT target_radius_check CHECK ((radius > (0)::double precision))
);

CREATE TABLE public.target_alias (
    alias text NOT NULL,
    target uuid NOT NULL,
    CONSTRAINT target_alias_alias_check CHECK ((alias = lower(replace(alias, ' '::text, ''::text))))
);

CREATE TABLE public.telescope (
    name text NOT NULL,
    observatory text NOT NULL,
    zone text DEFAULT 'UTC'::text NOT NULL,
    turnover time without time zone DEFAULT '12:00:00'::time without time zone NOT NULL,
    label text DEFAULT 'evening'::text NOT NULL,
    CONSTRAINT telescope_label_check CHECK ((label = ANY (ARRAY['evening'::text, 'morning'::text])))
);

CREATE TABLE public.temporary_sweep (
    location text NOT NULL,
    swept timestamp with time zone DEFAULT now() NOT NULL,
    removed integer NOT NULL
);

ALTER TABLE ONLY public.job_done ATTACH PARTITION public.job_done_default DEFAULT;

ALTER TABLE ONLY public.audit_result
    ADD CONSTRAINT audit_result_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.backup
    ADD CONSTRAINT backup_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.blocked
    ADD CONSTRAINT blocked_pkey PRIMARY KEY (kind, subject);

ALTER TABLE ONLY public.breaker
    ADD CONSTRAINT breaker_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.calibration
    ADD CONSTRAINT calibration_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.calibration_table
    ADD CONSTRAINT calibration_table_pkey PRIMARY KEY (calibration);

ALTER TABLE ONLY public.canary
    ADD CONSTRAINT canary_file_key UNIQUE (file);

ALTER TABLE ONLY public.canary
    ADD CONSTRAINT canary_location_path_key UNIQUE (location, path);

ALTER TABLE ONLY public.canary
    ADD CONSTRAINT canary_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.catalog_load
    ADD CONSTRAINT catalog_load_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.catalog
    ADD CONSTRAINT catalog_number_key UNIQUE (number);

ALTER TABLE ONLY public.catalog
    ADD CONSTRAINT catalog_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.data_location
    ADD CONSTRAINT data_location_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.data_product
    ADD CONSTRAINT data_product_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.data_product_source
    ADD CONSTRAINT data_product_source_pkey PRIMARY KEY (product, file);

ALTER TABLE ONLY public.data_transfer_member
    ADD CONSTRAINT data_transfer_member_pkey PRIMARY KEY (bundle, package);

ALTER TABLE ONLY public.data_transfer_package
    ADD CONSTRAINT data_transfer_package_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.deletion_copy
    ADD CONSTRAINT deletion_copy_pkey PRIMARY KEY (deletion, copy);

ALTER TABLE ONLY public.deletion
    ADD CONSTRAINT deletion_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.deletion_stop
    ADD CONSTRAINT deletion_stop_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.executed_obs_unit
    ADD CONSTRAINT executed_obs_unit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.file_header
    ADD CONSTRAINT file_header_pkey PRIMARY KEY (file, hdu);

ALTER TABLE ONLY public.filed_file
    ADD CONSTRAINT filed_file_pkey PRIMARY KEY (executed_obs_unit, location, path);

ALTER TABLE ONLY public.header_correction
    ADD CONSTRAINT header_correction_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.heartbeat
    ADD CONSTRAINT heartbeat_pkey PRIMARY KEY (daemon, host, name);

ALTER TABLE ONLY public.hold
    ADD CONSTRAINT hold_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.host_place
    ADD CONSTRAINT host_place_pkey PRIMARY KEY (role, location);

ALTER TABLE ONLY public.host_role
    ADD CONSTRAINT host_role_pkey PRIMARY KEY (role);

ALTER TABLE ONLY public.incarnation
    ADD CONSTRAINT incarnation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.instrument_module
    ADD CONSTRAINT instrument_module_pkey PRIMARY KEY (instrument, name);

ALTER TABLE ONLY public.instrument
    ADD CONSTRAINT instrument_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.job
    ADD CONSTRAINT job_kind_subject_key UNIQUE (kind, subject);

ALTER TABLE ONLY public.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (location, kind);

ALTER TABLE ONLY public.location_state
    ADD CONSTRAINT location_state_pkey PRIMARY KEY (location, host);

ALTER TABLE ONLY public.lost_file
    ADD CONSTRAINT lost_file_pkey PRIMARY KEY (file);

ALTER TABLE ONLY public.master_frame
    ADD CONSTRAINT master_frame_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.master_member
    ADD CONSTRAINT master_member_pkey PRIMARY KEY (master, name);

ALTER TABLE ONLY public.night_exposure
    ADD CONSTRAINT night_exposure_pkey PRIMARY KEY (solution, calibration);

ALTER TABLE ONLY public.night_solution
    ADD CONSTRAINT night_solution_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.obs_unit
    ADD CONSTRAINT obs_unit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.obs_unit
    ADD CONSTRAINT obs_unit_program_name_key UNIQUE (program, name);

ALTER TABLE ONLY public.observatory
    ADD CONSTRAINT observatory_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.observing_program
    ADD CONSTRAINT observing_program_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.package_member
    ADD CONSTRAINT package_member_file_key UNIQUE (file);

ALTER TABLE ONLY public.package_member
    ADD CONSTRAINT package_member_pkey PRIMARY KEY (package, file);

ALTER TABLE ONLY public.physical_copy
    ADD CONSTRAINT physical_copy_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.policy
    ADD CONSTRAINT policy_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.program_archive
    ADD CONSTRAINT program_archive_pkey PRIMARY KEY (program, location);

ALTER TABLE ONLY public.quality_note
    ADD CONSTRAINT quality_note_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_location_path_ordinal_key UNIQUE (location, path, ordinal);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.raw_data_package
    ADD CONSTRAINT raw_data_package_name_key UNIQUE (name);

ALTER TABLE ONLY public.raw_data_package
    ADD CONSTRAINT raw_data_package_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.reduced_datum
    ADD CONSTRAINT reduced_datum_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.route
    ADD CONSTRAINT route_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.schema_migration
    ADD CONSTRAINT schema_migration_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.scrub_pace
    ADD CONSTRAINT scrub_pace_pkey PRIMARY KEY (location);

ALTER TABLE ONLY public.site
    ADD CONSTRAINT site_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.source_directory
    ADD CONSTRAINT source_directory_pkey PRIMARY KEY (location, path);

ALTER TABLE ONLY public.space_measured
    ADD CONSTRAINT space_measured_pkey PRIMARY KEY (location, at);

ALTER TABLE ONLY public.staged_package
    ADD CONSTRAINT staged_package_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.staging_member
    ADD CONSTRAINT staging_member_pkey PRIMARY KEY (staging, staged);

ALTER TABLE ONLY public.staging
    ADD CONSTRAINT staging_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.target_alias
    ADD CONSTRAINT target_alias_pkey PRIMARY KEY (alias);

ALTER TABLE ONLY public.target
    ADD CONSTRAINT target_name_key UNIQUE (name);

ALTER TABLE ONLY public.target
    ADD CONSTRAINT target_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.telescope
    ADD CONSTRAINT telescope_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.temporary_sweep
    ADD CONSTRAINT temporary_sweep_pkey PRIMARY KEY (location);

ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);

CREATE INDEX audit_result_location ON public.audit_result USING btree (location, at);

CREATE INDEX backup_taken ON public.backup USING btree (taken);

CREATE INDEX calibration_file ON public.calibration USING btree (file);

CREATE INDEX calibration_made ON public.calibration USING btree (made);

CREATE INDEX calibration_night ON public.calibration USING btree (night, made);

CREATE INDEX calibration_source ON public.calibration USING btree (source_location, source_name, part, made DESC);

CREATE INDEX canary_living ON public.canary USING btree (sent) WHERE (gone IS NULL);

CREATE INDEX catalog_load_at ON public.catalog_load USING btree (at);

CREATE INDEX catalog_star_hpx ON public.catalog_star USING btree (catalog, hpx);

CREATE UNIQUE INDEX data_product_name ON public.data_product USING btree (name) WHERE (returned IS NOT NULL);

CREATE INDEX data_product_source_file ON public.data_product_source USING btree (file);

CREATE INDEX data_transfer_member_package ON public.data_transfer_member USING btree (package);

CREATE INDEX data_transfer_package_open ON public.data_transfer_package USING btree (route) WHERE (closed IS NULL);

CREATE INDEX deletion_closed ON public.deletion USING btree (closed) WHERE (closed IS NOT NULL);

CREATE INDEX deletion_copy_copy ON public.deletion_copy USING btree (copy);

CREATE INDEX deletion_open ON public.deletion USING btree (state) WHERE (closed IS NULL);

CREATE UNIQUE INDEX deletion_open_file ON public.deletion USING btree (file) WHERE (closed IS NULL);

CREATE UNIQUE INDEX deletion_open_package ON public.deletion USING btree (package) WHERE (closed IS NULL);

CREATE INDEX event_subject ON public.event USING btree (subject, at);

CREATE INDEX event_xid ON public.event USING btree (xid);

CREATE INDEX executed_obs_unit_night ON public.executed_obs_unit USING btree (night, instrument);

CREATE INDEX filed_file_path ON public.filed_file USING btree (location, path);

CREATE INDEX header_correction_file ON public.header_correction USING btree (file);

CREATE INDEX hold_open_file ON public.hold USING btree (file) WHERE (lifted IS NULL);

CREATE INDEX hold_open_night ON public.hold USING btree (night) WHERE (lifted IS NULL);

CREATE INDEX hold_open_package ON public.hold USING btree (package) WHERE (lifted IS NULL);

CREATE INDEX job_claimed_by ON public.job USING btree (claimed_by) WHERE (state = 'running'::public.job_state);

CREATE INDEX job_clock ON public.job USING btree (due) WHERE (state = ANY (ARRAY['waiting'::public.job_state, 'running'::public.job_state]));

CREATE INDEX job_done_claim ON ONLY public.job_done USING btree (id, claim);

CREATE INDEX job_done_default_id_claim_idx ON public.job_done_default USING btree (id, claim);

CREATE INDEX job_done_kind ON ONLY public.job_done USING btree (kind, at);

CREATE INDEX job_done_default_kind_at_idx ON public.job_done_default USING btree (kind, at);

CREATE INDEX job_ready ON public.job USING btree (kind, place, needs, priority, due, id) WHERE (state = 'ready'::public.job_state);

CREATE INDEX master_frame_of ON public.master_frame USING btree (instrument, location, kind, night);

CREATE INDEX master_member_file ON public.master_member USING btree (file) WHERE (file IS NOT NULL);

CREATE INDEX night_exposure_calibration ON public.night_exposure USING btree (calibration);

CREATE INDEX night_solution_night ON public.night_solution USING btree (night, made);

CREATE INDEX physical_copy_arriving ON public.physical_copy USING btree (location) WHERE (state = 'arriving'::public.copy_state);

CREATE INDEX physical_copy_by_age ON public.physical_copy USING btree (location, created) WHERE (state = 'present'::public.copy_state);

CREATE INDEX physical_copy_doubt ON public.physical_copy USING btree (location) WHERE (state = ANY (ARRAY['suspect'::public.copy_state, 'missing'::public.copy_state, 'corrupt'::public.copy_state]));

CREATE UNIQUE INDEX physical_copy_file ON public.physical_copy USING btree (file, location) WHERE (state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state]));

CREATE INDEX physical_copy_of_file ON public.physical_copy USING btree (file) WHERE (file IS NOT NULL);

CREATE INDEX physical_copy_of_package ON public.physical_copy USING btree (package) WHERE (package IS NOT NULL);

CREATE UNIQUE INDEX physical_copy_package ON public.physical_copy USING btree (package, location) WHERE (state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state, 'deleting'::public.copy_state]));

CREATE UNIQUE INDEX physical_copy_path ON public.physical_copy USING btree (location, path) WHERE (state = ANY (ARRAY['arriving'::public.copy_state, 'present'::public.copy_state, 'suspect'::public.copy_state]));

CREATE INDEX physical_copy_subject ON public.physical_copy USING btree (COALESCE(package, file));

CREATE UNIQUE INDEX quarantine_open ON public.quarantine USING btree (location, path) WHERE (released IS NULL);

CREATE UNIQUE INDEX raw_data_file_current ON public.raw_data_file USING btree (location, path) WHERE (replaced_by IS NULL);

CREATE INDEX raw_data_file_directory ON public.raw_data_file USING btree (location, directory) WHERE (replaced_by IS NULL);

CREATE INDEX raw_data_file_exposure ON public.raw_data_file USING btree (exposure_key) WHERE (exposure_key IS NOT NULL);

CREATE INDEX raw_data_file_name ON public.raw_data_file USING btree ("substring"(path, '[^/]*$'::text));

CREATE INDEX raw_data_file_night ON public.raw_data_file USING btree (night, instrument);

CREATE INDEX raw_data_file_product ON public.raw_data_file USING btree (product) WHERE (product IS NOT NULL);

CREATE INDEX raw_data_file_sha256 ON public.raw_data_file USING btree (sha256);

CREATE INDEX raw_data_file_unit ON public.raw_data_file USING btree (executed_obs_unit);

CREATE INDEX raw_data_file_unpackaged ON public.raw_data_file USING btree (location, night, instrument) WHERE ((handling = ANY (ARRAY['archive'::public.file_handling, 'canary'::public.file_handling])) AND (NOT in_package));

CREATE INDEX raw_data_package_night ON public.raw_data_package USING btree (night, instrument);

CREATE INDEX reduced_datum_calibration ON public.reduced_datum USING btree (calibration);

CREATE UNIQUE INDEX reduced_datum_current ON public.reduced_datum USING btree (target, "time", band, source_name, source_location) WHERE (superseded IS NULL);

CREATE INDEX reduced_datum_solution ON public.reduced_datum USING btree (solution) WHERE (solution IS NOT NULL);

CREATE INDEX reduced_datum_source ON public.reduced_datum USING btree (source_location, source_name) WHERE (superseded IS NULL);

CREATE INDEX reduced_datum_target ON public.reduced_datum USING btree (target, "time") WHERE (superseded IS NULL);

CREATE UNIQUE INDEX staged_package_once ON public.staged_package USING btree (package, location) WHERE (state = ANY (ARRAY['wanted'::public.staged_state, 'ready'::public.staged_state]));

CREATE UNIQUE INDEX staged_package_path ON public.staged_package USING btree (location, path) WHERE (state <> 'gone'::public.staged_state);

CREATE INDEX staged_package_wanted ON public.staged_package USING btree (package) WHERE (state = 'wanted'::public.staged_state);

CREATE INDEX staging_member_staged ON public.staging_member USING btree (staged);

CREATE INDEX verification_copy ON public.verification USING btree (copy, ended DESC);

CREATE INDEX verification_good ON public.verification USING btree (copy, ended DESC) WHERE (outcome = 'good'::public.reading_outcome);

ALTER INDEX public.job_done_claim ATTACH PARTITION public.job_done_default_id_claim_idx;

ALTER INDEX public.job_done_kind ATTACH PARTITION public.job_done_default_kind_at_idx;

CREATE TRIGGER calibrated AFTER INSERT ON public.calibration FOR EACH ROW WHEN ((new.file IS NOT NULL)) EXECUTE FUNCTION public.calibrated();

CREATE TRIGGER canary_is_one_for_ever AFTER UPDATE OF handling, sha256, size ON public.raw_data_file FOR EACH ROW WHEN (((old.handling = 'canary'::public.file_handling) OR (new.handling = 'canary'::public.file_handling))) EXECUTE FUNCTION public.canary_was_announced();

CREATE TRIGGER canary_was_announced AFTER INSERT ON public.raw_data_file FOR EACH ROW WHEN ((new.handling = 'canary'::public.file_handling)) EXECUTE FUNCTION public.canary_was_announced();

CREATE TRIGGER copy_changes BEFORE UPDATE OF state ON public.physical_copy FOR EACH ROW WHEN ((old.state IS DISTINCT FROM new.state)) EXECUTE FUNCTION public.copy_changes();

CREATE TRIGGER disturb_by_change AFTER UPDATE ON public.raw_data_file REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.disturb_directories();

CREATE TRIGGER disturb_by_copy AFTER UPDATE ON public.physical_copy REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.disturb_directories();

CREATE TRIGGER disturb_by_insert AFTER INSERT ON public.raw_data_file REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.disturb_directories();

CREATE TRIGGER disturb_by_quarantine AFTER UPDATE ON public.quarantine REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.disturb_directories();

CREATE TRIGGER event_is_append_only BEFORE DELETE OR UPDATE ON public.event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER hold_changes BEFORE INSERT OR UPDATE ON public.hold FOR EACH ROW EXECUTE FUNCTION public.hold_changes();

CREATE TRIGGER hold_for_calibration AFTER INSERT ON public.raw_data_file REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.hold_for_calibration();

CREATE TRIGGER keep_measured AFTER INSERT OR UPDATE OF measured ON public.location_state FOR EACH ROW WHEN (((new.measured IS NOT NULL) AND (new.free_bytes IS NOT NULL) AND (new.total_bytes > 0))) EXECUTE FUNCTION public.keep_measured();

CREATE TRIGGER mark_new_members AFTER INSERT ON public.package_member REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION public.mark_members();

CREATE TRIGGER mark_old_members AFTER DELETE ON public.package_member REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION public.mark_members();

CREATE TRIGGER master_is_history BEFORE DELETE OR UPDATE ON public.master_frame FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

CREATE TRIGGER only_the_reaper BEFORE INSERT OR UPDATE ON public.physical_copy FOR EACH ROW WHEN ((new.state = ANY (ARRAY['deleting'::public.copy_state, 'deleted'::public.copy_state]))) EXECUTE FUNCTION public.only_the_reaper();

CREATE TRIGGER tell AFTER INSERT ON public.backup FOR EACH ROW EXECUTE FUNCTION public.tell_row('backup', 'path');

CREATE TRIGGER tell AFTER INSERT ON public.blocked FOR EACH ROW EXECUTE FUNCTION public.tell_row('blocked', 'subject');

CREATE TRIGGER tell AFTER INSERT OR UPDATE OF state ON public.breaker FOR EACH ROW EXECUTE FUNCTION public.tell_row('breaker', 'name');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.canary FOR EACH ROW EXECUTE FUNCTION public.tell_row('canary', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.data_location FOR EACH ROW EXECUTE FUNCTION public.tell_row('location', 'name');

CREATE TRIGGER tell AFTER UPDATE ON public.data_product FOR EACH ROW EXECUTE FUNCTION public.tell_row('data product', 'name');

CREATE TRIGGER tell AFTER INSERT ON public.data_transfer_package FOR EACH ROW EXECUTE FUNCTION public.tell_row('bundle', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.deletion FOR EACH ROW EXECUTE FUNCTION public.tell_row('deletion', 'package');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.deletion_stop FOR EACH ROW EXECUTE FUNCTION public.tell_row('deletion stop', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.executed_obs_unit FOR EACH ROW EXECUTE FUNCTION public.tell_row('observation', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.header_correction FOR EACH ROW EXECUTE FUNCTION public.tell_row('correction', 'file');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.hold FOR EACH ROW EXECUTE FUNCTION public.tell_row('hold', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.lost_file FOR EACH ROW EXECUTE FUNCTION public.tell_row('lost', 'file');

CREATE TRIGGER tell AFTER INSERT ON public.quality_note FOR EACH ROW EXECUTE FUNCTION public.tell_row('quality', 'file');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.quarantine FOR EACH ROW EXECUTE FUNCTION public.tell_row('quarantine', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.raw_data_package FOR EACH ROW EXECUTE FUNCTION public.tell_row('package', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE OF state ON public.staged_package FOR EACH ROW EXECUTE FUNCTION public.tell_row('staged package', 'package');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.staging FOR EACH ROW EXECUTE FUNCTION public.tell_row('staging', 'id');

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.target FOR EACH ROW EXECUTE FUNCTION public.tell_row('target', 'name');

CREATE TRIGGER tell_copies AFTER UPDATE ON public.physical_copy REFERENCING OLD TABLE AS old NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.tell_copies();

CREATE TRIGGER tell_files AFTER INSERT ON public.raw_data_file REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.tell_files();

CREATE TRIGGER tell_new_copies AFTER INSERT ON public.physical_copy REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION public.tell_copies();

CREATE TRIGGER verification_is_history BEFORE DELETE OR UPDATE ON public.verification FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change();

ALTER TABLE ONLY public.audit_result
    ADD CONSTRAINT audit_result_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.backup
    ADD CONSTRAINT backup_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.calibration
    ADD CONSTRAINT calibration_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.calibration_table
    ADD CONSTRAINT calibration_table_calibration_fkey FOREIGN KEY (calibration) REFERENCES public.calibration(id);

ALTER TABLE ONLY public.canary
    ADD CONSTRAINT canary_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.canary
    ADD CONSTRAINT canary_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.catalog_load
    ADD CONSTRAINT catalog_load_catalog_fkey FOREIGN KEY (catalog) REFERENCES public.catalog(name);

ALTER TABLE ONLY public.catalog_star
    ADD CONSTRAINT catalog_star_catalog_fkey FOREIGN KEY (catalog) REFERENCES public.catalog(number);

ALTER TABLE ONLY public.data_location
    ADD CONSTRAINT data_location_site_fkey FOREIGN KEY (site) REFERENCES public.site(name);

ALTER TABLE ONLY public.data_product
    ADD CONSTRAINT data_product_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.data_product_source
    ADD CONSTRAINT data_product_source_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.data_product_source
    ADD CONSTRAINT data_product_source_product_fkey FOREIGN KEY (product) REFERENCES public.data_product(id);

ALTER TABLE ONLY public.data_transfer_member
    ADD CONSTRAINT data_transfer_member_bundle_fkey FOREIGN KEY (bundle) REFERENCES public.data_transfer_package(id);

ALTER TABLE ONLY public.data_transfer_member
    ADD CONSTRAINT data_transfer_member_package_fkey FOREIGN KEY (package) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.data_transfer_package
    ADD CONSTRAINT data_transfer_package_route_fkey FOREIGN KEY (route) REFERENCES public.route(name);

ALTER TABLE ONLY public.deletion_copy
    ADD CONSTRAINT deletion_copy_copy_fkey FOREIGN KEY (copy) REFERENCES public.physical_copy(id);

ALTER TABLE ONLY public.deletion_copy
    ADD CONSTRAINT deletion_copy_deletion_fkey FOREIGN KEY (deletion) REFERENCES public.deletion(id);

ALTER TABLE ONLY public.deletion
    ADD CONSTRAINT deletion_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.deletion
    ADD CONSTRAINT deletion_package_fkey FOREIGN KEY (package) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.executed_obs_unit
    ADD CONSTRAINT executed_obs_unit_instrument_fkey FOREIGN KEY (instrument) REFERENCES public.instrument(name);

ALTER TABLE ONLY public.executed_obs_unit
    ADD CONSTRAINT executed_obs_unit_obs_unit_fkey FOREIGN KEY (obs_unit) REFERENCES public.obs_unit(id);

ALTER TABLE ONLY public.executed_obs_unit
    ADD CONSTRAINT executed_obs_unit_program_fkey FOREIGN KEY (program) REFERENCES public.observing_program(name);

ALTER TABLE ONLY public.file_header
    ADD CONSTRAINT file_header_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.filed_file
    ADD CONSTRAINT filed_file_executed_obs_unit_fkey FOREIGN KEY (executed_obs_unit) REFERENCES public.executed_obs_unit(id);

ALTER TABLE ONLY public.filed_file
    ADD CONSTRAINT filed_file_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.header_correction
    ADD CONSTRAINT header_correction_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.header_correction
    ADD CONSTRAINT header_correction_instrument_fkey FOREIGN KEY (instrument) REFERENCES public.instrument(name);

ALTER TABLE ONLY public.hold
    ADD CONSTRAINT hold_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.hold
    ADD CONSTRAINT hold_package_fkey FOREIGN KEY (package) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.host_place
    ADD CONSTRAINT host_place_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.host_place
    ADD CONSTRAINT host_place_role_fkey FOREIGN KEY (role) REFERENCES public.host_role(role);

ALTER TABLE ONLY public.instrument_module
    ADD CONSTRAINT instrument_module_instrument_fkey FOREIGN KEY (instrument) REFERENCES public.instrument(name);

ALTER TABLE ONLY public.instrument
    ADD CONSTRAINT instrument_telescope_fkey FOREIGN KEY (telescope) REFERENCES public.telescope(name);

ALTER TABLE ONLY public.location_state
    ADD CONSTRAINT location_state_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.lost_file
    ADD CONSTRAINT lost_file_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.master_member
    ADD CONSTRAINT master_member_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.master_member
    ADD CONSTRAINT master_member_master_fkey FOREIGN KEY (master) REFERENCES public.master_frame(id);

ALTER TABLE ONLY public.night_exposure
    ADD CONSTRAINT night_exposure_calibration_fkey FOREIGN KEY (calibration) REFERENCES public.calibration(id);

ALTER TABLE ONLY public.night_exposure
    ADD CONSTRAINT night_exposure_solution_fkey FOREIGN KEY (solution) REFERENCES public.night_solution(id);

ALTER TABLE ONLY public.obs_unit
    ADD CONSTRAINT obs_unit_program_fkey FOREIGN KEY (program) REFERENCES public.observing_program(name);

ALTER TABLE ONLY public.package_member
    ADD CONSTRAINT package_member_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.package_member
    ADD CONSTRAINT package_member_package_fkey FOREIGN KEY (package) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.physical_copy
    ADD CONSTRAINT physical_copy_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.physical_copy
    ADD CONSTRAINT physical_copy_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.physical_copy
    ADD CONSTRAINT physical_copy_package_fkey FOREIGN KEY (package) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.program_archive
    ADD CONSTRAINT program_archive_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.quality_note
    ADD CONSTRAINT quality_note_executed_obs_unit_fkey FOREIGN KEY (executed_obs_unit) REFERENCES public.executed_obs_unit(id);

ALTER TABLE ONLY public.quality_note
    ADD CONSTRAINT quality_note_file_fkey FOREIGN KEY (file) REFERENCES public.raw_data_file(id);

ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_executed_obs_unit_fkey FOREIGN KEY (executed_obs_unit) REFERENCES public.executed_obs_unit(id);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_instrument_fkey FOREIGN KEY (instrument) REFERENCES public.instrument(name);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_product_fkey FOREIGN KEY (product) REFERENCES public.data_product(id);

ALTER TABLE ONLY public.raw_data_file
    ADD CONSTRAINT raw_data_file_replaced_by_fkey FOREIGN KEY (replaced_by) REFERENCES public.raw_data_file(id) DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.raw_data_package
    ADD CONSTRAINT raw_data_package_executed_obs_unit_fkey FOREIGN KEY (executed_obs_unit) REFERENCES public.executed_obs_unit(id);

ALTER TABLE ONLY public.raw_data_package
    ADD CONSTRAINT raw_data_package_instrument_fkey FOREIGN KEY (instrument) REFERENCES public.instrument(name);

ALTER TABLE ONLY public.raw_data_package
    ADD CONSTRAINT raw_data_package_origin_fkey FOREIGN KEY (origin) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.raw_data_package
    ADD CONSTRAINT raw_data_package_supplement_of_fkey FOREIGN KEY (supplement_of) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.reduced_datum
    ADD CONSTRAINT reduced_datum_calibration_fkey FOREIGN KEY (calibration) REFERENCES public.calibration(id);

ALTER TABLE ONLY public.reduced_datum
    ADD CONSTRAINT reduced_datum_solution_fkey FOREIGN KEY (solution) REFERENCES public.night_solution(id);

ALTER TABLE ONLY public.reduced_datum
    ADD CONSTRAINT reduced_datum_target_fkey FOREIGN KEY (target) REFERENCES public.target(id);

ALTER TABLE ONLY public.route
    ADD CONSTRAINT route_destination_fkey FOREIGN KEY (destination) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.route
    ADD CONSTRAINT route_origin_fkey FOREIGN KEY (origin) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.scrub_pace
    ADD CONSTRAINT scrub_pace_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.source_directory
    ADD CONSTRAINT source_directory_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.space_measured
    ADD CONSTRAINT space_measured_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.staged_package
    ADD CONSTRAINT staged_package_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.staged_package
    ADD CONSTRAINT staged_package_package_fkey FOREIGN KEY (package) REFERENCES public.raw_data_package(id);

ALTER TABLE ONLY public.staging
    ADD CONSTRAINT staging_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.staging_member
    ADD CONSTRAINT staging_member_staged_fkey FOREIGN KEY (staged) REFERENCES public.staged_package(id);

ALTER TABLE ONLY public.staging_member
    ADD CONSTRAINT staging_member_staging_fkey FOREIGN KEY (staging) REFERENCES public.staging(id);

ALTER TABLE ONLY public.target_alias
    ADD CONSTRAINT target_alias_target_fkey FOREIGN KEY (target) REFERENCES public.target(id);

ALTER TABLE ONLY public.telescope
    ADD CONSTRAINT telescope_observatory_fkey FOREIGN KEY (observatory) REFERENCES public.observatory(name);

ALTER TABLE ONLY public.temporary_sweep
    ADD CONSTRAINT temporary_sweep_location_fkey FOREIGN KEY (location) REFERENCES public.data_location(name);

ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_copy_fkey FOREIGN KEY (copy) REFERENCES public.physical_copy(id);

CREATE POLICY everyone_reads ON public.physical_copy FOR SELECT USING (true);

CREATE POLICY everyone_reads ON public.verification FOR SELECT USING (true);

CREATE POLICY own_place_changes ON public.physical_copy FOR UPDATE USING (true) WITH CHECK (public.is_own_place(location));

CREATE POLICY own_place_inserts ON public.physical_copy FOR INSERT WITH CHECK ((public.is_own_place(location) OR ((state = 'arriving'::public.copy_state) AND public.is_sent_from_own_place(location))));

CREATE POLICY own_place_inserts ON public.verification FOR INSERT WITH CHECK (public.copy_is_own(copy));

ALTER TABLE public.physical_copy ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.verification ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON FUNCTION public.condemn_or_recall(wanted uuid, place text) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.decide_deletion(wanted uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.grant_calibration(host name) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.grant_canary(host name) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.grant_host(host name, locations text[], reaps boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.grant_products(host name) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.trust_incarnation(reason text) FROM PUBLIC;
