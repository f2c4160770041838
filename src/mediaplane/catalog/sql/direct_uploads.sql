-- name: open
-- Begin a client's upload.
INSERT INTO uploads (upload_id, asset_id, owner, team, store, key, way, name, size_bytes, digest, md5, content_type,
                     part_bytes, write_once, reserved_bytes, urls_live)
SELECT %(upload_id)s, asset_id, owner, team, %(store)s, %(key)s, %(way)s, %(name)s, %(size_bytes)s, %(digest)s, %(md5)s,
       %(content_type)s, %(part_bytes)s, %(write_once)s, %(reserved_bytes)s, %(urls_live)s
FROM assets WHERE asset_id = %(asset_id)s
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
-- Verify its bytes, unless somebody does.
UPDATE uploads SET busy_until = now() + %(lease)s, seen_at = now()
WHERE upload_id = %(upload_id)s AND state = 'open' AND (busy_until IS NULL OR busy_until < now());

-- name: hold
-- Still at it.
UPDATE uploads SET busy_until = now() + %(lease)s WHERE upload_id = %(upload_id)s AND state = 'open';

-- name: release
-- Not at it any more.
UPDATE uploads SET busy_until = NULL WHERE upload_id = %(upload_id)s;

-- name: complete
-- The bytes are in the store and verified.
UPDATE uploads SET state = 'completed', completed_at = now(), busy_until = NULL, asset_id = %(asset_id)s, reused = %(reused)s,
    size_bytes = %(size_bytes)s, digest = %(digest)s, recheck_at = now() + %(recheck_in)s
WHERE upload_id = %(upload_id)s AND state = 'open' RETURNING *;

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
-- The owner's newest asset made from the same bytes: by digest, by etag and size in the same store, or compared before.
SELECT a.asset_id FROM assets a
WHERE a.owner = %(owner)s AND a.team = %(team)s AND a.status IN ('processing', 'ready') AND a.asset_id <> %(not_asset_id)s
  AND (a.digest = %(digest)s OR a.asset_id = %(twin)s OR EXISTS (
    SELECT FROM objects o WHERE o.asset_id = a.asset_id AND o.role = 'original' AND o.state = 'stored' AND o.owner = %(owner)s
      AND o.store = %(store)s AND o.etag = %(etag)s AND o.size_bytes = %(size_bytes)s))
ORDER BY a.created_at DESC, a.asset_id DESC LIMIT 1 FOR KEY SHARE OF a;  -- it stays until we have pointed at it

-- name: same_size
-- Originals of the owner with as many bytes, the newest first.
SELECT o.asset_id, o.store, o.key, o.etag, a.digest FROM objects o JOIN assets a ON a.asset_id = o.asset_id
WHERE o.owner = %(owner)s AND o.team = %(team)s AND o.size_bytes = %(size_bytes)s AND o.role = 'original' AND o.state = 'stored'
  AND a.status IN ('processing', 'ready') AND a.asset_id <> %(not_asset_id)s
ORDER BY a.created_at DESC, a.asset_id DESC LIMIT %(limit)s;

-- name: lock_size
-- Let one transaction at a time decide whether bytes of this size are there already.
SELECT pg_advisory_xact_lock(hashtextextended(%(owner)s || ' bytes ' || %(size_bytes)s::text, 0));
