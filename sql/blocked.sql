-- Work that failed for good or was cancelled.

-- name: listed
SELECT kind, subject, reason, evidence, at, by FROM blocked
WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s) ORDER BY at DESC LIMIT %(limit)s;

-- name: by_reason
SELECT kind, reason, count(*) AS subjects, max(at) AS newest FROM blocked GROUP BY kind, reason ORDER BY kind, reason;
