-- name: take
-- Keys to remove now, of one store, locked: a writer of the same key waits for us.
SELECT key FROM outbox b
WHERE store = %(store)s AND due_at <= now()
  AND NOT EXISTS (SELECT FROM objects o WHERE o.store = b.store AND o.key = b.key)  -- never bytes that have a row
ORDER BY due_at, key LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: left_at
-- Since when the bytes at a key are to be removed.
SELECT created_at FROM outbox WHERE store = %(store)s AND key = %(key)s;

-- name: put_unowned
-- Bytes that nobody owns are to be removed; one that has a row by now is not.
INSERT INTO outbox (store, key, asset_id, owner, team, size_bytes)
SELECT %(store)s, found.key, '', '', '', found.size_bytes
FROM unnest(%(keys)s::text[], %(sizes)s::bigint[]) AS found (key, size_bytes)
WHERE NOT EXISTS (SELECT FROM objects o WHERE o.store = %(store)s AND o.key = found.key)
ON CONFLICT (store, key) DO NOTHING;

-- name: done
-- The bytes are gone; a key whose writer may still have been at work comes up once more. Before that, what is held for
-- a client's URL comes up when the URL has ended, and is free then.
WITH again AS (
    UPDATE outbox SET size_bytes = 0,
        due_at = CASE WHEN held_until > now() THEN held_until ELSE again_at END,
        again_at = CASE WHEN held_until > now() THEN again_at END,
        held_bytes = CASE WHEN held_until > now() THEN held_bytes ELSE 0 END
    WHERE store = %(store)s AND key = ANY(%(keys)s) AND again_at IS NOT NULL RETURNING key)
DELETE FROM outbox WHERE store = %(store)s AND key = ANY(%(keys)s) AND again_at IS NULL;

-- name: postpone
-- The store refused: try again later, ever more seldom, at least once an hour.
UPDATE outbox SET attempts = attempts + 1, last_error = %(error)s,
    due_at = now() + least(interval '1 hour', interval '5 seconds' * power(2, least(attempts, 12)))
WHERE store = %(store)s AND key = ANY(%(keys)s);

-- name: stores
-- Stores in which something waits to be removed.
SELECT DISTINCT store FROM outbox WHERE due_at <= now();

-- name: waiting
-- How many keys and bytes wait, and since when.
SELECT count(*), coalesce(sum(size_bytes), 0), min(created_at) FROM outbox;
