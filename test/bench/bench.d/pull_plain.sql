-- as graphile-worker does it, and pg-boss much the same
UPDATE jobs SET locked_at = now(), locked_by = 'me' WHERE id = (SELECT id FROM jobs WHERE topic = 'bench' AND locked_at IS NULL AND run_at <= now() ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id \gset
DELETE FROM jobs WHERE id = :id;
