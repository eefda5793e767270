-- 'nf routes': the links between sites, what waits for each, and their breakers' history.

-- name: listed
SELECT r.name, r.origin, r.destination, r.transport, r.priority, r.active, r.settings,
       coalesce(b.state::text, 'closed') AS breaker, b.since, b.reason, b.probed,
       w.packages, w.bytes, w.oldest,
       (SELECT count(*) FROM data_transfer_package t WHERE t.route = r.name AND t.closed IS NULL) AS bundles,
       (SELECT max(t.closed) FROM data_transfer_package t WHERE t.route = r.name) AS last
FROM route r LEFT JOIN breaker b ON b.name = r.name
LEFT JOIN LATERAL (SELECT count(*) AS packages, coalesce(sum(x.size), 0)::bigint AS bytes, min(x.packed) AS oldest FROM crossing x WHERE x.route = r.name) w ON true
ORDER BY r.origin, r.priority, r.name;

-- name: history
SELECT e.at, e.detail ->> 'state' AS state, e.detail ->> 'reason' AS reason, e.actor FROM event e
WHERE e.subject = %(name)s AND e.what IN ('breaker made', 'breaker changed') AND e.detail ? 'state' ORDER BY e.at DESC LIMIT %(most)s;

-- name: one
SELECT r.name, r.origin, r.destination, r.transport, r.settings, here.storage::text AS storage, here.marker::text AS origin_marker,
       here.settings AS here_settings, there.marker::text AS marker, there.storage::text AS there_storage,
       there.settings AS there_settings
FROM route r JOIN data_location here ON here.name = r.origin JOIN data_location there ON there.name = r.destination WHERE r.name = %(name)s;

-- name: hurry
UPDATE raw_data_package SET priority = %(priority)s WHERE id = %(package)s AND state <> 'dissolved' RETURNING name;

-- name: hurry_bundles
-- What it is bundled with comes along.
UPDATE data_transfer_package b SET priority = %(priority)s FROM data_transfer_member m
WHERE m.bundle = b.id AND m.package = %(package)s AND b.closed IS NULL AND b.priority > %(priority)s RETURNING b.id;
