-- The history, where no trigger tells.

-- name: tell
INSERT INTO event (what, subject, detail) VALUES (%(what)s, %(subject)s, %(detail)s);
