-- name: intend
-- Write the intents for many keys; a key of the same asset may be written again, a stranger's may not.
INSERT INTO objects (store, key, asset_id, owner, team, role, content_type, run_id)
SELECT %(store)s, k, a.asset_id, a.owner, a.team, %(role)s, %(content_type)s, %(run_id)s
FROM unnest(%(keys)s::text[]) AS k, assets a WHERE a.asset_id = %(asset_id)s
ON CONFLICT (store, key) DO UPDATE SET state = 'pending', content_type = excluded.content_type,
    run_id = excluded.run_id, created_at = now()
WHERE objects.asset_id = excluded.asset_id AND objects.role = excluded.role;

-- name: settle
-- The bytes are there.
UPDATE objects o SET state = 'stored', size_bytes = new.size_bytes, etag = new.etag
FROM (SELECT unnest(%(keys)s::text[]) AS key, unnest(%(sizes)s::bigint[]) AS size_bytes, unnest(%(etags)s::text[]) AS etag) new
WHERE o.store = %(store)s AND o.key = new.key AND o.asset_id = %(asset_id)s;

-- name: get
-- One object.
SELECT * FROM objects WHERE store = %(store)s AND key = %(key)s;

-- name: of_asset
-- Objects of an asset, by role and key.
SELECT * FROM objects
WHERE asset_id = %(asset_id)s AND (%(role)s::text IS NULL OR role = %(role)s)
ORDER BY role, key;

-- name: summary
-- How many objects and bytes an asset has in each role.
SELECT role, count(*) AS objects, sum(size_bytes)::bigint AS size_bytes, min(key) AS first_key
FROM objects WHERE asset_id = %(asset_id)s AND state = 'stored' GROUP BY role ORDER BY role;

-- name: known_keys
-- Which of these keys have a row, with size and etag.
SELECT * FROM objects WHERE store = %(store)s AND key = ANY(%(keys)s);

-- name: delete_keys
-- Remove rows by key; the trigger puts the bytes on the outbox.
DELETE FROM objects WHERE store = %(store)s AND key = ANY(%(keys)s);

-- name: delete_superseded
-- Remove what earlier runs wrote: objects of these roles that none of the given runs wrote.
DELETE FROM objects WHERE asset_id = %(asset_id)s AND role = ANY(%(roles)s) AND NOT coalesce(run_id, '') = ANY(%(run_ids)s);

-- name: delete_expired
-- What has been stored for so long, of one role or under a prefix. Clips go by their own rows, HLS with its asset.
DELETE FROM objects WHERE (store, key) IN (
    SELECT store, key FROM objects
    WHERE store = %(store)s AND state = 'stored' AND created_at < now() - %(age)s
      AND CASE WHEN %(role)s = '' THEN starts_with(key, %(prefix)s) ELSE role = %(role)s END
      AND role NOT IN ('clip', 'segment', 'playlist')
    LIMIT %(limit)s);

-- name: delete_forgotten
-- Intents that nobody will finish: no active run and no open upload stands behind them.
DELETE FROM objects o
WHERE state = 'pending' AND created_at < now() - %(age)s
  AND NOT EXISTS (SELECT FROM stage_runs r WHERE r.asset_id = o.asset_id AND r.state IN ('queued', 'running'))
  AND NOT EXISTS (SELECT FROM uploads u WHERE u.store = o.store AND u.key = o.key AND u.state = 'open');
