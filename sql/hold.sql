-- Holds: nobody deletes this night, package or file.

-- name: place
INSERT INTO hold (night, package, file, reason) VALUES (%(night)s, %(package)s, %(file)s, %(reason)s) RETURNING id;

-- name: open
SELECT h.id, h.night, h.reason, h.placed, h.placed_by, p.name AS package, f.path AS file, f.night AS file_night
FROM hold h LEFT JOIN raw_data_package p ON p.id = h.package LEFT JOIN raw_data_file f ON f.id = h.file
WHERE h.lifted IS NULL ORDER BY h.placed, h.id;

-- name: lift
UPDATE hold SET lifted = now(), lifted_by = this_actor() WHERE id = %(id)s AND lifted IS NULL RETURNING id;

-- name: reach
-- What a hold is about, and how much of it can't be called back any more.
WITH things AS (
  SELECT p.id FROM raw_data_package p WHERE p.id = %(package)s OR p.night = %(night)s
  UNION SELECT f.id FROM raw_data_file f WHERE f.id = %(file)s OR f.night = %(night)s
  UNION SELECT m.file FROM package_member m WHERE m.package = %(package)s
  UNION SELECT m.package FROM package_member m WHERE m.file = %(file)s)
SELECT count(*) FILTER (WHERE c.state = 'present') AS present,
       count(*) FILTER (WHERE c.state = 'deleted') AS deleted,
       count(*) FILTER (WHERE dc.stage = 'condemned') AS condemned,
       count(*) FILTER (WHERE dc.stage IN ('deleting', 'trashed', 'hashed')) AS recalled
FROM things t JOIN physical_copy c ON coalesce(c.package, c.file) = t.id
LEFT JOIN deletion_copy dc ON dc.copy = c.id AND dc.stage IN ('deleting', 'trashed', 'hashed', 'condemned');
