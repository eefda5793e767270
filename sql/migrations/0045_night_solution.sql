-- A night's exposures of one field solved together: mean magnitudes of stars, zero points of exposures.

-- A later solution is another row: nothing is overwritten, and the newest good one is the current one.
CREATE TABLE night_solution (
  id              uuid PRIMARY KEY DEFAULT new_id(),
  site            text NOT NULL DEFAULT this_site(),
  made            timestamptz NOT NULL DEFAULT clock_timestamp(),
  by              text NOT NULL DEFAULT this_actor(),
  night           date NOT NULL,
  source_location text NOT NULL,                  -- as of its calibrations
  instrument      text NOT NULL DEFAULT '',
  field           text NOT NULL,                  -- the middle of its stars, degrees: of which field of the night
  band            text NOT NULL,
  system          text NOT NULL CHECK (system IN ('AB', 'Vega')),
  unit            text NOT NULL CHECK (unit IN ('ADU/s', 'e-/s')),
  catalog         text NOT NULL,
  transformation  text NOT NULL,
  state           calibration_state NOT NULL,
  reason          text NOT NULL DEFAULT '',
  advice          text NOT NULL DEFAULT '',
  zero_point      double precision,               -- of a star of the reference colour, the mean of the exposures
  zero_point_error double precision,              -- fit and the transformation's scatter
  fit_error       double precision,
  at_colour_0     double precision,               -- the same of a star of colour 0
  colour          text,
  colour_reference double precision,
  colour_term     double precision,
  colour_term_error double precision,
  exposures       integer NOT NULL,
  stars           integer NOT NULL DEFAULT 0,
  used            integer NOT NULL DEFAULT 0,     -- stars that gave the night's zero point
  repeats         double precision,               -- mag: scatter of the brightest constant stars, the median
  repeats_worst   double precision,
  flags           text[] NOT NULL DEFAULT '{}',
  CHECK (state = 'failed' OR num_nulls(zero_point, zero_point_error, fit_error, colour_reference) = 0),
  CHECK (state = 'good' OR (reason <> '' AND zero_point IS NULL))
);
CREATE INDEX night_solution_night ON night_solution (night, made);
-- The exposures of it: each calibration's zero point by the whole night; absent where it was left out.
CREATE TABLE night_exposure (
  solution    uuid NOT NULL REFERENCES night_solution,
  calibration uuid NOT NULL REFERENCES calibration,
  zero_point  double precision,
  error       double precision,                   -- beside the other exposures, without the night's own
  PRIMARY KEY (solution, calibration));
CREATE INDEX night_exposure_calibration ON night_exposure (calibration);

CREATE VIEW current_night_solution AS
  SELECT DISTINCT ON (night, source_location, field, band) * FROM night_solution WHERE state = 'good'
  ORDER BY night, source_location, field, band, made DESC, id DESC;

-- Magnitudes of targets by the whole night say so; those of an exposure alone have none.
ALTER TABLE reduced_datum ADD COLUMN solution uuid REFERENCES night_solution;
CREATE INDEX reduced_datum_solution ON reduced_datum (solution) WHERE solution IS NOT NULL;

-- What the daemons of one host need beside what grant_host gives.
CREATE OR REPLACE FUNCTION grant_calibration(host name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT INSERT ON calibration, calibration_table, catalog_load, night_solution, night_exposure TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON reduced_datum, catalog TO %I', host);
  EXECUTE format('GRANT INSERT, DELETE ON catalog_star TO %I', host);
END $$;
