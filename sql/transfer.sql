-- The transfer agent: which packages cross a link, together.

-- name: wanted
-- Open bundles with something that has not arrived. The place is the sender's.
SELECT b.id || '@' || r.destination AS subject, r.origin AS place, r.name AS needs, b.priority
FROM data_transfer_package b JOIN route r ON r.name = b.route AND r.active
WHERE b.closed IS NULL
  AND EXISTS (SELECT FROM data_transfer_member m JOIN crossing x ON x.package = m.package AND x.route = b.route WHERE m.bundle = b.id);

-- name: facts
SELECT b.id, r.name AS route, r.transport, r.settings, r.origin, r.destination,
       (SELECT l.marker::text FROM data_location l WHERE l.name = r.destination) AS marker,
       (SELECT coalesce(json_agg(json_build_object('package', p.id, 'path', here.path, 'sha256', p.sha256, 'size', p.size) ORDER BY p.priority, p.packed, p.id), '[]')
        FROM data_transfer_member m JOIN crossing x ON x.package = m.package AND x.route = b.route
        JOIN raw_data_package p ON p.id = m.package
        JOIN physical_copy here ON here.package = p.id AND here.location = r.origin AND here.state = 'present'
        WHERE m.bundle = b.id) AS parcels
FROM data_transfer_package b JOIN route r ON r.name = b.route WHERE b.id = %(about)s AND b.closed IS NULL;

-- name: to_bundle
-- What has to cross and is in no open bundle that will bring it there: one whose route broke lets go of
-- it. Where routes of two places lead to one, the first by priority takes it. And how many bundles of its
-- route and priority are formed and not across.
SELECT x.route, x.package, x.size, x.priority, x.packed < now() - %(age)s AS waited, (
  SELECT count(*) FROM data_transfer_package b WHERE b.route = x.route AND b.priority = x.priority AND b.closed IS NULL
    AND EXISTS (SELECT FROM data_transfer_member m JOIN crossing y ON y.package = m.package AND y.route = b.route WHERE m.bundle = b.id)) AS formed
FROM crossing x JOIN route r ON r.name = x.route
WHERE NOT EXISTS (SELECT FROM data_transfer_member m JOIN data_transfer_package b ON b.id = m.bundle AND b.closed IS NULL
                  JOIN route o ON o.name = b.route AND o.destination = r.destination
                  JOIN crossing y ON y.route = b.route AND y.package = m.package WHERE m.package = x.package)
  AND NOT EXISTS (SELECT FROM crossing y JOIN route s ON s.name = y.route
                  LEFT JOIN breaker k ON k.name = s.name AND k.state = 'open'
                  WHERE y.package = x.package AND s.destination = r.destination AND k.name IS NULL AND (s.priority, s.name) < (r.priority, r.name))
ORDER BY x.route, x.priority, x.packed, x.package;

-- name: form
INSERT INTO data_transfer_package (route, priority, size) VALUES (%(route)s, %(priority)s, %(size)s) RETURNING id;

-- name: add_members
INSERT INTO data_transfer_member (bundle, package) SELECT %(bundle)s, unnest(%(packages)s::uuid[]);

-- name: close
-- Bundles of which nothing has to cross any more.
UPDATE data_transfer_package b SET closed = now() WHERE b.closed IS NULL AND NOT EXISTS (
  SELECT FROM data_transfer_member m JOIN crossing x ON x.package = m.package AND x.route = b.route WHERE m.bundle = b.id)
  AND NOT EXISTS (SELECT FROM data_transfer_member m JOIN route r ON r.name = b.route
                  JOIN physical_copy c ON c.package = m.package AND c.location = r.destination AND c.state = 'arriving' WHERE m.bundle = b.id);

-- name: arriving
INSERT INTO physical_copy (package, location, path, temporary, state, sha256, size)
SELECT p.id, %(location)s, p.path, %(temporary)s, 'arriving', p.sha256, p.size FROM raw_data_package p WHERE p.id = %(package)s
ON CONFLICT DO NOTHING RETURNING id;

-- name: bundle_size
SELECT bundle_size FROM policy;

-- name: doubt_sender
-- What was to be sent is not what the ledger says: verify has the last word on it.
UPDATE physical_copy SET state = 'suspect' WHERE package = %(package)s AND location = %(location)s AND state = 'present' RETURNING id;
