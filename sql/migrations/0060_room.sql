-- A place that is full is gone around as one that is away: its host measured less room there, in the
-- last minutes, than the largest package takes.
CREATE OR REPLACE VIEW way AS
  SELECT r.name AS route, r.origin, r.destination, o.site AS from_site, d.site AS to_site, r.priority, d.priority AS place_priority,
         EXISTS (SELECT FROM breaker b WHERE b.name IN (r.name, r.destination) AND b.state = 'open')
         OR EXISTS (SELECT FROM location_state s, policy WHERE s.location = r.destination
                      AND s.measured > now() - interval '5 minutes' AND s.free_bytes < policy.package_size) AS broken
  FROM route r JOIN data_location o ON o.name = r.origin JOIN data_location d ON d.name = r.destination AND d.active
  WHERE r.active;
