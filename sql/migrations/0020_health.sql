-- How full each place was: for a forecast of days, where a mark warns of minutes.

CREATE TABLE space_measured (
  location    text NOT NULL REFERENCES data_location,
  at          timestamptz NOT NULL DEFAULT now(),
  total_bytes bigint NOT NULL,
  free_bytes  bigint NOT NULL,
  PRIMARY KEY (location, at));

-- Whoever measures writes the place's state; of that, one reading in ten minutes is kept for 30 days.
CREATE FUNCTION keep_measured() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO space_measured (location, at, total_bytes, free_bytes)
  SELECT NEW.location, NEW.measured, NEW.total_bytes, NEW.free_bytes
  WHERE NOT EXISTS (SELECT FROM space_measured s WHERE s.location = NEW.location AND s.at > NEW.measured - interval '10 minutes')
  ON CONFLICT DO NOTHING;
  DELETE FROM space_measured WHERE location = NEW.location AND at < NEW.measured - interval '30 days';
  RETURN NULL;
END $$;
CREATE TRIGGER keep_measured AFTER INSERT OR UPDATE OF measured ON location_state FOR EACH ROW
  WHEN (NEW.measured IS NOT NULL AND NEW.free_bytes IS NOT NULL AND NEW.total_bytes > 0) EXECUTE FUNCTION keep_measured();

-- The straight line through a week's readings; nothing from less than half a day, for one night is
-- not a rate.
CREATE VIEW space_forecast AS
  SELECT l.name AS location, now.total_bytes, now.free_bytes, now.at AS measured, line.bytes_per_day,
         CASE WHEN line.bytes_per_day < 0 THEN now.free_bytes / -line.bytes_per_day END AS days_left
  FROM data_location l
  JOIN LATERAL (SELECT m.* FROM space_measured m WHERE m.location = l.name ORDER BY m.at DESC LIMIT 1) now ON true
  LEFT JOIN LATERAL (
    SELECT regr_slope(m.free_bytes, extract(epoch FROM m.at)::double precision) * 86400 AS bytes_per_day
    FROM space_measured m WHERE m.location = l.name AND m.at > now.at - interval '7 days'
    HAVING max(m.at) - min(m.at) > interval '12 hours') line ON true;
