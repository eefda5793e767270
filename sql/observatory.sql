-- What 'nf config' reads and writes: the rows that observatory.yaml stands for.

-- name: policy
SELECT copies, scrub_days::text::double precision AS scrub_days, proof_max_age, group_quiet, package_size, bundle_size, sweep_temporaries, backup_max_age, reap_files, reap_bytes, document
FROM policy;

-- name: put_policy
UPDATE policy SET copies = %(copies)s, scrub_days = %(scrub_days)s, proof_max_age = %(proof_max_age)s, group_quiet = %(group_quiet)s,
  package_size = %(package_size)s, bundle_size = %(bundle_size)s, reap_files = %(reap_files)s, reap_bytes = %(reap_bytes)s, sweep_temporaries = %(sweep_temporaries)s,
  backup_max_age = %(backup_max_age)s;

-- name: put_document
UPDATE policy SET document = %(document)s;

-- name: sites
SELECT name, description FROM site;

-- name: put_site
INSERT INTO site (name, description) VALUES (%(name)s, %(description)s)
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;

-- name: locations
SELECT name, site, type::text, storage::text, priority, active, failure_domain, best_reading::text, reap_enabled, keep, high, low, trash_grace, settings
FROM data_location;

-- name: put_location
INSERT INTO data_location (name, site, type, storage, priority, active, failure_domain, best_reading, reap_enabled, keep, high, low, trash_grace, settings)
VALUES (%(name)s, %(site)s, %(type)s, %(storage)s, %(priority)s, %(active)s, %(failure_domain)s, %(best_reading)s, %(reap_enabled)s,
  %(keep)s, %(high)s, %(low)s, %(trash_grace)s, %(settings)s)
ON CONFLICT (name) DO UPDATE SET site = EXCLUDED.site, type = EXCLUDED.type, storage = EXCLUDED.storage, priority = EXCLUDED.priority,
  active = EXCLUDED.active, failure_domain = EXCLUDED.failure_domain, best_reading = EXCLUDED.best_reading,
  reap_enabled = EXCLUDED.reap_enabled, keep = EXCLUDED.keep, high = EXCLUDED.high, low = EXCLUDED.low, trash_grace = EXCLUDED.trash_grace, settings = EXCLUDED.settings;

-- name: location_is_used
-- The ledger speaks of it: its row must stay, whatever the file says.
SELECT EXISTS (SELECT FROM physical_copy WHERE location = %(name)s)
    OR EXISTS (SELECT FROM raw_data_file WHERE location = %(name)s)
    OR EXISTS (SELECT FROM raw_data_package WHERE origin = %(name)s)
    OR EXISTS (SELECT FROM filed_file WHERE location = %(name)s)
    OR EXISTS (SELECT FROM quarantine WHERE location = %(name)s)
    OR EXISTS (SELECT FROM route r JOIN data_transfer_package b ON b.route = r.name WHERE %(name)s IN (r.origin, r.destination)) AS used;

-- name: drain_location
UPDATE data_location SET active = false, reap_enabled = false WHERE name = %(name)s;

-- name: remove_location
-- Nothing but what daemons noted of it can still name it.
WITH states AS (DELETE FROM location_state WHERE location = %(name)s),
     directories AS (DELETE FROM source_directory WHERE location = %(name)s),
     places AS (DELETE FROM host_place WHERE location = %(name)s),
     asked AS (DELETE FROM program_archive WHERE location = %(name)s)
DELETE FROM data_location WHERE name = %(name)s;

-- name: routes
SELECT name, origin, destination, transport, priority, active, settings FROM route;

-- name: put_route
INSERT INTO route (name, origin, destination, transport, priority, active, settings)
VALUES (%(name)s, %(origin)s, %(destination)s, %(transport)s, %(priority)s, %(active)s, %(settings)s)
ON CONFLICT (name) DO UPDATE SET origin = EXCLUDED.origin, destination = EXCLUDED.destination, transport = EXCLUDED.transport,
  priority = EXCLUDED.priority, active = EXCLUDED.active, settings = EXCLUDED.settings;

-- name: route_is_used
SELECT EXISTS (SELECT FROM data_transfer_package WHERE route = %(name)s) AS used;

-- name: drain_route
UPDATE route SET active = false WHERE name = %(name)s;

-- name: remove_route
DELETE FROM route WHERE name = %(name)s;

-- name: observatories
SELECT name, description FROM observatory;

-- name: put_observatory
INSERT INTO observatory (name, description) VALUES (%(name)s, %(description)s)
ON CONFLICT (name) DO UPDATE SET description = EXCLUDED.description;

-- name: telescopes
SELECT name, observatory, zone, turnover, label FROM telescope;

-- name: put_telescope
INSERT INTO telescope (name, observatory, zone, turnover, label) VALUES (%(name)s, %(observatory)s, %(zone)s, %(turnover)s, %(label)s)
ON CONFLICT (name) DO UPDATE SET observatory = EXCLUDED.observatory, zone = EXCLUDED.zone, turnover = EXCLUDED.turnover, label = EXCLUDED.label;

-- name: instruments
SELECT name, telescope FROM instrument;

-- name: put_instrument
INSERT INTO instrument (name, telescope) VALUES (%(name)s, %(telescope)s)
ON CONFLICT (name) DO UPDATE SET telescope = EXCLUDED.telescope;

-- name: modules
SELECT instrument || '/' || name AS name, instrument, name AS module FROM instrument_module;

-- name: put_module
INSERT INTO instrument_module (instrument, name) VALUES (%(instrument)s, %(module)s) ON CONFLICT DO NOTHING;

-- name: programs
SELECT name, title, owner, proprietary, copies FROM observing_program;

-- name: put_program
INSERT INTO observing_program (name, title, owner, proprietary, copies) VALUES (%(name)s, %(title)s, %(owner)s, %(proprietary)s, %(copies)s)
ON CONFLICT (name) DO UPDATE SET title = EXCLUDED.title, owner = EXCLUDED.owner, proprietary = EXCLUDED.proprietary, copies = EXCLUDED.copies;

-- name: archive_rules
SELECT program AS name, array_agg(location ORDER BY location) AS archives FROM program_archive GROUP BY program;

-- name: drop_archive_rule
DELETE FROM program_archive WHERE program = %(name)s;

-- name: put_archive_rule
INSERT INTO program_archive (program, location) SELECT %(name)s, unnest(%(archives)s::text[]);
