-- name: add
-- A new key.
INSERT INTO api_keys (key_id, digest, owner, team, role, scopes, tier, title, expires_at)
VALUES (%(key_id)s, %(digest)s, %(owner)s, %(team)s, %(role)s, %(scopes)s, %(tier)s, %(title)s, now() + %(lifetime)s)
RETURNING *;

-- name: find
-- The key as it is now; its use is noted once a minute at most.
WITH used AS (
    UPDATE api_keys SET last_used_at = now()
    WHERE key_id = %(key_id)s AND digest = %(digest)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
      AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)
SELECT * FROM api_keys WHERE key_id = %(key_id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: page
-- Keys, newest first; without those that are revoked or expired unless asked for.
SELECT * FROM api_keys
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s)
  AND (%(dead)s OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())))
ORDER BY created_at DESC, key_id;

-- name: revoke
-- End a key; one that has ended stays as it is.
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %(key_id)s RETURNING *;
