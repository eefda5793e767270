-- Who takes data and where it may lie. Written by 'nf config apply' from observatory.yaml only.

CREATE TABLE site (name text PRIMARY KEY, description text NOT NULL DEFAULT '');

CREATE TYPE location_type AS ENUM ('SOURCE', 'BUFFER', 'LONG_TERM_ARCHIVE', 'PROCESSING');
CREATE TYPE storage_kind AS ENUM ('posix', 's3');
CREATE TYPE read_kind AS ENUM (
  'cache',   -- the host's memory may have answered
  'remote',  -- another host's disk or memory answered
  'medium'   -- past every cache of this host
);

CREATE TABLE data_location (
  name           text PRIMARY KEY,
  site           text NOT NULL REFERENCES site,
  type           location_type NOT NULL,
  storage        storage_kind NOT NULL DEFAULT 'posix',
  priority       smallint NOT NULL DEFAULT 100,     -- lower first
  active         boolean NOT NULL DEFAULT true,     -- false = drained: nothing new is put here
  failure_domain text NOT NULL,                     -- what fails together
  marker         uuid,                              -- of the marker file; absent until 'nf locations init'
  capabilities   jsonb NOT NULL DEFAULT '{}',       -- what the probe found
  best_reading   read_kind NOT NULL DEFAULT 'medium', -- the best proof that a reading here can be
  reap_enabled   boolean NOT NULL DEFAULT false,    -- false = the reaper only plans
  keep           interval,                          -- copies older than this may go; absent = never by age
  high           double precision CHECK (high < 1), -- fuller than this share: the oldest go, by the same rule,
  low            double precision CHECK (low > 0),  -- until it is as full as this; absent = nothing by pressure
  trash_grace    interval NOT NULL DEFAULT '24 hours',
  settings       jsonb NOT NULL DEFAULT '{}',       -- settle rule, hints, ephemeral rules, store's own
  CHECK ((high IS NULL) = (low IS NULL) AND coalesce(low < high, true))
);

CREATE TABLE route (
  name        text PRIMARY KEY,
  origin      text NOT NULL REFERENCES data_location,
  destination text NOT NULL REFERENCES data_location,
  transport   text NOT NULL DEFAULT 'local',
  priority    smallint NOT NULL DEFAULT 100,
  active      boolean NOT NULL DEFAULT true,
  settings    jsonb NOT NULL DEFAULT '{}',
  CHECK (origin <> destination)
);

-- The numbers of observatory.yaml that the rules obey. One row.
CREATE TABLE policy (
  only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  copies        smallint NOT NULL DEFAULT 2 CHECK (copies >= 1),
  scrub_days    real NOT NULL DEFAULT 90 CHECK (scrub_days > 0),
  proof_max_age interval NOT NULL DEFAULT '72 hours',
  group_quiet   interval NOT NULL DEFAULT '10 minutes',
  package_size  bigint NOT NULL DEFAULT 50000000000 CHECK (package_size > 0),
  bundle_size   bigint NOT NULL DEFAULT 200000000000 CHECK (bundle_size > 0),
  sweep_temporaries interval NOT NULL DEFAULT '1 hour',
  backup_max_age interval NOT NULL DEFAULT '2 days', -- an older backup of this database is too old
  reap_files    integer NOT NULL DEFAULT 10000,
  reap_bytes    bigint NOT NULL DEFAULT 5000000000000,
  document      jsonb NOT NULL DEFAULT '{}'          -- observatory.yaml as it was applied
);
INSERT INTO policy DEFAULT VALUES;

CREATE TABLE observatory (name text PRIMARY KEY, description text NOT NULL DEFAULT '');
CREATE TABLE telescope (
  name        text PRIMARY KEY,
  observatory text NOT NULL REFERENCES observatory,
  zone        text NOT NULL DEFAULT 'UTC',   -- IANA name; the night is local noon to noon
  turnover    time NOT NULL DEFAULT '12:00',
  label       text NOT NULL DEFAULT 'evening' CHECK (label IN ('evening', 'morning'))  -- whose date names it
);
CREATE TABLE instrument (name text PRIMARY KEY, telescope text REFERENCES telescope);
CREATE TABLE instrument_module (
  instrument text NOT NULL REFERENCES instrument, name text NOT NULL, PRIMARY KEY (instrument, name));

CREATE TABLE observing_program (
  name        text PRIMARY KEY,
  title       text NOT NULL DEFAULT '',
  owner       text,                          -- absent = unknown = closed
  proprietary interval,                      -- frames become public this long after they were taken
  copies      smallint CHECK (copies >= 1)   -- absent = the policy's
);
-- Which archives a programme's packages must reach; program '' is the rule for all others.
CREATE TABLE program_archive (
  program  text NOT NULL DEFAULT '', location text NOT NULL REFERENCES data_location,
  PRIMARY KEY (program, location));

CREATE TYPE quality AS ENUM ('unknown', 'good', 'doubtful', 'bad');
CREATE TYPE unit_origin AS ENUM (
  'filed',    -- somebody told us of the observation
  'grouped'   -- made from the headers of frames that nobody filed
);
CREATE TYPE frame_type AS ENUM (
  'bias', 'dark', 'flat', 'arc', 'focus', 'standard', 'science', 'guide', 'engineering', 'unknown');

CREATE TABLE obs_unit (
  id      uuid PRIMARY KEY DEFAULT new_id(),
  site    text NOT NULL DEFAULT this_site(),
  program text NOT NULL REFERENCES observing_program,
  name    text NOT NULL,
  target  text,
  UNIQUE (program, name)
);
CREATE TABLE executed_obs_unit (
  id           uuid PRIMARY KEY DEFAULT new_id(),
  site         text NOT NULL DEFAULT this_site(),
  origin       unit_origin NOT NULL,
  program      text REFERENCES observing_program,
  obs_unit     uuid REFERENCES obs_unit,
  instrument   text NOT NULL REFERENCES instrument,
  module       text NOT NULL DEFAULT '',
  night        date NOT NULL,
  frame_type   frame_type NOT NULL DEFAULT 'unknown',
  target       text NOT NULL DEFAULT '',
  began        timestamptz,
  ended        timestamptz,
  completed    timestamptz,                   -- declared complete: its packages close at once
  owner        text,
  public_after timestamptz,
  quality      quality NOT NULL DEFAULT 'unknown',
  document     jsonb NOT NULL DEFAULT '{}'    -- as it was filed
);
CREATE INDEX executed_obs_unit_night ON executed_obs_unit (night, instrument);
-- The files that an observation was filed with, by name: they may not have arrived yet.
CREATE TABLE filed_file (
  executed_obs_unit uuid NOT NULL REFERENCES executed_obs_unit,
  location text NOT NULL REFERENCES data_location, path text NOT NULL,
  PRIMARY KEY (executed_obs_unit, location, path));
CREATE INDEX filed_file_path ON filed_file (location, path);
