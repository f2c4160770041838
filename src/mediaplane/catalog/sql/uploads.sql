-- name: open
-- Begin an upload.
INSERT INTO uploads (upload_id, asset_id, owner, team, store, key, size_bytes, digest, content_type)
SELECT %(upload_id)s, asset_id, owner, team, %(store)s, %(key)s, %(size_bytes)s, %(digest)s, %(content_type)s
FROM assets WHERE asset_id = %(asset_id)s
RETURNING upload_id, asset_id, owner, team, store, key, state,
    size_bytes, digest, content_type, created_at, seen_at, completed_at;

-- name: lock_digest
-- Let one transaction at a time decide about the same bytes of an owner.
SELECT pg_advisory_xact_lock(hashtextextended(%(owner)s || ' ' || %(digest)s, 0));

-- name: find_open
-- The open upload of these bytes.
SELECT upload_id, asset_id, owner, team, store, key, state, size_bytes, digest, content_type, created_at, seen_at, completed_at
FROM uploads WHERE owner = %(owner)s AND digest = %(digest)s AND state = 'open' AND way = 'process' FOR UPDATE;

-- name: touch
-- The writer is alive.
UPDATE uploads SET seen_at = now() WHERE upload_id = %(upload_id)s AND state = 'open';

-- name: complete
-- The bytes are in the store; only an open upload can be completed.
UPDATE uploads SET state = 'completed', completed_at = now() WHERE upload_id = %(upload_id)s AND state = 'open';

-- name: abandoned
-- Open uploads whose writer has been silent.
SELECT upload_id, asset_id, owner, team, store, key, state, size_bytes, digest, content_type, created_at, seen_at, completed_at
FROM uploads WHERE state = 'open' AND way = 'process' AND seen_at < now() - %(silence)s LIMIT 100 FOR UPDATE SKIP LOCKED;
