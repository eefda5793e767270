-- The timeline as it is now. The one of the last checkpoint lags: for a while after a promotion it is
-- still the old primary's, and the reaper went on by the ledger of a copy that was seconds behind.
CREATE OR REPLACE FUNCTION running_incarnation(OUT system_identifier bigint, OUT timeline integer, OUT database_oid oid)
LANGUAGE sql STABLE AS $$
  SELECT s.system_identifier,
         CASE WHEN pg_is_in_recovery() THEN c.timeline_id
              -- The first eight digits of the name of the log's file that is written to.
              ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer END,
         d.oid
  FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
  WHERE d.datname = current_database()
$$;
