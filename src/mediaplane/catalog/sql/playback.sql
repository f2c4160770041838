-- name: put_rendition
-- Add a rendition or widen its peak bandwidth: each chunk brings its own.
INSERT INTO renditions (asset_id, name, owner, team, kind, width, height, frame_rate, bandwidth, codecs, language, title)
SELECT asset_id, %(name)s, owner, team, %(kind)s, %(width)s, %(height)s, %(frame_rate)s, %(bandwidth)s, %(codecs)s, %(language)s, %(title)s
FROM assets WHERE asset_id = %(asset_id)s
ON CONFLICT (asset_id, name) DO UPDATE SET bandwidth = greatest(renditions.bandwidth, excluded.bandwidth),
    width = excluded.width, height = excluded.height, frame_rate = excluded.frame_rate, codecs = excluded.codecs,
    language = excluded.language, title = excluded.title;

-- name: drop_segments
-- Forget a rendition's segments of one chunk.
DELETE FROM hls_segments WHERE asset_id = %(asset_id)s AND rendition = %(rendition)s AND chunk = %(chunk)s;

-- name: put_segments
-- Add a rendition's segments of one chunk.
INSERT INTO hls_segments (asset_id, rendition, chunk, position, store, key, init_key, duration_us, size_bytes)
SELECT %(asset_id)s, %(rendition)s, %(chunk)s, row_number() OVER (ORDER BY place) - 1, %(store)s, key, %(init_key)s, duration_us, size_bytes
FROM unnest(%(keys)s::text[], %(durations)s::bigint[], %(sizes)s::bigint[]) WITH ORDINALITY AS s (key, duration_us, size_bytes, place);

-- name: renditions
-- An asset's renditions, best video first, audio last.
SELECT name, kind, width, height, frame_rate, bandwidth, codecs, language, title FROM renditions
WHERE asset_id = %(asset_id)s ORDER BY kind DESC, height DESC NULLS LAST, name;

-- name: segments
-- A rendition's segments in playing order.
SELECT rendition, chunk, position, store, key, init_key, duration_us, size_bytes FROM hls_segments
WHERE asset_id = %(asset_id)s AND rendition = %(rendition)s ORDER BY chunk, position;

-- name: drop_stale_segments
-- Forget segments of chunks that the plan no longer has, and of renditions that are no longer made.
DELETE FROM hls_segments WHERE asset_id = %(asset_id)s
    AND (rendition <> ALL(%(names)s) OR (rendition !~ '^audio' AND chunk >= %(chunks)s));

-- name: drop_stale_renditions
-- Forget renditions that are no longer made.
DELETE FROM renditions WHERE asset_id = %(asset_id)s AND name <> ALL(%(names)s);
