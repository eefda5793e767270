-- The ground that all tables stand on: identities, checksums, and the history of everything.

-- A checksum is 64 lower-case hexadecimal digits or it is absent; it is never a word like 'False'.
CREATE DOMAIN sha256 AS text CHECK (VALUE ~ '^[0-9a-f]{64}$');

-- UUIDv7, made by the site that creates the row. The server's own uuidv7() exists only from 18 on.
CREATE FUNCTION new_id() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
      PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
      FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Who and where a session speaks for: set by every connection of ours, else the database's user.
CREATE FUNCTION this_actor() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('nightferry.actor', true), ''), session_user::text)
$$;
CREATE FUNCTION this_site() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('nightferry.site', true), ''), 'here')
$$;

CREATE FUNCTION this_host() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('nightferry.host', true), ''), 'here')
$$;

-- The append-only history. A reader takes xid < pg_snapshot_xmin(pg_current_snapshot()), so that
-- it misses nothing that commits late.
CREATE TABLE event (
  id       uuid PRIMARY KEY DEFAULT new_id(),
  site     text NOT NULL DEFAULT this_site(),
  xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor    text NOT NULL DEFAULT this_actor(),
  what     text NOT NULL,             -- 'copy present', 'hold placed', …
  subject  text NOT NULL DEFAULT '',  -- the row's id or name
  location text,
  detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX event_subject ON event (subject, at);
CREATE INDEX event_xid ON event (xid);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% rows are history: they are never changed or removed', TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE ON event
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Which database this is. After a restore or a failover it can lag the disks, and then the reaper
-- stands still until an audit has passed. The database's oid tells a dump that was restored beside
-- its original on the same server.
CREATE TABLE incarnation (
  id                uuid PRIMARY KEY DEFAULT new_id(),
  system_identifier bigint NOT NULL,
  timeline          integer NOT NULL,
  database_oid      oid NOT NULL,
  began             timestamptz NOT NULL DEFAULT clock_timestamp(),
  trusted_by        text NOT NULL DEFAULT this_actor(),
  reason            text NOT NULL
);

CREATE FUNCTION running_incarnation(OUT system_identifier bigint, OUT timeline integer, OUT database_oid oid)
LANGUAGE sql STABLE AS $$
  SELECT s.system_identifier, c.timeline_id, d.oid
  FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d
  WHERE d.datname = current_database()
$$;

-- True while the newest trusted incarnation is the one that is running.
CREATE FUNCTION incarnation_is_trusted() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT (i.system_identifier, i.timeline, i.database_oid)
                        = (r.system_identifier, r.timeline, r.database_oid)
                   FROM incarnation i, running_incarnation() r ORDER BY i.began DESC, i.id DESC LIMIT 1), false)
$$;

CREATE FUNCTION trust_incarnation(reason text) RETURNS void LANGUAGE sql AS $$
  INSERT INTO incarnation (system_identifier, timeline, database_oid, reason)
  SELECT system_identifier, timeline, database_oid, trust_incarnation.reason FROM running_incarnation();
  INSERT INTO event (what, detail) VALUES ('incarnation trusted', jsonb_build_object('reason', reason));
$$;
