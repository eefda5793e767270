-- What a person asks is answered at once in a ledger of 10,000,000 files as well.

-- A day's finished work of a kind, and its last, without looking at that of the others.
CREATE INDEX job_done_kind ON job_done (kind, at);
DROP INDEX job_done_at;

-- One row a file. A package's copies are looked at once, however many files it has.
CREATE OR REPLACE FUNCTION file_answers(files uuid[])
RETURNS TABLE (file uuid, package uuid, need smallint, held bigint, proven bigint, oldest_proof timestamptz,
               safe boolean, reason text) LANGUAGE sql STABLE AS $$
  WITH f AS MATERIALIZED (
    SELECT f.id, f.handling, f.location, p.id AS package, coalesce(p.id, f.id) AS subject,
           p.state AS package_state, coalesce(p.program, f.program) AS program
    -- OFFSET 0: of these files alone, instead of every member that there is
    FROM raw_data_file f LEFT JOIN LATERAL (
      SELECT p.id, p.state, p.program FROM package_member m JOIN raw_data_package p ON p.id = m.package WHERE m.file = f.id OFFSET 0) p ON true
    WHERE f.id = ANY(files)),
  thing AS MATERIALIZED (
    SELECT t.subject, t.program, copies_for(t.program) AS need,
           coalesce(s.held, 0) AS held, coalesce(s.proven, 0) AS proven, s.oldest_proof,
           (SELECT count(*) FROM archive_copy a WHERE a.subject = t.subject) AS copies,
           (SELECT string_agg(n.name || ': ' || coalesce(
                     (SELECT CASE c.state WHEN 'arriving' THEN 'written, not read back yet'
                                          WHEN 'deleted' THEN 'deleted' ELSE 'the copy is ' || c.state END
                      FROM physical_copy c WHERE coalesce(c.package, c.file) = t.subject AND c.location = n.name
                      ORDER BY c.created DESC, c.id DESC LIMIT 1), 'no copy yet'), '; ' ORDER BY n.name)
            FROM archives_for(t.program) n (name)
            WHERE NOT EXISTS (SELECT FROM archive_copy a WHERE a.subject = t.subject AND a.location = n.name)) AS lacking
    FROM (SELECT DISTINCT f.subject, f.program FROM f) t
    -- OFFSET 0: for this thing alone, instead of for every thing there is
    LEFT JOIN LATERAL (SELECT * FROM safety s WHERE s.subject = t.subject OFFSET 0) s ON true)
  SELECT f.id, f.package, t.need, t.held, t.proven, t.oldest_proof,
         f.handling <> 'ephemeral' AND t.proven >= t.need,
         CASE
           WHEN f.handling = 'ephemeral' THEN 'ephemeral: never archived, by this site''s rule'
           WHEN t.proven >= t.need THEN NULL
           WHEN l.accepted IS NOT NULL THEN 'lost, and accepted by ' || l.accepted_by || ': ' || l.reason
           WHEN l.file IS NOT NULL THEN 'lost: ' || l.how
           WHEN f.package IS NULL AND f.handling = 'archive' THEN coalesce(
             (SELECT 'in no package, and its copy at ' || c.location || ' is ' || c.state FROM physical_copy c
              WHERE c.file = f.id AND c.location = f.location AND c.state <> 'present'
              ORDER BY c.created DESC, c.id DESC LIMIT 1), 'in no package yet')
           WHEN f.package_state = 'planned' THEN 'its package is not packed yet'
           WHEN t.held < t.need THEN format('at %s of %s archives', t.held, t.need)
             || CASE WHEN t.copies > t.held THEN ', for some of them fail together' ELSE '' END
             || coalesce(' (' || t.lacking || ')', ': no other archive is asked for it')
           ELSE format('at %s archives, but only %s of %s read it well within %s days',
                       t.held, t.proven, t.need, (SELECT scrub_days FROM policy))
         END
  FROM f JOIN thing t ON t.subject = f.subject AND t.program IS NOT DISTINCT FROM f.program
  LEFT JOIN lost_file l ON l.file = f.id
$$;
