-- name: hold_asset
-- Keep the asset from being deleted until the transaction ends.
SELECT 1 FROM assets WHERE asset_id = %(asset_id)s FOR KEY SHARE;

-- name: delete_chunk
-- Forget a chunk's segments; their entities go with them.
DELETE FROM segments WHERE asset_id = %(asset_id)s AND chunk = %(chunk)s RETURNING text;

-- name: delete_chunks_from
-- Forget the segments of chunks that are no longer planned.
DELETE FROM segments WHERE asset_id = %(asset_id)s AND chunk >= %(chunk)s RETURNING owner, team, text;

-- name: take_ids
-- Ids for segments that are about to be copied in.
SELECT nextval(pg_get_serial_sequence('segments', 'segment_id')) FROM generate_series(1, %(count)s);

-- name: copy_segments
-- Add segments with the ids taken.
COPY segments (segment_id, asset_id, owner, team, chunk, source, t_start_ms, t_end_ms, text, lexemes, box, confidence, language, frame_ms)
FROM STDIN;

-- name: copy_entities
-- Add what was found in segments.
COPY entities (segment_id, asset_id, owner, team, kind, value, text) FROM STDIN;

-- name: of_asset
-- An asset's segments in the order of time.
SELECT segment_id, asset_id, chunk, source, t_start_ms, t_end_ms, text, box, confidence, language, frame_ms
FROM segments WHERE asset_id = %(asset_id)s ORDER BY t_start_ms, segment_id;

-- name: page
-- An asset's segments in the order of time, after the given place.
SELECT segment_id, asset_id, chunk, source, t_start_ms, t_end_ms, text, box, confidence, language, frame_ms
FROM segments WHERE asset_id = %(asset_id)s
  AND (%(after_ms)s::bigint IS NULL OR (t_start_ms, segment_id) > (%(after_ms)s, %(after_id)s::bigint))
ORDER BY t_start_ms, segment_id LIMIT %(limit)s;

-- name: lengthen
-- Give segments a new end.
UPDATE segments s SET t_end_ms = j.t_end_ms
FROM unnest(%(ids)s::bigint[], %(ends)s::bigint[]) AS j (segment_id, t_end_ms) WHERE s.segment_id = j.segment_id;

-- name: delete_many
-- Delete segments that were absorbed by others.
DELETE FROM segments WHERE segment_id = ANY (%(ids)s::bigint[]) RETURNING owner, team, text;
