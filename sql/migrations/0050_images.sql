-- Master frames: what images are corrected with, and what they were made of.

CREATE TABLE master_frame (
  id            uuid PRIMARY KEY,
  site          text NOT NULL DEFAULT this_site(),
  location      text NOT NULL,                  -- of the raw frames: a location, or a host and its folder
  instrument    text NOT NULL,
  kind          frame_type NOT NULL CHECK (kind IN ('bias', 'dark', 'flat')),
  configuration jsonb NOT NULL,                 -- how they were read out: equal for what they correct
  filter        text NOT NULL DEFAULT '',       -- of a flat
  night         date NOT NULL,
  made          timestamptz NOT NULL DEFAULT clock_timestamp(),
  by            text NOT NULL DEFAULT this_actor(),
  frames        integer NOT NULL CHECK (frames > 0),
  considered    integer NOT NULL,               -- raw frames of its kind and night that were known then
  detail        jsonb NOT NULL DEFAULT '{}',    -- frames that were left out and why, masters that it needed
  content       bytea NOT NULL                  -- a FITS file: pixels, SIGMA, MASK
);
ALTER TABLE master_frame ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX master_frame_of ON master_frame (instrument, location, kind, night);
-- The raw frames of a master. Without a row of the ledger where it was made by hand.
CREATE TABLE master_member (
  master uuid NOT NULL REFERENCES master_frame,
  name   text NOT NULL,
  sha256 sha256 NOT NULL,
  file   uuid REFERENCES raw_data_file,
  PRIMARY KEY (master, name)
);
CREATE INDEX master_member_file ON master_member (file) WHERE file IS NOT NULL;
CREATE TRIGGER master_is_history BEFORE UPDATE OR DELETE ON master_frame
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The corrections of a file's header: those of its night come before its own, and the newest counts.
CREATE FUNCTION corrections_of(f raw_data_file) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_array(c.keyword, c.value) ORDER BY c.file IS NOT NULL, c.at), '[]') FROM header_correction c
  WHERE c.withdrawn IS NULL
    AND (c.file = f.id OR (c.night = f.night AND (c.instrument IS NULL OR c.instrument = f.instrument)))
$$;

-- What the calibrator takes of a source: tables of measured stars, or frames of the sky.
CREATE FUNCTION is_calibrated(content text, type frame_type) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT content = 'photometry' OR (content = 'images' AND type IN ('science', 'standard'))
$$;

CREATE OR REPLACE FUNCTION hold_for_calibration() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO hold (file, reason) SELECT f.id, 'waits for its calibration' FROM fresh f
    JOIN data_location l ON l.name = f.location AND l.type = 'SOURCE'
      AND is_calibrated(l.settings ->> 'content', f.frame_type);
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION grant_calibration(host name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT INSERT ON calibration, calibration_table, catalog_load, master_frame, master_member TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON reduced_datum, catalog TO %I', host);
  EXECUTE format('GRANT INSERT, DELETE ON catalog_star TO %I', host);
END $$;
