-- What the demonstration shows while it runs.

-- name: counts
SELECT
  (SELECT count(*) FROM raw_data_file WHERE replaced_by IS NULL) AS registered,
  (SELECT count(*) FROM package_member m JOIN raw_data_package p ON p.id = m.package AND p.state = 'packed') AS packed,
  (SELECT count(*) FROM package_member m JOIN physical_copy c ON c.package = m.package AND c.location = 'center-buffer' AND c.state IN ('present', 'deleting', 'deleted')) AS crossed,
  (SELECT count(*) FROM package_member m JOIN physical_copy c ON c.package = m.package AND c.location = 'archive-a' AND c.state = 'present') AS archive_a,
  (SELECT count(*) FROM package_member m JOIN physical_copy c ON c.package = m.package AND c.location = 'archive-b' AND c.state = 'present') AS archive_b,
  (SELECT count(*) FROM raw_data_file f JOIN safety s ON s.subject = archived_as(f.id) WHERE s.proven >= copies_for(f.program)) AS safe,
  (SELECT coalesce(sum(c.size), 0) FROM physical_copy c WHERE c.location = 'dome-source' AND c.state = 'deleted') AS freed,
  (SELECT count(*) FROM physical_copy c WHERE c.location = 'dome-source' AND c.state = 'deleted') AS deleted,
  (SELECT count(*) FROM physical_copy c WHERE c.location = 'dome-source' AND c.state IN ('present', 'deleting')) AS left_there,
  (SELECT count(*) FROM quarantine WHERE released IS NULL) AS quarantined,
  (SELECT count(*) FROM blocked) AS blocked;

-- name: nights
SELECT night, count(*) AS files FROM raw_data_file GROUP BY night ORDER BY night;

-- name: a_freed_file
SELECT f.path, f.night FROM physical_copy c JOIN raw_data_file f ON f.id = c.file
WHERE c.location = 'dome-source' AND c.state = 'deleted' ORDER BY c.changed DESC LIMIT 1;
