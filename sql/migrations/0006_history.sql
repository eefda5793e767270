-- What writes itself into the history. Statement triggers, so that a batch is one insert.

CREATE FUNCTION tell_files() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO event (what, subject, location, detail)
  SELECT 'file registered', id, location, jsonb_strip_nulls(jsonb_build_object('path', path,
      'ordinal', nullif(ordinal, 1), 'relation', nullif(relation, 'first'), 'sha256', sha256, 'size', size)) FROM fresh;
  RETURN NULL;
END $$;
CREATE TRIGGER tell_files AFTER INSERT ON raw_data_file REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION tell_files();

CREATE FUNCTION tell_copies() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN  -- a file that was just registered has told of itself
    INSERT INTO event (what, subject, location, detail)
    SELECT 'copy ' || state, coalesce(package, file), location, jsonb_build_object('copy', id, 'path', path)
    FROM fresh WHERE package IS NOT NULL OR state <> 'present';
  ELSE
    INSERT INTO event (what, subject, location, detail)
    SELECT 'copy ' || f.state, coalesce(f.package, f.file), f.location,
           jsonb_build_object('copy', f.id, 'path', f.path, 'was', o.state)
    FROM fresh f JOIN old o USING (id) WHERE f.state <> o.state;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER tell_new_copies AFTER INSERT ON physical_copy REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION tell_copies();
CREATE TRIGGER tell_copies AFTER UPDATE ON physical_copy REFERENCING OLD TABLE AS old NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION tell_copies();

-- The rest change one row at a time; what changed is told whole, less what is long.
CREATE FUNCTION tell_row() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  told jsonb := to_jsonb(NEW) - 'document';
  was jsonb := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) - 'document' ELSE '{}' END;
  about text := coalesce(told ->> TG_ARGV[1], told ->> 'id', told ->> 'name', told ->> 'subject', '');
BEGIN
  IF TG_OP = 'UPDATE' AND told = was THEN RETURN NULL; END IF;
  SELECT coalesce(jsonb_object_agg(key, value), '{}') INTO told FROM jsonb_each(told)
    WHERE value <> 'null' AND (TG_OP = 'INSERT' OR value IS DISTINCT FROM was -> key);
  INSERT INTO event (what, subject, location, detail)
  VALUES (TG_ARGV[0] || CASE TG_OP WHEN 'INSERT' THEN ' made' ELSE ' changed' END, about, to_jsonb(NEW) ->> 'location', told);
  RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON raw_data_package FOR EACH ROW EXECUTE FUNCTION tell_row('package', 'id');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON executed_obs_unit FOR EACH ROW EXECUTE FUNCTION tell_row('observation', 'id');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON deletion FOR EACH ROW EXECUTE FUNCTION tell_row('deletion', 'package');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON hold FOR EACH ROW EXECUTE FUNCTION tell_row('hold', 'id');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON quarantine FOR EACH ROW EXECUTE FUNCTION tell_row('quarantine', 'id');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON lost_file FOR EACH ROW EXECUTE FUNCTION tell_row('lost', 'file');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON header_correction FOR EACH ROW EXECUTE FUNCTION tell_row('correction', 'file');
CREATE TRIGGER tell AFTER INSERT ON quality_note FOR EACH ROW EXECUTE FUNCTION tell_row('quality', 'file');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON deletion_stop FOR EACH ROW EXECUTE FUNCTION tell_row('deletion stop', 'id');
CREATE TRIGGER tell AFTER INSERT ON blocked FOR EACH ROW EXECUTE FUNCTION tell_row('blocked', 'subject');
CREATE TRIGGER tell AFTER INSERT OR UPDATE OF state ON breaker FOR EACH ROW EXECUTE FUNCTION tell_row('breaker', 'name');
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON data_location FOR EACH ROW EXECUTE FUNCTION tell_row('location', 'name');
CREATE TRIGGER tell AFTER INSERT ON data_transfer_package FOR EACH ROW EXECUTE FUNCTION tell_row('bundle', 'id');
