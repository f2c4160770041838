-- name: open
-- Begin clients' uploads: asset, intent and session of each, in the order asked.
WITH asked AS (
    SELECT * FROM jsonb_to_recordset(%(asked)s) AS asked (
        place integer, upload_id text COLLATE "C", asset_id text COLLATE "C", owner text COLLATE "C", team text COLLATE "C",
        title text, store text COLLATE "C", key text COLLATE "C", way text, name text, size_bytes bigint,
        digest text COLLATE "C", md5 text COLLATE "C", content_type text, part_bytes bigint, write_once boolean,
        reserved_bytes bigint, urls_live interval)
), assets AS (
    INSERT INTO assets (asset_id, owner, team, title, status, digest)
    SELECT asset_id, owner, team, title, 'uploading', digest FROM asked
), intents AS (
    INSERT INTO objects (store, key, asset_id, owner, team, role, content_type)
    SELECT store, key, asset_id, owner, team, 'original', content_type FROM asked
)
INSERT INTO uploads (upload_id, asset_id, owner, team, store, key, way, name, size_bytes, digest, md5, content_type,
                     part_bytes, write_once, reserved_bytes, urls_live)
SELECT upload_id, asset_id, owner, team, store, key, way, name, size_bytes, digest, md5, content_type, part_bytes,
       write_once, reserved_bytes, urls_live
FROM asked ORDER BY place
RETURNING *;

-- name: begun
-- The store has begun an upload in parts.
UPDATE uploads SET store_ref = %(store_ref)s WHERE upload_id = %(upload_id)s AND state = 'open' RETURNING *;

-- name: get
-- One upload of an owner, or (without one) of anybody.
SELECT * FROM uploads
WHERE upload_id = %(upload_id)s AND way <> 'process' AND (%(owner)s::text IS NULL OR owner = %(owner)s)
  AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: lock
-- One upload, locked until the transaction ends.
SELECT * FROM uploads WHERE upload_id = %(upload_id)s FOR UPDATE;

-- name: of_ids
-- Some uploads.
SELECT * FROM uploads WHERE upload_id = ANY(%(upload_ids)s) AND way <> 'process';

-- name: of_key
-- The open upload that may write to a key.
SELECT * FROM uploads WHERE store = %(store)s AND key = %(key)s AND state = 'open' AND way <> 'process';

-- name: page
-- Open uploads of an owner, newest first, after the given place.
SELECT * FROM uploads
WHERE owner = %(owner)s AND (%(team)s::text IS NULL OR team = %(team)s) AND state = 'open' AND way <> 'process'
  AND (%(before)s::timestamptz IS NULL OR (created_at, upload_id) < (%(before)s, %(before_id)s COLLATE "C"))
ORDER BY created_at DESC, upload_id DESC LIMIT %(limit)s;

-- name: touch
-- The client is alive.
UPDATE uploads SET seen_at = now() WHERE upload_id = %(upload_id)s AND state = 'open' AND seen_at < now() - interval '10 seconds';

-- name: claim
-- Verify the bytes of open uploads, each of its owner, except where somebody does, or has the row locked just now to end it.
UPDATE uploads SET busy_until = now() + %(lease)s, seen_at = now()
WHERE upload_id IN (
    SELECT u.upload_id FROM uploads u
    JOIN unnest(%(upload_ids)s::text[], %(owners)s::text[], %(teams)s::text[]) AS v (upload_id, owner, team)
      ON u.upload_id = v.upload_id AND u.owner = v.owner AND (v.team IS NULL OR u.team = v.team)
    WHERE u.way <> 'process' AND u.state = 'open' AND (u.busy_until IS NULL OR u.busy_until < now())
    FOR NO KEY UPDATE OF u SKIP LOCKED)
RETURNING *;

-- name: hold
-- Still at it.
UPDATE uploads SET busy_until = now() + %(lease)s WHERE upload_id = %(upload_id)s AND state = 'open';

-- name: release
-- Not at it any more.
UPDATE uploads SET busy_until = NULL WHERE upload_id = %(upload_id)s;

-- name: complete
-- The bytes are in the store and verified.
UPDATE uploads u SET state = 'completed', completed_at = now(), busy_until = NULL, asset_id = v.asset_id, reused = v.reused,
    size_bytes = v.size_bytes, digest = v.digest, recheck_at = now() + v.recheck_in
FROM jsonb_to_recordset(%(completed)s) AS v (upload_id text COLLATE "C", asset_id text COLLATE "C", reused boolean,
    size_bytes bigint, digest text COLLATE "C", recheck_in interval)
WHERE u.upload_id = v.upload_id AND u.state = 'open' RETURNING u.*;

-- name: refuse
-- The bytes cannot be taken, whatever comes.
UPDATE uploads SET state = 'refused', completed_at = now(), busy_until = NULL, error_code = %(code)s, error_message = %(message)s
WHERE upload_id = %(upload_id)s AND state = 'open';

-- name: abort
-- Nobody goes on with it.
UPDATE uploads SET state = 'aborted', completed_at = now(), busy_until = NULL WHERE upload_id = %(upload_id)s AND state = 'open' RETURNING *;

-- name: abort_silent
-- Give up what nobody went on with.
UPDATE uploads SET state = 'aborted', completed_at = now(), busy_until = NULL
WHERE state = 'open' AND way <> 'process' AND seen_at < now() - %(silence)s AND (busy_until IS NULL OR busy_until < now());

-- name: aborted
-- What was given up and still has rows and bytes.
SELECT * FROM uploads WHERE state = 'aborted' AND way <> 'process' LIMIT 100;

-- name: take_unsaid
-- Open uploads in one request whose client may have forgotten to say that it is done; asked ever more seldom.
UPDATE uploads SET checked_at = now()
WHERE upload_id IN (
    SELECT upload_id FROM uploads
    WHERE state = 'open' AND way IN ('put', 'form') AND (busy_until IS NULL OR busy_until < now())
      AND now() > coalesce(checked_at, created_at) + greatest(%(first)s, coalesce(checked_at, created_at) - created_at)
    ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: recheck_due
-- Completed uploads whose URL has ended by now: were the bytes replaced in the meantime?
SELECT * FROM uploads WHERE recheck_at < now() ORDER BY recheck_at LIMIT 100;

-- name: recheck_done
-- Nobody can replace the bytes any more.
UPDATE uploads SET recheck_at = NULL WHERE upload_id = %(upload_id)s;

-- name: open_refs
-- References of uploads in parts that are not to be removed.
SELECT store_ref FROM uploads WHERE store = %(store)s AND state = 'open' AND store_ref IS NOT NULL;

-- name: prune
-- Forget what ended long ago.
DELETE FROM uploads WHERE state IN ('completed', 'refused') AND completed_at < now() - %(age)s AND recheck_at IS NULL;

-- name: same_bytes
-- The owner's newest asset made from the same bytes as each: by digest, by etag and size in the same store, or compared
-- before. Without one, originals with as many bytes.
SELECT v.place, same.asset_id, CASE WHEN same.asset_id IS NULL THEN (
    SELECT jsonb_agg(jsonb_build_object('asset_id', l.asset_id, 'store', l.store, 'key', l.key, 'digest', l.digest))
    FROM (SELECT o.asset_id, o.store, o.key, a.digest
          FROM (SELECT asset_id, store, key FROM objects
                WHERE owner = v.owner AND team = v.team AND size_bytes = v.size_bytes AND role = 'original' AND state = 'stored'
                ORDER BY etag LIMIT 50) AS o  -- in the order of their index: no statistics mislead the planner
          JOIN assets a ON a.asset_id = o.asset_id
          WHERE a.status IN ('processing', 'ready') AND a.asset_id <> v.not_asset_id
          ORDER BY a.created_at DESC, a.asset_id DESC LIMIT %(limit)s) AS l) END AS lookalikes
FROM jsonb_to_recordset(%(asked)s) AS v (
    place integer, owner text COLLATE "C", team text COLLATE "C", not_asset_id text COLLATE "C", store text COLLATE "C",
    digest text COLLATE "C", etag text, size_bytes bigint, twin text COLLATE "C")
LEFT JOIN LATERAL (
    SELECT a.asset_id FROM assets a
    WHERE a.asset_id IN (  -- each by its own index: an owner may have a million assets
        SELECT d.asset_id FROM assets d WHERE d.owner = v.owner AND d.digest = v.digest
        UNION ALL
        SELECT o.asset_id FROM objects o
        WHERE o.owner = v.owner AND o.size_bytes = v.size_bytes AND o.etag = v.etag AND o.store = v.store
          AND o.role = 'original' AND o.state = 'stored'
        UNION ALL SELECT v.twin)
      AND a.owner = v.owner AND a.team = v.team AND a.status IN ('processing', 'ready') AND a.asset_id <> v.not_asset_id
    ORDER BY a.created_at DESC, a.asset_id DESC LIMIT 1 FOR KEY SHARE OF a) AS same ON true;  -- it stays

-- name: lock_sizes
-- Let one transaction at a time decide whether bytes of these sizes are there already; in one order, whoever takes several.
SELECT pg_advisory_xact_lock(place) FROM (
    SELECT DISTINCT hashtextextended(owner || ' bytes ' || size_bytes::text, 0) AS place
    FROM unnest(%(owners)s::text[], %(sizes)s::bigint[]) AS v (owner, size_bytes) ORDER BY place) AS places;
