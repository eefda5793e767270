-- Which way a package goes: where several routes lead to one site, one of them carries it; what breaks
-- is gone around; and what a later archive lacks is fetched from the nearest site that has it.

-- A route that is in use, with the sites that it joins. Broken: it, or the place that it leads to, was
-- found away, and its breaker is open.
CREATE VIEW way AS
  SELECT r.name AS route, r.origin, r.destination, o.site AS from_site, d.site AS to_site, r.priority, d.priority AS place_priority,
         EXISTS (SELECT FROM breaker b WHERE b.name IN (r.name, r.destination) AND b.state = 'open') AS broken
  FROM route r JOIN data_location o ON o.name = r.origin JOIN data_location d ON d.name = r.destination AND d.active
  WHERE r.active;

-- The sites that a route leads to, itself or over other sites' routes; whole where a way there has
-- nothing broken. Preferred: of all routes of a place to a site the one that is taken, the lower priority
-- first, of the route and then of the place where it ends. A way never comes back to where it was.
CREATE OR REPLACE VIEW route_feeds AS
  WITH RECURSIVE ways AS MATERIALIZED (SELECT * FROM way), leads (route, site, past, whole) AS (
    SELECT w.route, w.to_site, ARRAY[w.from_site, w.to_site], NOT w.broken FROM ways w
    UNION ALL
    SELECT l.route, w.to_site, l.past || w.to_site, l.whole AND NOT w.broken
    FROM leads l JOIN ways w ON w.from_site = l.site AND w.to_site <> ALL (l.past)),
  reached AS (
    SELECT l.route, l.site, bool_or(l.whole) AS whole, min(cardinality(l.past)) - 1 AS legs FROM leads l GROUP BY l.route, l.site)
  SELECT r.route, r.site, r.whole, r.legs, w.origin, w.from_site,
         row_number() OVER (PARTITION BY w.origin, r.site ORDER BY r.whole DESC, w.priority, w.place_priority, r.legs, r.route) = 1 AS preferred
  FROM reached r JOIN ways w ON w.route = r.route;

-- Copies that need not be sent to their site again: what is there, or comes, at a place that is not
-- away. A second buffer takes what a broken first one can't show.
CREATE VIEW held_at_site AS
  SELECT c.package, l.site FROM physical_copy c JOIN data_location l ON l.name = c.location AND l.type <> 'SOURCE'
  WHERE c.package IS NOT NULL AND c.state IN ('arriving', 'present', 'suspect', 'deleting')
    AND NOT EXISTS (SELECT FROM breaker b WHERE b.name = l.name AND b.state = 'open');

-- Which package still has to cross which route: it is here, not there, and this is the way to an archive
-- that lacks it. What comes to a site goes on from there, so that each link is crossed once.
CREATE OR REPLACE VIEW crossing AS
  SELECT w.route, p.id AS package, p.size, p.priority, p.packed
  FROM way w
  JOIN physical_copy here ON here.location = w.origin AND here.state = 'present' AND here.package IS NOT NULL
  JOIN raw_data_package p ON p.id = here.package
  WHERE NOT EXISTS (SELECT FROM physical_copy t WHERE t.package = p.id AND t.location = w.destination
                      AND t.state IN ('arriving', 'present', 'suspect', 'deleting'))
    AND (w.from_site = w.to_site OR NOT EXISTS (SELECT FROM held_at_site h WHERE h.package = p.id AND h.site = w.to_site))
    AND EXISTS (SELECT FROM archives_for(p.program) a (name) JOIN data_location l ON l.name = a.name
                JOIN route_feeds f ON f.route = w.route AND f.site = l.site AND f.preferred
                WHERE NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = p.id AND c.location = a.name
                                    AND c.state IN ('arriving', 'present', 'suspect', 'deleting')));

-- Which buffer has to have a package again, that another site's archive lacks and no buffer can send any
-- more: the nearest to it, at a site where an archive has it.
CREATE VIEW refill_gap AS
  WITH feeds AS MATERIALIZED (
    SELECT f.*, o.priority AS place_priority, o.active FROM route_feeds f JOIN data_location o ON o.name = f.origin),
  lacking AS MATERIALIZED (
    SELECT DISTINCT p.id AS package, p.priority, l.site
    FROM raw_data_package p CROSS JOIN LATERAL archives_for(p.program) a (name) JOIN data_location l ON l.name = a.name
    WHERE p.state = 'packed' AND l.site IN (SELECT f.site FROM feeds f)
      AND NOT EXISTS (SELECT FROM physical_copy c WHERE c.package = p.id AND c.location = a.name
                        AND c.state IN ('arriving', 'present', 'suspect', 'deleting')))
  SELECT DISTINCT n.package, f.origin AS buffer, n.priority
  FROM lacking n CROSS JOIN LATERAL (
    SELECT f.origin FROM feeds f
    WHERE f.site = n.site AND f.preferred AND f.active
      AND EXISTS (SELECT FROM physical_copy c JOIN data_location h ON h.name = c.location AND h.type <> 'SOURCE'
                  WHERE c.package = n.package AND c.state = 'present' AND h.site = f.from_site)
    ORDER BY f.whole DESC, f.legs, f.place_priority, f.origin LIMIT 1) f
  WHERE NOT EXISTS (SELECT FROM held_at_site h WHERE h.package = n.package AND h.site = n.site)
    AND NOT EXISTS (SELECT FROM physical_copy c JOIN feeds f ON f.origin = c.location AND f.site = n.site
                    WHERE c.package = n.package AND c.state IN ('arriving', 'present', 'suspect'));

-- Hosts that were granted what they need before these were there.
DO $$
DECLARE host name;
BEGIN
  FOR host IN SELECT role FROM host_role LOOP
    EXECUTE format('GRANT SELECT ON way, held_at_site, refill_gap TO %I', host);
  END LOOP;
END $$;
