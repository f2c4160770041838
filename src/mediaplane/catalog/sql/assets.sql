-- name: insert
-- Add an asset.
INSERT INTO assets (asset_id, owner, team, title, status, digest)
VALUES (%(asset_id)s, %(owner)s, %(team)s, %(title)s, %(status)s, %(digest)s)
RETURNING *;

-- name: get
-- One asset by id; an owner and a team narrow it.
SELECT * FROM assets
WHERE asset_id = %(asset_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: owners
-- Whose some assets are.
SELECT asset_id, owner, team FROM assets WHERE asset_id = ANY(%(asset_ids)s);

-- name: lock
-- One asset, locked until the transaction ends: whoever plans its work takes this first.
SELECT * FROM assets WHERE asset_id = %(asset_id)s FOR UPDATE;

-- name: lock_all
-- Some assets, locked in one order until the transaction ends.
SELECT * FROM assets WHERE asset_id = ANY(%(asset_ids)s) ORDER BY asset_id FOR UPDATE;

-- name: same_bytes
-- The newest asset of an owner made from these bytes that did not fail.
SELECT * FROM assets
WHERE owner = %(owner)s AND digest = %(digest)s AND status IN ('processing', 'ready')
ORDER BY created_at DESC, asset_id DESC LIMIT 1;

-- name: page
-- Assets of an owner and a team, each where given, newest first, after the given place.
SELECT * FROM assets
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(before)s::timestamptz IS NULL OR (created_at, asset_id) < (%(before)s, %(before_id)s COLLATE "C"))
ORDER BY created_at DESC, asset_id DESC LIMIT %(limit)s;

-- name: stalled
-- Assets in processing with nothing queued or running: their planner was cut off.
SELECT asset_id FROM assets a
WHERE status = 'processing' AND updated_at < now() - %(age)s
  AND NOT EXISTS (SELECT FROM stage_runs r WHERE r.asset_id = a.asset_id AND r.state IN ('queued', 'running'))
LIMIT 100;

-- name: begin_processing
-- The original is there (anew): its digest is known and work begins.
UPDATE assets SET status = 'processing', digest = %(digest)s, error_code = NULL, error_message = NULL, updated_at = now()
WHERE asset_id = %(asset_id)s;

-- name: describe
-- What the probe found out.
UPDATE assets SET kind = %(kind)s, duration_ms = %(duration_ms)s, width = %(width)s, height = %(height)s,
    probe = %(probe)s, updated_at = now()
WHERE asset_id = %(asset_id)s;

-- name: mark_ready
-- All stages are done; a length that no header told is that of the longest rendition.
UPDATE assets SET status = 'ready',
    duration_ms = coalesce(duration_ms, (
        SELECT max(length_us) / 1000 FROM (
            SELECT sum(duration_us) AS length_us FROM hls_segments s WHERE s.asset_id = %(asset_id)s GROUP BY rendition) r)),
    error_code = NULL, error_message = NULL, ready_at = now(), updated_at = now()
WHERE asset_id = %(asset_id)s;

-- name: note_length
-- How long it is, as it was found by decoding all of it.
UPDATE assets SET duration_ms = %(duration_ms)s, updated_at = now() WHERE asset_id = %(asset_id)s;

-- name: mark_failed
-- A stage failed for good.
UPDATE assets SET status = 'failed', error_code = %(code)s, error_message = %(message)s, updated_at = now()
WHERE asset_id = %(asset_id)s;

-- name: delete
-- Remove an asset; its rows cascade and its objects go on the outbox.
DELETE FROM assets
WHERE asset_id = %(asset_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: usage
-- Bytes of an owner that are in a store, deleted ones included until they are gone.
SELECT (SELECT coalesce(sum(size_bytes), 0) FROM objects WHERE owner = %(owner)s)
     + (SELECT coalesce(sum(size_bytes), 0) FROM outbox WHERE owner = %(owner)s) AS size_bytes;
