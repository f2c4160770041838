-- name: request
-- Ask for a clip; the same cut asked again is the same row, and a failed one is tried anew.
INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, expires_at)
SELECT %(clip_id)s, asset_id, owner, team, %(mode)s, %(t_start_ms)s, %(t_end_ms)s, now() + %(expiry)s
FROM assets WHERE asset_id = %(asset_id)s
ON CONFLICT (asset_id, mode, t_start_ms, t_end_ms) DO UPDATE
    SET expires_at = excluded.expires_at,
        status = CASE WHEN clips.status = 'failed' THEN 'processing' ELSE clips.status END,
        error_code = NULL, error_message = NULL
RETURNING *;

-- name: get
-- One clip.
SELECT * FROM clips WHERE clip_id = %(clip_id)s AND (%(owner)s::text IS NULL OR owner = %(owner)s);

-- name: of_asset
-- Clips of an asset by time.
SELECT * FROM clips WHERE asset_id = %(asset_id)s ORDER BY t_start_ms, clip_id;

-- name: mark_ready
-- The clip's object is stored.
UPDATE clips SET status = 'ready', store = %(store)s, key = %(key)s WHERE clip_id = %(clip_id)s;

-- name: mark_failed
-- The clip cannot be made.
UPDATE clips SET status = 'failed', error_code = %(code)s, error_message = %(message)s WHERE clip_id = %(clip_id)s;

-- name: delete_expired
-- Remove clips whose time has come; a trigger removes their objects.
DELETE FROM clips WHERE expires_at <= now();
