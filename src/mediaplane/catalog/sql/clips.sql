-- name: request
-- Ask for a clip; the same cut asked again is the same row, and a failed one is tried anew. So is one in the second
-- half of its life: a lifecycle rule of the bucket counts from when the bytes were written, so only new ones live longer.
-- A number is taken only for a new one.
WITH same AS (
    SELECT FROM clips
    WHERE asset_id = %(asset_id)s AND mode = %(mode)s AND t_start_ms = %(t_start_ms)s AND t_end_ms = %(t_end_ms)s
      AND style = %(style)s AND highlight = %(highlight)s AND title = %(title)s
), number AS (
    INSERT INTO clip_versions (asset_id, owner, team, highlight, last)
    SELECT asset_id, owner, team, %(highlight)s, 1 + coalesce((
        SELECT max(version) FROM clips c WHERE c.asset_id = assets.asset_id AND c.highlight = %(highlight)s), 0)
    FROM assets
    WHERE asset_id = %(asset_id)s AND NOT EXISTS (SELECT FROM same)
    ON CONFLICT (asset_id, highlight) DO UPDATE SET last = clip_versions.last + 1
    RETURNING last
)
INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, expires_at, highlight, version, title, style)
SELECT %(clip_id)s, asset_id, owner, team, %(mode)s, %(t_start_ms)s, %(t_end_ms)s, now() + %(expiry)s,
       %(highlight)s, coalesce((SELECT last FROM number), 1), %(title)s, %(style)s
FROM assets WHERE asset_id = %(asset_id)s
ON CONFLICT (asset_id, mode, t_start_ms, t_end_ms, style, highlight, title) DO UPDATE
    SET (status, expires_at) = (
            SELECT CASE WHEN anew THEN 'processing' ELSE clips.status END,
                   CASE WHEN anew THEN excluded.expires_at ELSE clips.expires_at END
            FROM (SELECT clips.status = 'failed' OR clips.expires_at < now() + %(expiry)s::interval / 2) AS t (anew)),
        error_code = NULL, error_message = NULL
RETURNING *;

-- name: get
-- One clip.
SELECT * FROM clips
WHERE clip_id = %(clip_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: find
-- Some clips.
SELECT * FROM clips
WHERE clip_id = ANY(%(clip_ids)s)
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: of_asset
-- Clips of an asset by time.
SELECT * FROM clips WHERE asset_id = %(asset_id)s ORDER BY t_start_ms, clip_id;

-- name: mark_ready
-- The clip's object is stored.
UPDATE clips SET status = 'ready', store = %(store)s, key = %(key)s,
    thumb_store = %(thumb_store)s, thumb_key = %(thumb_key)s
WHERE clip_id = %(clip_id)s;

-- name: mark_failed
-- The clip cannot be made.
UPDATE clips SET status = 'failed', error_code = %(code)s, error_message = %(message)s WHERE clip_id = %(clip_id)s;

-- name: delete
-- Remove one clip; a trigger removes its objects.
DELETE FROM clips
WHERE clip_id = %(clip_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: delete_expired
-- Remove clips whose time has come; a trigger removes their objects.
DELETE FROM clips WHERE expires_at <= now();
