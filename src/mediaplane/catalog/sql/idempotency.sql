-- name: begin
-- Take the key, also from a first request that was killed at work.
INSERT INTO idempotency_keys (owner, team, subject, key, digest, busy_until)
VALUES (%(owner)s, %(team)s, %(subject)s, %(key)s, %(digest)s, now() + %(lease)s)
ON CONFLICT (owner, team, subject, key) DO UPDATE SET busy_until = excluded.busy_until
WHERE idempotency_keys.digest = excluded.digest AND idempotency_keys.status IS NULL AND idempotency_keys.busy_until < now();

-- name: get
-- What became of the first request.
SELECT digest, status, body FROM idempotency_keys
WHERE owner = %(owner)s AND team = %(team)s AND subject = %(subject)s AND key = %(key)s;

-- name: hold
-- The first request is still at work.
UPDATE idempotency_keys SET busy_until = now() + %(lease)s
WHERE owner = %(owner)s AND team = %(team)s AND subject = %(subject)s AND key = %(key)s AND status IS NULL;

-- name: answered
-- What it was answered.
UPDATE idempotency_keys SET status = %(status)s, body = %(body)s
WHERE owner = %(owner)s AND team = %(team)s AND subject = %(subject)s AND key = %(key)s;

-- name: forget
-- Nothing came of it: the same request may be made anew.
DELETE FROM idempotency_keys
WHERE owner = %(owner)s AND team = %(team)s AND subject = %(subject)s AND key = %(key)s AND status IS NULL;

-- name: prune
-- Forget what nobody repeats any more.
DELETE FROM idempotency_keys WHERE created_at < now() - %(age)s;
