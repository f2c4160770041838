-- Originals that have arrived in a store, many at once. `arrived` is a JSON array of them, see `Arrival`.

-- name: add
-- Add assets, except those that another transaction has just added: waits for it.
INSERT INTO assets (asset_id, owner, team, title, status, digest)
SELECT asset_id, owner, team, title, 'processing', fingerprint
FROM jsonb_to_recordset(%(arrived)s) AS v (asset_id text, owner text, team text, title text, fingerprint text)
ORDER BY asset_id
ON CONFLICT (asset_id) DO NOTHING RETURNING asset_id;

-- name: note
-- The originals are there (anew), and their assets are processed; nothing happens to what was known just so.
WITH arrived AS (
    SELECT * FROM jsonb_to_recordset(%(arrived)s) AS v (
        store text COLLATE "C", key text COLLATE "C", asset_id text COLLATE "C", size_bytes bigint, etag text,
        content_type text, fingerprint text COLLATE "C")
), stored AS (
    INSERT INTO objects AS o (store, key, asset_id, owner, team, role, state, size_bytes, etag, content_type)
    SELECT v.store, v.key, a.asset_id, a.owner, a.team, 'original', 'stored', v.size_bytes, v.etag, v.content_type
    FROM arrived v JOIN assets a ON a.asset_id = v.asset_id
    ON CONFLICT (store, key) DO UPDATE SET state = 'stored', size_bytes = excluded.size_bytes, etag = excluded.etag,
        content_type = excluded.content_type, run_id = NULL, created_at = now()
    WHERE o.asset_id = excluded.asset_id AND o.role = excluded.role
      AND (o.state, o.size_bytes, o.etag) IS DISTINCT FROM ('stored', excluded.size_bytes, excluded.etag)
    RETURNING o.store, o.key
)
UPDATE assets a SET status = 'processing', digest = v.fingerprint, error_code = NULL, error_message = NULL, updated_at = now()
FROM arrived v JOIN stored USING (store, key) WHERE a.asset_id = v.asset_id
RETURNING a.asset_id;
