-- 'nf backup': the database in one file, proven by restoring it.

-- name: place
SELECT name, type::text, storage::text, marker::text, settings FROM data_location WHERE name = %(location)s;

-- name: still
-- What follows in this transaction sees one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: snapshot
-- That moment, under a name that another session can join; it lasts as long as this transaction does,
-- however long it says nothing.
SELECT pg_export_snapshot() AS name, now() AS taken, current_setting('server_version_num')::integer / 10000 AS major,
       set_config('idle_in_transaction_session_timeout', '0', true) AS patience;

-- name: counts
SELECT name, rows FROM row_counts();

-- name: proven
INSERT INTO backup (location, path, sha256, size, taken, rows)
VALUES (%(location)s, %(path)s, %(sha256)s, %(size)s, %(taken)s, %(rows)s);

-- name: listed
SELECT b.location, b.path, b.sha256, b.size, b.taken, b.proven, b.rows, b.host, policy.backup_max_age, b.taken > now() - policy.backup_max_age AS young
FROM backup b, policy ORDER BY b.taken DESC LIMIT %(most)s;
