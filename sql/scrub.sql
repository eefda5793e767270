-- 'nf scrub': is every archived copy read again in time?

-- name: coverage
SELECT l.name AS location, policy.scrub_days::text::double precision AS scrub_days, count(k.id) AS copies, coalesce(sum(k.size), 0) AS bytes,
       count(k.id) FILTER (WHERE k.read_well > now() - make_interval(secs => policy.scrub_days * 86400)) AS read,
       coalesce(sum(k.size) FILTER (WHERE k.read_well > now() - make_interval(secs => policy.scrub_days * 86400)), 0) AS read_bytes,
       count(k.id) FILTER (WHERE k.read_well IS NULL) AS never, min(k.read_well) AS oldest,
       coalesce(n.due, 0) AS due, coalesce(n.due_bytes, 0) AS due_bytes, coalesce(n.bytes_per_second, 0) AS pace_needed,
       coalesce(d.suspect, 0) AS suspect, coalesce(d.missing, 0) AS missing, coalesce(d.corrupt, 0) AS corrupt, s.day_bytes, s.seconds
FROM policy, data_location l LEFT JOIN kept_copy k ON k.location = l.name LEFT JOIN scrub_needs() n ON n.location = l.name
LEFT JOIN LATERAL (
  -- In doubt, and nothing good at the same place yet.
  SELECT count(*) FILTER (WHERE c.state = 'suspect') AS suspect, count(*) FILTER (WHERE c.state = 'missing') AS missing,
         count(*) FILTER (WHERE c.state = 'corrupt') AS corrupt
  FROM physical_copy c WHERE c.location = l.name AND c.state IN ('suspect', 'missing', 'corrupt')
    AND NOT EXISTS (SELECT FROM physical_copy g WHERE coalesce(g.package, g.file) = coalesce(c.package, c.file) AND g.location = c.location
                      AND g.state = 'present')) d ON true
LEFT JOIN LATERAL (
  -- What a day's readings were, and how long they took.
  SELECT coalesce(sum(v.size), 0) AS day_bytes, coalesce(sum(extract(epoch FROM v.ended - v.began)), 0)::double precision AS seconds
  FROM verification v JOIN physical_copy c ON c.id = v.copy AND c.location = l.name
  WHERE v.outcome = 'good' AND v.ended > now() - interval '1 day') s ON true
WHERE l.type = 'LONG_TERM_ARCHIVE'
GROUP BY l.name, policy.scrub_days, n.due, n.due_bytes, n.bytes_per_second, d.suspect, d.missing, d.corrupt, s.day_bytes, s.seconds
ORDER BY l.priority, l.name;
