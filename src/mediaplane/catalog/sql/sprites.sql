-- name: drop_chunk
-- Forget the sheets of one chunk.
DELETE FROM sprites WHERE asset_id = %(asset_id)s AND chunk = %(chunk)s;

-- name: put_sheet
-- Add one sheet.
INSERT INTO sprites (asset_id, chunk, position, owner, team, store, key, first_ms, tile_ms, tiles, columns, tile_width, tile_height)
SELECT asset_id, %(chunk)s, %(position)s, owner, team, %(store)s, %(key)s, %(first_ms)s, %(tile_ms)s, %(tiles)s, %(columns)s,
    %(tile_width)s, %(tile_height)s
FROM assets WHERE asset_id = %(asset_id)s;

-- name: of_asset
-- An asset's sheets by time.
SELECT chunk, position, store, key, first_ms, tile_ms, tiles, columns, tile_width, tile_height FROM sprites
WHERE asset_id = %(asset_id)s ORDER BY chunk, position;

-- name: drop_chunks
-- Forget sheets of chunks that the plan no longer has.
DELETE FROM sprites WHERE asset_id = %(asset_id)s AND chunk >= %(from_chunk)s;
