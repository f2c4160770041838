-- name: insert
-- Note a replay of an asset.
INSERT INTO replays (replay_id, asset_id, owner, team, cause, params)
SELECT %(replay_id)s, asset_id, owner, team, %(cause)s, %(params)s FROM assets WHERE asset_id = %(asset_id)s
RETURNING *;

-- name: latest
-- The replay whose parameters hold for an asset now.
SELECT * FROM replays WHERE asset_id = %(asset_id)s ORDER BY created_at DESC, replay_id LIMIT 1;
