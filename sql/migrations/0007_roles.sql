-- What a host's database user may write. The owner of the tables is bound by nothing; a host's user
-- is bound to the places that are its own, and only a reaper's may let a copy go.

CREATE TABLE host_role (role name PRIMARY KEY, reaps boolean NOT NULL DEFAULT false);
CREATE TABLE host_place (
  role name NOT NULL REFERENCES host_role, location text NOT NULL REFERENCES data_location,
  PRIMARY KEY (role, location));

CREATE FUNCTION is_own_place(location text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM host_place h WHERE h.role = session_user AND h.location = is_own_place.location)
$$;
-- A sender tells of what it put down at the far end of its own route; only verify, there, believes it.
CREATE FUNCTION is_sent_from_own_place(location text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM route r JOIN host_place h ON h.location = r.origin
                 WHERE h.role = session_user AND r.destination = is_sent_from_own_place.location)
$$;
CREATE FUNCTION copy_is_own(copy uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  SELECT is_own_place(c.location) FROM physical_copy c WHERE c.id = copy_is_own.copy
$$;
CREATE FUNCTION may_reap() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
  SELECT NOT EXISTS (SELECT FROM host_role h WHERE h.role = session_user)
      OR EXISTS (SELECT FROM host_role h WHERE h.role = session_user AND h.reaps)
$$;

ALTER TABLE physical_copy ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON physical_copy FOR SELECT USING (true);
CREATE POLICY own_place_inserts ON physical_copy FOR INSERT
  WITH CHECK (is_own_place(location) OR (state = 'arriving' AND is_sent_from_own_place(location)));
-- USING (true): a forbidden change is refused aloud, not passed over in silence.
CREATE POLICY own_place_changes ON physical_copy FOR UPDATE USING (true) WITH CHECK (is_own_place(location));
ALTER TABLE verification ENABLE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON verification FOR SELECT USING (true);
CREATE POLICY own_place_inserts ON verification FOR INSERT WITH CHECK (copy_is_own(copy));

CREATE FUNCTION only_the_reaper() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT may_reap() THEN
    RAISE EXCEPTION 'permission denied: only the reaper''s role may let a copy go (copy %)', NEW.id
      USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER only_the_reaper BEFORE INSERT OR UPDATE ON physical_copy FOR EACH ROW
  WHEN (NEW.state IN ('deleting', 'deleted')) EXECUTE FUNCTION only_the_reaper();

-- Gives an existing database user what the daemons of one host need. Run again to change its places.
CREATE FUNCTION grant_host(host name, locations text[], reaps boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO host_role (role, reaps) VALUES (host, reaps) ON CONFLICT (role) DO UPDATE SET reaps = EXCLUDED.reaps;
  DELETE FROM host_place h WHERE h.role = host;
  INSERT INTO host_place (role, location) SELECT host, unnest(locations);
  EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', host);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON raw_data_file, physical_copy, raw_data_package, executed_obs_unit,
    lost_file, quarantine, location_state, source_directory, data_transfer_package, heartbeat, breaker,
    deletion, deletion_copy, temporary_sweep, instrument, file_header, scrub_pace TO %I', host);
  EXECUTE format('GRANT INSERT ON event, verification, audit_result, data_transfer_member, blocked, job_done, instrument_module TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE, DELETE ON job, lease, package_member, source_directory TO %I', host);
  IF NOT reaps THEN
    EXECUTE format('REVOKE ALL ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text) FROM %I', host);
    EXECUTE format('REVOKE INSERT, UPDATE ON deletion, deletion_copy FROM %I', host);
  ELSE
    EXECUTE format('GRANT EXECUTE ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text) TO %I', host);
  END IF;
END $$;
REVOKE ALL ON FUNCTION decide_deletion(uuid), condemn_or_recall(uuid, text), trust_incarnation(text),
  grant_host(name, text[], boolean) FROM PUBLIC;
