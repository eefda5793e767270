-- Staging: archived packages brought back to a PROCESSING location, unpacked, for a while.

CREATE TYPE staging_state AS ENUM (
  'open',    -- not all of its packages are unpacked
  'ready',   -- its manifest and its .done stand there
  'ended',   -- it expired, or was given back: its own directory is to go
  'gone'
);
CREATE TYPE staged_state AS ENUM (
  'wanted',  -- to be unpacked; what it is read from stays as long
  'ready',
  'leaving', -- no request asks for it any more
  'gone'
);

-- A request. command names one of the host's own.
CREATE TABLE staging (
  id uuid PRIMARY KEY DEFAULT new_id(), site text NOT NULL DEFAULT this_site(),
  location text NOT NULL REFERENCES data_location,
  asked text NOT NULL, by text NOT NULL DEFAULT this_actor(), override text NOT NULL DEFAULT '', command text NOT NULL DEFAULT '',
  created timestamptz NOT NULL DEFAULT now(), expires timestamptz NOT NULL,
  state staging_state NOT NULL DEFAULT 'open', changed timestamptz NOT NULL DEFAULT now(), outcome text NOT NULL DEFAULT '');

-- A package that is, or is to be, unpacked at a location: once, however many ask for it.
CREATE TABLE staged_package (
  id uuid PRIMARY KEY DEFAULT new_id(), site text NOT NULL DEFAULT this_site(),
  package uuid NOT NULL REFERENCES raw_data_package, location text NOT NULL REFERENCES data_location,
  path text NOT NULL, size bigint NOT NULL,
  state staged_state NOT NULL DEFAULT 'wanted', changed timestamptz NOT NULL DEFAULT now(), detail text NOT NULL DEFAULT '');
CREATE UNIQUE INDEX staged_package_once ON staged_package (package, location) WHERE state IN ('wanted', 'ready');
CREATE UNIQUE INDEX staged_package_path ON staged_package (location, path) WHERE state <> 'gone';
CREATE INDEX staged_package_wanted ON staged_package (package) WHERE state = 'wanted';

CREATE TABLE staging_member (
  staging uuid NOT NULL REFERENCES staging, staged uuid NOT NULL REFERENCES staged_package, PRIMARY KEY (staging, staged));
CREATE INDEX staging_member_staged ON staging_member (staged);

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON staging FOR EACH ROW EXECUTE FUNCTION tell_row('staging', 'id');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OF state ON staged_package FOR EACH ROW EXECUTE FUNCTION tell_row('staged package', 'package');

-- The grants of 0007, and the tables above.
CREATE OR REPLACE FUNCTION grant_host(host name, locations text[], reaps boolean) RETURNS void LANGUAGE plpgsql AS $$
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
