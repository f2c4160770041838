-- Purges: everything of an asset, or of an owner, removed and proven to be. The row is the receipt in the end.

-- name: request
-- Ask for a purge; the same one that is under way already is not asked for again.
INSERT INTO purges (purge_id, owner, team, asset_id, requested_by)
VALUES (%(purge_id)s, %(owner)s, %(team)s, %(asset_id)s, %(requested_by)s)
ON CONFLICT (owner, team, (coalesce(asset_id, ''))) WHERE state <> 'done' DO NOTHING
RETURNING *;

-- name: under_way
-- The purge of the same things that is not done yet.
SELECT * FROM purges
WHERE owner = %(owner)s AND team = %(team)s AND coalesce(asset_id, '') = coalesce(%(asset_id)s, '') AND state <> 'done';

-- name: get
-- One purge; an owner and a team narrow it.
SELECT * FROM purges
WHERE purge_id = %(purge_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: page
-- Purges of an owner and a team, each where given, newest first.
SELECT * FROM purges
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
  AND (%(before)s::timestamptz IS NULL OR (requested_at, purge_id) < (%(before)s, %(before_id)s COLLATE "C"))
ORDER BY requested_at DESC, purge_id DESC LIMIT %(limit)s;

-- name: open
-- Purges that are not done, oldest first.
SELECT * FROM purges WHERE state <> 'done' ORDER BY requested_at;

-- name: try_lock
-- Be the only one who carries a purge out, until the connection closes or unlocks.
SELECT pg_try_advisory_lock(hashtextextended('mediaplane purge ' || %(purge_id)s, 0));

-- name: unlock
-- Let others carry it out.
SELECT pg_advisory_unlock(hashtextextended('mediaplane purge ' || %(purge_id)s, 0));

-- name: assets
-- What is to be removed: of what came after the purge was asked for, nothing.
SELECT asset_id FROM assets
WHERE owner = %(owner)s AND (%(team)s = '' OR team = %(team)s)
  AND CASE WHEN %(asset_id)s::text IS NULL THEN created_at <= %(requested_at)s ELSE asset_id = %(asset_id)s END
ORDER BY asset_id LIMIT %(limit)s;

-- name: abort_uploads
-- Uploads of an asset that clients are still sending: nobody may complete them any more.
UPDATE uploads SET state = 'aborted' WHERE asset_id = %(asset_id)s AND state = 'open' AND way <> 'process';

-- name: uploads_in_parts
-- What the stores know of an asset's unfinished uploads.
SELECT store, key, store_ref FROM uploads
WHERE asset_id = %(asset_id)s AND store_ref IS NOT NULL AND state IN ('open', 'aborted');

-- name: gather_keys
-- Note which keys an asset has, in the catalog and still on the outbox.
INSERT INTO purge_keys (purge_id, owner, team, store, key, size_bytes)
SELECT p.purge_id, p.owner, p.team, found.store, found.key, max(found.size_bytes)
FROM purges p, (SELECT store, key, size_bytes FROM objects WHERE asset_id = %(asset_id)s
                UNION ALL SELECT store, key, size_bytes FROM outbox WHERE asset_id = %(asset_id)s) found
WHERE p.purge_id = %(purge_id)s
GROUP BY p.purge_id, found.store, found.key
ON CONFLICT (purge_id, store, key) DO UPDATE SET size_bytes = greatest(purge_keys.size_bytes, excluded.size_bytes);

-- name: gather_outbox
-- Note what of an owner is still on the outbox from before.
INSERT INTO purge_keys (purge_id, owner, team, store, key, size_bytes)
SELECT p.purge_id, p.owner, p.team, o.store, o.key, o.size_bytes
FROM purges p JOIN outbox o ON o.owner = p.owner AND (p.team = '' OR o.team = p.team)
WHERE p.purge_id = %(purge_id)s AND p.asset_id IS NULL
ON CONFLICT (purge_id, store, key) DO NOTHING;

-- name: add_keys
-- Note keys that were found in a store without a row.
INSERT INTO purge_keys (purge_id, owner, team, store, key, size_bytes)
SELECT p.purge_id, p.owner, p.team, %(store)s, found.key, found.size_bytes
FROM purges p, unnest(%(keys)s::text[], %(sizes)s::bigint[]) AS found (key, size_bytes)
WHERE p.purge_id = %(purge_id)s
ON CONFLICT (purge_id, store, key) DO NOTHING;

-- name: hasten
-- Keys on the outbox that are there again are removed now, not at their time.
UPDATE outbox SET due_at = now() WHERE store = %(store)s AND key = ANY(%(keys)s);

-- name: count_rows
-- How many rows go with an asset, by table.
SELECT jsonb_strip_nulls(jsonb_build_object(
    'assets', 1,
    'objects', (SELECT nullif(count(*), 0) FROM objects WHERE asset_id = %(asset_id)s),
    'uploads', (SELECT nullif(count(*), 0) FROM uploads WHERE asset_id = %(asset_id)s),
    'stage_runs', (SELECT nullif(count(*), 0) FROM stage_runs WHERE asset_id = %(asset_id)s),
    'renditions', (SELECT nullif(count(*), 0) FROM renditions WHERE asset_id = %(asset_id)s),
    'hls_segments', (SELECT nullif(count(*), 0) FROM hls_segments WHERE asset_id = %(asset_id)s),
    'segments', (SELECT nullif(count(*), 0) FROM segments WHERE asset_id = %(asset_id)s),
    'entities', (SELECT nullif(count(*), 0) FROM entities WHERE asset_id = %(asset_id)s),
    'clips', (SELECT nullif(count(*), 0) FROM clips WHERE asset_id = %(asset_id)s)));

-- name: forget_events
-- What was told of an asset. That it is gone stays to be told, without its name.
WITH told AS (
    UPDATE events SET data = data - 'title' WHERE asset_id = %(asset_id)s AND type = 'asset.deleted'
), gone AS (
    DELETE FROM events
    WHERE asset_id = %(asset_id)s AND type NOT IN ('asset.deleted', 'purge.requested', 'purge.finished')
    RETURNING event_id
), deliveries AS (
    DELETE FROM webhook_deliveries WHERE event_id IN (SELECT event_id FROM gone)
)
SELECT count(*) FROM gone;

-- name: forget_answers
-- Answers that name an asset.
DELETE FROM idempotency_keys WHERE owner = %(owner)s AND position(%(asset_id)s IN body::text) > 0;

-- name: forget_owner
-- What an owner has besides assets; counts by table.
WITH told AS (
    DELETE FROM events
    WHERE owner = %(owner)s AND (%(team)s = '' OR team = %(team)s) AND at <= %(requested_at)s
      AND type NOT IN ('purge.requested', 'purge.finished')
    RETURNING event_id
), deliveries AS (
    DELETE FROM webhook_deliveries
    WHERE event_id IN (SELECT event_id FROM told) OR endpoint_id IN (
        SELECT endpoint_id FROM webhook_endpoints WHERE owner = %(owner)s AND (%(team)s = '' OR team = %(team)s))
    RETURNING 1
), endpoints AS (
    DELETE FROM webhook_endpoints WHERE owner = %(owner)s AND (%(team)s = '' OR team = %(team)s) RETURNING 1
), answers AS (
    DELETE FROM idempotency_keys
    WHERE owner = %(owner)s AND (%(team)s = '' OR team = %(team)s) AND created_at <= %(requested_at)s
    RETURNING 1
)
SELECT jsonb_strip_nulls(jsonb_build_object(
    'events', (SELECT nullif(count(*), 0) FROM told),
    'webhook_deliveries', (SELECT nullif(count(*), 0) FROM deliveries),
    'webhook_endpoints', (SELECT nullif(count(*), 0) FROM endpoints),
    'idempotency_keys', (SELECT nullif(count(*), 0) FROM answers)));

-- name: note_rows
-- Add to the counts of what was deleted.
UPDATE purges SET state = 'removing', rows_deleted = (
    SELECT jsonb_object_agg(name, amount) FROM (
        SELECT key AS name, sum(value::bigint) AS amount
        FROM (SELECT * FROM jsonb_each_text(rows_deleted) UNION ALL SELECT * FROM jsonb_each_text(%(counts)s)) both_counts
        GROUP BY key) summed)
WHERE purge_id = %(purge_id)s AND %(counts)s <> '{}'::jsonb;

-- name: waiting
-- Keys that still wait to be removed and why, and until when some are watched because a client could write them again.
SELECT count(*) FILTER (WHERE NOT watched), max(last_error) FILTER (WHERE NOT watched), max(until) FILTER (WHERE watched)
FROM (SELECT greatest(o.due_at, o.again_at) AS until, o.last_error,
             o.attempts = 0 AND o.due_at > now() AND o.size_bytes = 0 AS watched  -- gone once, to be looked at again
      FROM purge_keys k JOIN outbox o ON o.store = k.store AND o.key = k.key
      WHERE k.purge_id = %(purge_id)s) t;

-- name: note_state
-- How far it is, and what it waits for.
UPDATE purges SET state = %(state)s, problem = %(problem)s, left_over = %(left_over)s,
    (objects, size_bytes) = (SELECT count(*), coalesce(sum(k.size_bytes), 0) FROM purge_keys k
                             WHERE k.purge_id = purges.purge_id)
WHERE purge_id = %(purge_id)s;

-- name: keys
-- The keys of a purge behind one, in order.
SELECT store, key FROM purge_keys
WHERE purge_id = %(purge_id)s AND (store, key) > (%(store)s, %(key)s)
ORDER BY store, key LIMIT %(limit)s;

-- name: digest
-- What was removed, as one number that anybody who knows the keys can make again.
SELECT encode(sha256(convert_to(
    coalesce(string_agg(store || ' ' || key || ' ' || size_bytes, E'\n' ORDER BY store, key), ''), 'UTF8')), 'hex')
FROM purge_keys WHERE purge_id = %(purge_id)s;

-- name: finish
-- Write the receipt.
UPDATE purges SET state = 'done', problem = NULL, left_over = 0, unproven = %(unproven)s, keys_digest = %(keys_digest)s,
    stores = %(stores)s, prefixes = %(prefixes)s, watched_until = %(watched_until)s, finished_at = %(finished_at)s,
    (objects, size_bytes) = (SELECT count(*), coalesce(sum(k.size_bytes), 0) FROM purge_keys k
                             WHERE k.purge_id = purges.purge_id)
WHERE purge_id = %(purge_id)s
RETURNING *;

-- name: seal
-- The receipt's own digest.
UPDATE purges SET receipt_digest = %(receipt_digest)s WHERE purge_id = %(purge_id)s RETURNING *;

-- name: forget_keys
-- The keys themselves name the owner: what stays is their digest.
DELETE FROM purge_keys WHERE purge_id = %(purge_id)s;
