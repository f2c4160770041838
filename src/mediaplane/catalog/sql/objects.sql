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

-- name: lock
-- One object, locked until the transaction ends: whoever writes its key anew, or deletes it, waits.
SELECT * FROM objects WHERE store = %(store)s AND key = %(key)s FOR UPDATE;

-- name: set_writer
-- Which run wrote the bytes that are there now; null: no run.
UPDATE objects SET run_id = %(run_id)s WHERE store = %(store)s AND key = %(key)s;

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

-- name: parts
-- Stored objects behind a key, in byte order, a thousand a row: the last key, and the digest of keys, sizes and etags.
-- Each step of the recursion walks the index on from where the last one ended, so rows come as they are made.
WITH RECURSIVE parts (last_key, digest) AS (
    SELECT greatest(%(after)s::text COLLATE "C", %(prefix)s::text), NULL::text COLLATE "C"
    UNION ALL
    SELECT next.last_key, next.digest
    FROM parts, LATERAL (
        SELECT max(o.key), md5(string_agg(concat(o.key, E'\t', o.size_bytes, E'\t', o.etag, E'\n'), ''))
        FROM (SELECT key, size_bytes, etag FROM objects
              WHERE store = %(store)s AND key > parts.last_key AND key < %(end)s AND state = 'stored'
              ORDER BY key LIMIT 1000) o) AS next (last_key, digest)
    WHERE next.last_key IS NOT NULL)
SELECT last_key, digest FROM parts WHERE digest IS NOT NULL;

-- name: unlike
-- Positions of what has no settled row of this size and etag. Keys in their order, texts with one entry a line.
SELECT (seen.at - 1)::int
FROM unnest(string_to_array(%(keys)s, E'\n'), string_to_array(%(etags)s, E'\n'),
            string_to_array(%(sizes)s, ',')::bigint[]) WITH ORDINALITY AS seen (key, etag, size_bytes, at)
LEFT JOIN objects o
       ON o.store = %(store)s AND o.key = seen.key COLLATE "C" AND o.key BETWEEN %(first)s AND %(last)s
      AND o.state = 'stored' AND o.size_bytes = seen.size_bytes AND o.etag = seen.etag
WHERE o.key IS NULL
ORDER BY seen.at;

-- name: delete_keys
-- Remove rows by key; the trigger puts the bytes on the outbox.
DELETE FROM objects WHERE store = %(store)s AND key = ANY(%(keys)s);

-- name: cached_frames
-- Frames that are stored and were taken from the same pictures of a recording, whoever looked at them.
SELECT o.key FROM objects o JOIN stage_runs r ON r.run_id = o.run_id
WHERE o.asset_id = %(asset_id)s AND o.store = %(store)s AND o.role = 'frame' AND o.state = 'stored'
  AND r.params ->> 'timeline_id' = %(timeline_id)s;

-- name: adopt
-- What an earlier run wrote is now this one's.
UPDATE objects SET run_id = %(run_id)s
WHERE store = %(store)s AND asset_id = %(asset_id)s AND key = ANY(%(keys)s) AND state = 'stored';

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
