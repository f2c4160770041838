-- What happened, in the order it was written. Triggers write the rows; see the migration 0006_events.

-- name: last_id
-- The newest event there is, 0 where there is none.
SELECT coalesce(max(event_id), 0) FROM events;

-- name: read_new
-- Events behind the last one, and those that were missing before it and may have been committed since.
SELECT event_id, at, type, owner, team, asset_id, data FROM events WHERE event_id = ANY(%(missing)s)
UNION ALL
(SELECT event_id, at, type, owner, team, asset_id, data FROM events WHERE event_id > %(after)s
 ORDER BY event_id LIMIT %(limit)s)
ORDER BY event_id;

-- name: read_since
-- Events of a viewer behind an id, oldest first.
SELECT event_id, at, type, owner, team, asset_id, data FROM events
WHERE event_id > %(after)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
  AND (%(asset_id)s::text IS NULL OR asset_id = %(asset_id)s)
ORDER BY event_id LIMIT %(limit)s;

-- name: is_known
-- Whether the event that a client saw last is still kept, so that what came behind it is, too.
SELECT EXISTS (SELECT FROM events WHERE event_id <= %(event_id)s);

-- name: unfinished
-- A viewer's assets that are on their way, newest first.
SELECT asset_id, status, title, kind, duration_ms, error_code, error_message FROM assets
WHERE status IN ('uploading', 'processing')
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
ORDER BY created_at DESC LIMIT %(limit)s;

-- name: prune
-- Forget old events: the many small steps of stages sooner than the rest.
DELETE FROM events WHERE at < now() - %(age)s OR (at < now() - %(stage_age)s AND type LIKE 'stage.%%');
