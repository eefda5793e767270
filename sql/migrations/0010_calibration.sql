-- Catalogues of stars, calibrations and what they give: the magnitudes of targets.

CREATE TABLE catalog (
  name    text PRIMARY KEY,
  number  smallint NOT NULL UNIQUE GENERATED ALWAYS AS IDENTITY,
  columns text[] NOT NULL,                      -- the names of catalog_star.numbers
  stars   bigint NOT NULL DEFAULT 0,
  covered int8multirange NOT NULL DEFAULT '{}', -- cells of order 29 that are complete: all its stars there are here
  loaded  timestamptz
);
CREATE TABLE catalog_star (
  catalog smallint NOT NULL REFERENCES catalog (number),
  hpx     bigint NOT NULL,                      -- HEALPix, nested, order 29
  star    bigint NOT NULL,                      -- the catalogue's own number
  ra      double precision NOT NULL,            -- degrees, ICRS, at the catalogue's epoch
  dec     double precision NOT NULL,
  numbers real[] NOT NULL,                      -- NaN where unknown
  name    text
);
CREATE INDEX catalog_star_hpx ON catalog_star (catalog, hpx);
-- What was loaded, from where, and which tiles it made complete.
CREATE TABLE catalog_load (
  id uuid PRIMARY KEY DEFAULT new_id(), catalog text NOT NULL REFERENCES catalog, source text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(), by text NOT NULL DEFAULT this_actor(), stars bigint NOT NULL,
  covered int8multirange NOT NULL);
CREATE INDEX catalog_load_at ON catalog_load (at);

-- What is watched. Aliases are looked up in small letters without spaces.
CREATE TABLE target (
  id         uuid PRIMARY KEY DEFAULT new_id(),
  name       text NOT NULL UNIQUE,
  ra         double precision NOT NULL CHECK (ra >= 0 AND ra < 360),      -- degrees, ICRS
  dec        double precision NOT NULL CHECK (dec BETWEEN -90 AND 90),
  radius     double precision NOT NULL DEFAULT 2.0 CHECK (radius > 0),    -- arcsec: a star within is the target
  registered timestamptz NOT NULL DEFAULT now(),
  by         text NOT NULL DEFAULT this_actor()
);
CREATE TABLE target_alias (
  alias  text PRIMARY KEY CHECK (alias = lower(replace(alias, ' ', ''))),
  target uuid NOT NULL REFERENCES target);

CREATE TYPE calibration_state AS ENUM ('good', 'failed');
-- One exposure of one file, calibrated once. A later run is another row: nothing is overwritten.
CREATE TABLE calibration (
  id              uuid PRIMARY KEY DEFAULT new_id(),
  site            text NOT NULL DEFAULT this_site(),
  file            uuid REFERENCES raw_data_file,  -- absent: run by hand on a file that was never registered
  source_name     text NOT NULL,                  -- the file
  source_location text NOT NULL,                  -- the location, or the host and its folder
  sha256          sha256 NOT NULL,
  part            text NOT NULL DEFAULT '',       -- which of the file's exposures: its time
  made            timestamptz NOT NULL DEFAULT clock_timestamp(),
  by              text NOT NULL DEFAULT this_actor(),
  state           calibration_state NOT NULL,
  reason          text NOT NULL DEFAULT '',       -- of a failure, a short phrase
  advice          text NOT NULL DEFAULT '',       -- what happened, and what to do
  night           date,
  instrument      text NOT NULL DEFAULT '',
  middle          timestamptz,                    -- of the exposure
  exposure_seconds double precision,
  airmass         double precision,
  filter          text NOT NULL DEFAULT '',       -- as the file has it
  band            text,
  system          text CHECK (system IN ('AB', 'Vega')),
  unit            text CHECK (unit IN ('ADU/s', 'e-/s')),
  aperture        text NOT NULL DEFAULT '',
  catalog         text,                           -- and its release
  transformation  text,
  zero_point      double precision,               -- of a star of the reference colour
  zero_point_error double precision,              -- fit and the transformation's scatter
  fit_error       double precision,
  colour          text,
  colour_reference double precision,
  colour_term     double precision,
  colour_term_error double precision,
  scatter         double precision,               -- of the stars, beyond their errors
  measured        integer NOT NULL DEFAULT 0,
  matched         integer NOT NULL DEFAULT 0,
  used            integer NOT NULL DEFAULT 0,
  limiting        double precision,               -- magnitude of 5 sigma
  flags           text[] NOT NULL DEFAULT '{}',
  detail          jsonb NOT NULL DEFAULT '{}',
  CHECK (state = 'failed' OR num_nulls(band, system, unit, catalog, zero_point, zero_point_error, middle) = 0),
  CHECK (state = 'good' OR (reason <> '' AND zero_point IS NULL))
);
CREATE INDEX calibration_file ON calibration (file);
CREATE INDEX calibration_source ON calibration (source_location, source_name, part, made DESC);
CREATE INDEX calibration_night ON calibration (night, made);
CREATE INDEX calibration_made ON calibration (made);
-- The stars of it, as a FITS table: plots are drawn from it.
CREATE TABLE calibration_table (calibration uuid PRIMARY KEY REFERENCES calibration, content bytea NOT NULL);

-- The newest good one of each exposure and band.
CREATE VIEW current_calibration AS
  SELECT DISTINCT ON (source_location, source_name, part, band) * FROM calibration WHERE state = 'good'
  ORDER BY source_location, source_name, part, band, made DESC, id DESC;

-- The magnitudes of targets. What a newer calibration of the same exposure replaced stays, superseded.
CREATE TABLE reduced_datum (
  id               uuid PRIMARY KEY DEFAULT new_id(),
  target           uuid NOT NULL REFERENCES target,
  calibration      uuid NOT NULL REFERENCES calibration,
  time             timestamptz NOT NULL,            -- mid-exposure, UTC
  mjd              double precision NOT NULL,       -- the same, UTC
  bjd_tdb          double precision NOT NULL,       -- at the barycentre, as seen from the geocentre
  band             text NOT NULL,
  system           text NOT NULL,
  magnitude        double precision NOT NULL,
  error            double precision NOT NULL,       -- random
  zero_point_error double precision NOT NULL,
  limiting         double precision,
  flags            text[] NOT NULL DEFAULT '{}',
  source_name      text NOT NULL,
  source_location  text NOT NULL,
  superseded       timestamptz
);
CREATE UNIQUE INDEX reduced_datum_current ON reduced_datum (target, time, band, source_name, source_location)
  WHERE superseded IS NULL;
CREATE INDEX reduced_datum_calibration ON reduced_datum (calibration);
CREATE INDEX reduced_datum_target ON reduced_datum (target, time) WHERE superseded IS NULL;

CREATE TRIGGER tell AFTER INSERT OR UPDATE ON target FOR EACH ROW EXECUTE FUNCTION tell_row('target', 'name');

-- What waits for its calibration is held: the calibrator reads it where it came in.
CREATE FUNCTION hold_for_calibration() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO hold (file, reason) SELECT f.id, 'waits for its calibration' FROM fresh f
    JOIN data_location l ON l.name = f.location AND l.type = 'SOURCE' AND l.settings ->> 'content' = 'photometry';
  RETURN NULL;
END $$;
CREATE TRIGGER hold_for_calibration AFTER INSERT ON raw_data_file REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION hold_for_calibration();
CREATE FUNCTION calibrated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE hold SET lifted = now(), lifted_by = this_actor()
  WHERE file = NEW.file AND reason = 'waits for its calibration' AND lifted IS NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER calibrated AFTER INSERT ON calibration FOR EACH ROW WHEN (NEW.file IS NOT NULL) EXECUTE FUNCTION calibrated();

-- What the daemons of one host need beside what grant_host gives.
CREATE FUNCTION grant_calibration(host name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT INSERT ON calibration, calibration_table, catalog_load TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON reduced_datum, catalog TO %I', host);
  EXECUTE format('GRANT INSERT, DELETE ON catalog_star TO %I', host);
END $$;
REVOKE ALL ON FUNCTION grant_calibration(name) FROM PUBLIC;
