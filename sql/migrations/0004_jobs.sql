-- Jobs: derived from the ledger, lost without loss. jobs.py alone names these tables.

CREATE TYPE job_state AS ENUM (
  'ready',    -- claim → running
  'waiting',  -- tick, when due → ready
  'running'   -- finish → job_done; retry → waiting; give back → ready; block → blocked; lease ends → ready
);
CREATE TABLE job (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind         text NOT NULL,
  subject      text NOT NULL,
  place        text NOT NULL DEFAULT '',   -- the location that the worker's host must have
  needs        text NOT NULL DEFAULT '',   -- the location or route whose breaker counts
  state        job_state NOT NULL DEFAULT 'ready',
  priority     smallint NOT NULL DEFAULT 100,
  due          timestamptz NOT NULL DEFAULT now(),  -- waiting: not before; running: the lease ends; ready: since
  attempts     smallint NOT NULL DEFAULT 0,
  max_attempts smallint NOT NULL DEFAULT 8,
  claim        uuid,
  claimed_by   text,
  done         bigint,                     -- how far: bytes or items
  done_of      bigint,
  error        jsonb,
  created      timestamptz NOT NULL DEFAULT now(),
  UNIQUE (kind, subject),
  CHECK ((state = 'running') = (claim IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX job_ready ON job (kind, place, needs, priority, due, id) WHERE state = 'ready';
CREATE INDEX job_clock ON job (due) WHERE state IN ('waiting', 'running');
CREATE INDEX job_claimed_by ON job (claimed_by) WHERE state = 'running';

CREATE TABLE job_done (
  id bigint NOT NULL, claim uuid NOT NULL, kind text NOT NULL, subject text NOT NULL,
  attempts smallint NOT NULL, claimed_by text, created timestamptz NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (at);
-- A month that nobody made must not stop every finish at midnight on the first.
CREATE TABLE job_done_default PARTITION OF job_done DEFAULT;
CREATE INDEX job_done_claim ON job_done (id, claim);
CREATE INDEX job_done_at ON job_done (at);

-- Makes the partitions of this month and the two that follow. Returns how many it made.
CREATE FUNCTION make_job_months() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE month timestamptz; name text; made integer := 0;
BEGIN
  FOR ahead IN 0..2 LOOP
    month := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + make_interval(months => ahead);
    name := 'job_done_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
    CONTINUE WHEN to_regclass(name) IS NOT NULL;
    -- Rows that the default already took for that month keep it; a new partition would not attach.
    CONTINUE WHEN EXISTS (SELECT FROM job_done_default WHERE at >= month AND at < month + interval '1 month');
    EXECUTE format('CREATE TABLE %I PARTITION OF job_done FOR VALUES FROM (%L) TO (%L)',
                   name, month, (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
    made := made + 1;
  END LOOP;
  RETURN made;
END $$;

-- Work that is one at a time in a place: ingest's watch, a kind's tick, its wanted statement, a probe.
CREATE TABLE lease (
  location text NOT NULL, kind text NOT NULL, claim uuid NOT NULL, holder text NOT NULL,
  until timestamptz NOT NULL, PRIMARY KEY (location, kind));

CREATE TYPE breaker_state AS ENUM ('closed', 'open');
CREATE TABLE breaker (
  name     text PRIMARY KEY,               -- of a location or route
  state    breaker_state NOT NULL DEFAULT 'closed',
  since    timestamptz NOT NULL DEFAULT now(),
  subjects text[] NOT NULL DEFAULT '{}',   -- that failed in a row
  reason   text NOT NULL DEFAULT '',
  probed   timestamptz
);

CREATE TABLE heartbeat (
  daemon  text NOT NULL,                   -- the kind
  host    text NOT NULL,
  name    text NOT NULL DEFAULT '',        -- where several of a kind run on one host
  pid     integer NOT NULL,
  version text NOT NULL,
  started timestamptz NOT NULL DEFAULT now(),
  seen    timestamptz NOT NULL DEFAULT now(),
  stopped timestamptz,
  status  text NOT NULL DEFAULT '',
  PRIMARY KEY (daemon, host, name)
);
