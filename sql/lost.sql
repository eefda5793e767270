-- Files that were overwritten or gone before they were captured.

-- name: listed
SELECT f.id, f.path, f.location, f.night, f.size, f.object, l.at, l.how, l.accepted, l.accepted_by, l.reason
FROM lost_file l JOIN raw_data_file f ON f.id = l.file
WHERE (%(all)s OR l.accepted IS NULL) AND (%(night)s::date IS NULL OR f.night = %(night)s) ORDER BY f.night DESC, f.path, f.ordinal;

-- name: accept
UPDATE lost_file SET accepted = now(), accepted_by = this_actor(), reason = %(reason)s
WHERE file = ANY(%(files)s) AND accepted IS NULL RETURNING file;
