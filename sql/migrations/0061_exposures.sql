-- Calibrations that fail keep their night; what replaces what is known by the exposure; hosts may solve nights.

-- A name may be used again for another exposure (an instrument's counter starts again): which one of them.
-- A file that tells its exposures apart by itself (calibration.part) needs no such number.
CREATE FUNCTION exposure_under_name(of_file uuid, part text) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN part <> '' OR of_file IS NULL THEN 0 ELSE (
    SELECT count(*)::integer FROM raw_data_file f JOIN raw_data_file x ON x.location = f.location AND x.path = f.path
      AND x.ordinal <= f.ordinal AND x.relation = 'exposure' WHERE f.id = of_file) END
$$;
ALTER TABLE calibration ADD COLUMN exposure integer NOT NULL DEFAULT 0;
UPDATE calibration k SET exposure = exposure_under_name(k.file, k.part) WHERE exposure_under_name(k.file, k.part) <> 0;
UPDATE calibration k SET night = f.night FROM raw_data_file f WHERE f.id = k.file AND k.night IS NULL;

CREATE OR REPLACE VIEW current_calibration AS
  SELECT DISTINCT ON (source_location, source_name, exposure, part, band) * FROM calibration WHERE state = 'good'
  ORDER BY source_location, source_name, exposure, part, band, made DESC, id DESC;
CREATE INDEX reduced_datum_source ON reduced_datum (source_location, source_name) WHERE superseded IS NULL;

-- What the daemons of one host need beside what grant_host gives; those that have a role have it at once.
CREATE OR REPLACE FUNCTION grant_calibration(host name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('GRANT INSERT ON calibration, calibration_table, catalog_load, night_solution, night_exposure, '
                 'master_frame, master_member TO %I', host);
  EXECUTE format('GRANT INSERT, UPDATE ON reduced_datum, catalog TO %I', host);
  EXECUTE format('GRANT INSERT, DELETE ON catalog_star TO %I', host);
END $$;
SELECT grant_calibration(h.role) FROM host_role h JOIN pg_roles r ON r.rolname = h.role;
