-- The ledger: every file, package and copy, every reading of a copy, every deletion and its reason.
-- Over 300 lines: its tables refer to each other, and are read together.

CREATE TYPE header_state AS ENUM ('whole', 'none', 'broken');
CREATE TYPE file_relation AS ENUM (
  'first',     -- the first file at this path
  'version',   -- the same exposure again, with other bytes
  'exposure'   -- another exposure under a name that was used before
);
CREATE TYPE file_handling AS ENUM (
  'archive',    -- goes into a package and to the archives
  'ephemeral',  -- kept some days and never archived, by the site's rule
  'adopted'     -- was in an archive before us, and stays there as a loose file
);
CREATE TYPE night_source AS ENUM ('exposure', 'arrival');
CREATE TYPE clock_state AS ENUM ('good', 'doubtful', 'unknown');

-- '' is a location's root.
CREATE FUNCTION directory_of(path text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN path LIKE '%/%' THEN regexp_replace(path, '/[^/]*$', '') ELSE '' END
$$;

-- One appearance of a file. The SHA-256 is its content, not its key.
CREATE TABLE raw_data_file (
  id             uuid PRIMARY KEY DEFAULT new_id(),
  site           text NOT NULL DEFAULT this_site(),
  location       text NOT NULL REFERENCES data_location,
  path           text NOT NULL,                 -- as nightferry.names writes it
  directory      text NOT NULL GENERATED ALWAYS AS (directory_of(path)) STORED,
  ordinal        integer NOT NULL DEFAULT 1 CHECK (ordinal >= 1),
  relation       file_relation NOT NULL DEFAULT 'first',
  replaced_by    uuid REFERENCES raw_data_file DEFERRABLE INITIALLY DEFERRED,
  handling       file_handling NOT NULL DEFAULT 'archive',
  ephemeral_until timestamptz,                  -- kept at least until then
  sha256         sha256 NOT NULL,
  size           bigint NOT NULL CHECK (size >= 0),
  mtime_ns       bigint NOT NULL,
  ctime_ns       bigint NOT NULL,
  inode          bigint NOT NULL DEFAULT 0,     -- 0 where inodes are not stable
  registered     timestamptz NOT NULL DEFAULT now(),
  -- what the header says; derived again by 'nf headers rederive'
  header         header_state NOT NULL,
  defects        text[] NOT NULL DEFAULT '{}',
  night          date NOT NULL,
  night_from     night_source NOT NULL,
  clock          clock_state NOT NULL DEFAULT 'unknown',
  instrument     text NOT NULL REFERENCES instrument,
  module         text NOT NULL DEFAULT '',
  frame_type     frame_type NOT NULL DEFAULT 'unknown',
  object         text NOT NULL DEFAULT '',
  program        text,
  exposure_start timestamptz,
  exposure_seconds double precision,
  filter         text,
  ra             double precision CHECK (ra >= 0 AND ra < 360),          -- degrees, ICRS
  dec            double precision CHECK (dec BETWEEN -90 AND 90),        -- degrees, ICRS
  airmass        double precision,
  counter        bigint,                        -- the instrument's own running number
  exposure_key   text,                          -- equal for the .fits and the .fz of one exposure
  attributes     jsonb NOT NULL DEFAULT '{}',
  executed_obs_unit uuid REFERENCES executed_obs_unit,
  owner          text,
  public_after   timestamptz,
  quality        quality NOT NULL DEFAULT 'unknown',
  in_package     boolean NOT NULL DEFAULT false, -- kept by a trigger of package_member, for the index below
  UNIQUE (location, path, ordinal),
  CHECK ((handling = 'ephemeral') = (ephemeral_until IS NOT NULL))
);
CREATE UNIQUE INDEX raw_data_file_current ON raw_data_file (location, path) WHERE replaced_by IS NULL;
CREATE INDEX raw_data_file_directory ON raw_data_file (location, directory) WHERE replaced_by IS NULL;
-- What the packager looks for, every few seconds: small, however many files there are.
CREATE INDEX raw_data_file_unpackaged ON raw_data_file (location, night, instrument)
  WHERE handling = 'archive' AND NOT in_package;
CREATE INDEX raw_data_file_night ON raw_data_file (night, instrument);
CREATE INDEX raw_data_file_sha256 ON raw_data_file (sha256);
CREATE INDEX raw_data_file_exposure ON raw_data_file (exposure_key) WHERE exposure_key IS NOT NULL;
CREATE INDEX raw_data_file_unit ON raw_data_file (executed_obs_unit);

-- The whole headers: one row an HDU, one line a card, as the file has them.
CREATE TABLE file_header (
  file uuid NOT NULL REFERENCES raw_data_file, hdu integer NOT NULL, cards text NOT NULL,
  PRIMARY KEY (file, hdu));
-- Corrections are applied on reading; bytes are never changed.
CREATE TABLE header_correction (
  id         uuid PRIMARY KEY DEFAULT new_id(),
  file       uuid REFERENCES raw_data_file,
  instrument text REFERENCES instrument,
  night      date,
  keyword    text NOT NULL,
  value      jsonb,                             -- null = as if the keyword were not there
  by         text NOT NULL DEFAULT this_actor(),
  at         timestamptz NOT NULL DEFAULT now(),
  why        text NOT NULL,
  withdrawn  timestamptz,
  CHECK (num_nonnulls(file, night) = 1)
);
CREATE INDEX header_correction_file ON header_correction (file);
CREATE TABLE quality_note (
  id uuid PRIMARY KEY DEFAULT new_id(), file uuid REFERENCES raw_data_file,
  executed_obs_unit uuid REFERENCES executed_obs_unit, quality quality NOT NULL, note text NOT NULL,
  by text NOT NULL DEFAULT this_actor(), at timestamptz NOT NULL DEFAULT now(),
  CHECK (num_nonnulls(file, executed_obs_unit) = 1));

-- A registered file that was overwritten or gone before it was captured.
CREATE TABLE lost_file (
  file        uuid PRIMARY KEY REFERENCES raw_data_file,
  at          timestamptz NOT NULL DEFAULT now(),
  how         text NOT NULL,
  accepted    timestamptz,
  accepted_by text,
  reason      text,
  CHECK (num_nonnulls(accepted, accepted_by, reason) IN (0, 3))
);

-- What can't be captured faithfully, or was found where another file was expected. A row, not a move.
CREATE TABLE quarantine (
  id          uuid PRIMARY KEY DEFAULT new_id(),
  location    text NOT NULL REFERENCES data_location,
  path        text NOT NULL,
  reason      text NOT NULL,
  advice      text NOT NULL,
  evidence    jsonb NOT NULL DEFAULT '{}',
  found       timestamptz NOT NULL DEFAULT now(),
  released    timestamptz,
  released_by text,
  release     text,                             -- 'archive as is', 'ignore', 'gone'
  CHECK (num_nonnulls(released, released_by, release) IN (0, 3))
);
CREATE UNIQUE INDEX quarantine_open ON quarantine (location, path) WHERE released IS NULL;

-- What a sweep saw when it last found a directory unchanged and all of it known.
CREATE TABLE source_directory (
  location text NOT NULL REFERENCES data_location, path text NOT NULL,
  digest bytea NOT NULL CHECK (octet_length(digest) = 16), seen timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (location, path));

-- Whatever the ledger learns of a file makes its directory unknown again, whoever writes it: else a
-- file that came, was registered and went would leave the directory as it was remembered.
CREATE FUNCTION disturb_directories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM source_directory d USING (SELECT DISTINCT location, directory_of(path) AS path FROM fresh) f
  WHERE d.location = f.location AND d.path = f.path;
  RETURN NULL;
END $$;
CREATE TRIGGER disturb_by_insert AFTER INSERT ON raw_data_file REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION disturb_directories();
CREATE TRIGGER disturb_by_change AFTER UPDATE ON raw_data_file REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION disturb_directories();
CREATE TRIGGER disturb_by_quarantine AFTER UPDATE ON quarantine REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION disturb_directories();

CREATE TYPE availability AS ENUM ('available', 'unavailable');
-- What the daemons last found of a location. One row a location and daemon's host.
CREATE TABLE location_state (
  location          text NOT NULL REFERENCES data_location,
  host              text NOT NULL,
  state             availability NOT NULL,
  reason            text NOT NULL DEFAULT '',
  since             timestamptz NOT NULL DEFAULT now(),
  checked           timestamptz NOT NULL DEFAULT now(),
  total_bytes       bigint,
  free_bytes        bigint,
  measured          timestamptz,                -- when these two were
  full_sweep_began  timestamptz,                -- the last full sweep that ended
  full_sweep_ended  timestamptz,
  last_sweep_ended  timestamptz,
  unsettled         integer NOT NULL DEFAULT 0,
  hints             text NOT NULL DEFAULT '',   -- inotify, polling or none, and why
  vanish_guard      jsonb,                      -- set while conclusions of absence are blocked
  PRIMARY KEY (location, host)
);

CREATE TYPE package_state AS ENUM (
  'planned',    -- members and document are fixed; no bytes are proven
  'packed',     -- its bytes are known for ever
  'dissolved'   -- a member changed before it was packed; the others went to new packages
);
CREATE TABLE raw_data_package (
  id                uuid PRIMARY KEY DEFAULT new_id(),
  site              text NOT NULL DEFAULT this_site(),
  name              text NOT NULL UNIQUE,
  path              text NOT NULL,               -- below the root of every location that holds it
  origin            text NOT NULL REFERENCES data_location,
  night             date NOT NULL,
  instrument        text NOT NULL REFERENCES instrument,
  module            text NOT NULL DEFAULT '',
  executed_obs_unit uuid REFERENCES executed_obs_unit,  -- absent = unfiled groups of the night
  program           text,
  owner             text,
  public_after      timestamptz,
  state             package_state NOT NULL DEFAULT 'planned',
  priority          smallint NOT NULL DEFAULT 100,
  supplement_of     uuid REFERENCES raw_data_package,
  members           integer NOT NULL,
  document          jsonb NOT NULL,              -- all of nightferry.json
  planned           timestamptz NOT NULL DEFAULT now(),
  packed            timestamptz,
  sha256            sha256,
  size              bigint CHECK (size >= 0),
  dissolved_because text,
  CHECK ((state = 'packed') = (sha256 IS NOT NULL)),
  CHECK (num_nonnulls(packed, sha256, size) IN (0, 3))
);
CREATE INDEX raw_data_package_night ON raw_data_package (night, instrument);
CREATE TABLE package_member (
  package uuid NOT NULL REFERENCES raw_data_package,
  file    uuid NOT NULL REFERENCES raw_data_file,
  data_offset bigint NOT NULL,                   -- of its first byte in the tar
  PRIMARY KEY (package, file),
  UNIQUE (file)                                  -- a file is in one package that is not dissolved
);

CREATE FUNCTION mark_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE raw_data_file f SET in_package = (TG_OP = 'INSERT') FROM touched m WHERE f.id = m.file;
  RETURN NULL;
END $$;
CREATE TRIGGER mark_new_members AFTER INSERT ON package_member REFERENCING NEW TABLE AS touched
  FOR EACH STATEMENT EXECUTE FUNCTION mark_members();
CREATE TRIGGER mark_old_members AFTER DELETE ON package_member REFERENCING OLD TABLE AS touched
  FOR EACH STATEMENT EXECUTE FUNCTION mark_members();

CREATE TYPE copy_state AS ENUM (
  'arriving',  -- written under its temporary name, or being written
  'present',   -- verify published it, or ingest read it
  'suspect',   -- could not be read: neither good nor bad
  'missing',   -- not there
  'corrupt',   -- read in full, and other bytes
  'deleting',  -- decided; on its way through the trash
  'deleted'
);
CREATE TABLE physical_copy (
  id        uuid PRIMARY KEY DEFAULT new_id(),
  site      text NOT NULL DEFAULT this_site(),
  file      uuid REFERENCES raw_data_file,
  package   uuid REFERENCES raw_data_package,
  location  text NOT NULL REFERENCES data_location,
  path      text NOT NULL,
  temporary text,
  state     copy_state NOT NULL,
  sha256    sha256 NOT NULL,                     -- what it must be
  size      bigint NOT NULL CHECK (size >= 0),
  created   timestamptz NOT NULL DEFAULT now(),
  changed   timestamptz NOT NULL DEFAULT now(),
  CHECK (num_nonnulls(file, package) = 1),
  CHECK ((state = 'arriving') = (temporary IS NOT NULL))
);
-- One living copy of a thing at a location, and one thing at a path.
CREATE UNIQUE INDEX physical_copy_package ON physical_copy (package, location)
  WHERE state IN ('arriving', 'present', 'suspect', 'deleting');
CREATE UNIQUE INDEX physical_copy_file ON physical_copy (file, location)
  WHERE state IN ('arriving', 'present', 'suspect', 'deleting');
-- What is being deleted may lie in the trash already, with a new file under its old name.
CREATE UNIQUE INDEX physical_copy_path ON physical_copy (location, path)
  WHERE state IN ('arriving', 'present', 'suspect');
CREATE TRIGGER disturb_by_copy AFTER UPDATE ON physical_copy REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION disturb_directories();
CREATE INDEX physical_copy_of_package ON physical_copy (package) WHERE package IS NOT NULL;
CREATE INDEX physical_copy_of_file ON physical_copy (file) WHERE file IS NOT NULL;
-- What may go by age: of a place that is emptied, few; of an archive, nobody asks.
CREATE INDEX physical_copy_by_age ON physical_copy (location, created) WHERE state = 'present';
CREATE INDEX physical_copy_arriving ON physical_copy (location) WHERE state = 'arriving';
CREATE INDEX physical_copy_doubt ON physical_copy (location) WHERE state IN ('suspect', 'missing', 'corrupt');

CREATE TYPE reading_outcome AS ENUM ('good', 'differs', 'unreadable');
-- This copy was read in full at its place. Times are the database's clock.
CREATE TABLE verification (
  id      uuid PRIMARY KEY DEFAULT new_id(),
  copy    uuid NOT NULL REFERENCES physical_copy,
  began   timestamptz NOT NULL,
  ended   timestamptz NOT NULL DEFAULT clock_timestamp(),
  outcome reading_outcome NOT NULL,
  sha256  sha256,
  size    bigint,
  how     read_kind NOT NULL,
  host    text NOT NULL,
  detail  text NOT NULL DEFAULT '',
  CHECK (began <= ended),
  CHECK (outcome <> 'good' OR (sha256 IS NOT NULL AND size IS NOT NULL))
);
CREATE INDEX verification_good ON verification (copy, ended DESC) WHERE outcome = 'good';
CREATE INDEX verification_copy ON verification (copy, ended DESC);
CREATE TRIGGER verification_is_history BEFORE UPDATE OR DELETE ON verification
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Several packages that cross a link together: a list over them, not another copy.
CREATE TABLE data_transfer_package (
  id       uuid PRIMARY KEY DEFAULT new_id(),
  site     text NOT NULL DEFAULT this_site(),
  route    text NOT NULL REFERENCES route,
  priority smallint NOT NULL,
  size     bigint NOT NULL,
  formed   timestamptz NOT NULL DEFAULT now(),
  closed   timestamptz                           -- all of it arrived, or it is not wanted any more
);
CREATE INDEX data_transfer_package_open ON data_transfer_package (route) WHERE closed IS NULL;
CREATE TABLE data_transfer_member (
  bundle uuid NOT NULL REFERENCES data_transfer_package,
  package uuid NOT NULL REFERENCES raw_data_package, PRIMARY KEY (bundle, package));
CREATE INDEX data_transfer_member_package ON data_transfer_member (package);

CREATE TABLE hold (
  id        uuid PRIMARY KEY DEFAULT new_id(),
  night     date, package uuid REFERENCES raw_data_package, file uuid REFERENCES raw_data_file,
  reason    text NOT NULL,
  placed    timestamptz NOT NULL DEFAULT now(),
  placed_by text NOT NULL DEFAULT this_actor(),
  lifted    timestamptz,
  lifted_by text,
  CHECK (num_nonnulls(night, package, file) = 1)
);
CREATE INDEX hold_open_night ON hold (night) WHERE lifted IS NULL;
CREATE INDEX hold_open_package ON hold (package) WHERE lifted IS NULL;
CREATE INDEX hold_open_file ON hold (file) WHERE lifted IS NULL;

CREATE TYPE deletion_state AS ENUM (
  'nominated',  -- the survivors are being read
  'decided',    -- the rule held; the copies are on their way out
  'done',
  'withdrawn'   -- the rule did not hold in time
);
CREATE TABLE deletion (
  id        uuid PRIMARY KEY DEFAULT new_id(),
  site      text NOT NULL DEFAULT this_site(),
  package   uuid REFERENCES raw_data_package,
  file      uuid REFERENCES raw_data_file,       -- a loose file
  reason    text NOT NULL,
  state     deletion_state NOT NULL DEFAULT 'nominated',
  nominated timestamptz NOT NULL DEFAULT now(),
  decided   timestamptz,
  closed    timestamptz,
  outcome   text NOT NULL DEFAULT '',
  CHECK (num_nonnulls(package, file) = 1)
);
CREATE UNIQUE INDEX deletion_open_package ON deletion (package) WHERE closed IS NULL;
CREATE UNIQUE INDEX deletion_open_file ON deletion (file) WHERE closed IS NULL;
CREATE INDEX deletion_open ON deletion (state) WHERE closed IS NULL;

CREATE TYPE deletion_stage AS ENUM (
  'nominated',  -- may go if the rule holds
  'deleting',   -- to be moved to the trash
  'trashed',    -- in the trash; its grace runs, then it is hashed
  'hashed',     -- the hash agreed; the rule is asked again
  'condemned',  -- the rule held again: unlink
  'recalled',   -- the rule did not hold again, or the hash did not agree: put back
  'deleted',
  'kept'        -- still there, for the reason beside it
);
CREATE TABLE deletion_copy (
  deletion uuid NOT NULL REFERENCES deletion,
  copy     uuid NOT NULL REFERENCES physical_copy,
  stage    deletion_stage NOT NULL DEFAULT 'nominated',
  trash    text,                                 -- where in the trash
  changed  timestamptz NOT NULL DEFAULT now(),
  detail   text NOT NULL DEFAULT '',
  PRIMARY KEY (deletion, copy)
);
CREATE INDEX deletion_copy_copy ON deletion_copy (copy);

-- When a place was last looked through for temporary files that nobody means any more.
CREATE TABLE temporary_sweep (
  location text PRIMARY KEY REFERENCES data_location, swept timestamptz NOT NULL DEFAULT now(),
  removed integer NOT NULL);

-- While one row is open, nothing is deleted on any host.
CREATE TABLE deletion_stop (
  id uuid PRIMARY KEY DEFAULT new_id(), stopped timestamptz NOT NULL DEFAULT now(),
  stopped_by text NOT NULL DEFAULT this_actor(), reason text NOT NULL,
  resumed timestamptz, resumed_by text);

-- Work that failed for good or was cancelled. Released singly or in bulk by reason.
CREATE TABLE blocked (
  kind text NOT NULL, subject text NOT NULL, reason text NOT NULL,
  evidence jsonb NOT NULL DEFAULT '{}', at timestamptz NOT NULL DEFAULT now(),
  by text NOT NULL DEFAULT this_actor(), PRIMARY KEY (kind, subject));
