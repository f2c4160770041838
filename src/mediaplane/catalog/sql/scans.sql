-- name: begin
-- Start a scan, or go on behind the last key of one that was cut off.
INSERT INTO scans (store, prefix) VALUES (%(store)s, %(prefix)s)
ON CONFLICT (store, prefix) DO UPDATE SET
    last_key = CASE WHEN scans.finished_at IS NULL THEN scans.last_key END,
    seen = CASE WHEN scans.finished_at IS NULL THEN scans.seen ELSE 0 END,
    started_at = CASE WHEN scans.finished_at IS NULL THEN scans.started_at ELSE now() END,
    finished_at = NULL
RETURNING coalesce(last_key, '');

-- name: advance
-- Everything up to this key has been looked at.
UPDATE scans SET last_key = %(last_key)s, seen = seen + %(seen)s WHERE store = %(store)s AND prefix = %(prefix)s;

-- name: finish
-- The whole prefix has been looked at.
UPDATE scans SET finished_at = now(), last_key = NULL WHERE store = %(store)s AND prefix = %(prefix)s;
