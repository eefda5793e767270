-- Database users of hosts: what each may write.

-- name: exists
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s) AS there;

-- name: unknown_locations
SELECT n.name FROM unnest(%(locations)s::text[]) n (name) WHERE NOT EXISTS (SELECT FROM data_location l WHERE l.name = n.name);

-- name: grant
SELECT grant_host(%(role)s, %(locations)s::text[], %(reaps)s), grant_calibration(%(role)s), grant_canary(%(role)s), grant_products(%(role)s);

-- name: listed
SELECT h.role, h.reaps, coalesce(array_agg(p.location ORDER BY p.location) FILTER (WHERE p.location IS NOT NULL), '{}') AS locations
FROM host_role h LEFT JOIN host_place p ON p.role = h.role GROUP BY h.role, h.reaps ORDER BY h.role;
