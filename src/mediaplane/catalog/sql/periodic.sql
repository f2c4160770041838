-- Periodic tasks: who runs one holds the advisory lock of its name; the row says when it last ran.

-- name: wait
-- Seconds until the task is due; 0 or less: now.
SELECT coalesce(extract(epoch FROM (
    SELECT last_started_at + %(interval)s - now() FROM periodic_tasks WHERE name = %(name)s)), 0)::float8;

-- name: lock
-- Try to become the one who runs the task; held until unlocked, or until the connection ends.
SELECT pg_try_advisory_lock(hashtextextended('mediaplane periodic ' || current_schema() || ' ' || %(name)s, 0));

-- name: unlock
-- Let others run the task.
SELECT pg_advisory_unlock(hashtextextended('mediaplane periodic ' || current_schema() || ' ' || %(name)s, 0));

-- name: take_turn
-- Note that the task begins if it is due; no row: it is not, or another has just begun it.
INSERT INTO periodic_tasks AS t (name, last_started_at) VALUES (%(name)s, now())
ON CONFLICT (name) DO UPDATE SET last_started_at = now() WHERE t.last_started_at + %(interval)s <= now()
RETURNING true;

-- name: begin
-- Note that the task begins.
INSERT INTO periodic_tasks (name, last_started_at) VALUES (%(name)s, now())
ON CONFLICT (name) DO UPDATE SET last_started_at = now();

-- name: end
-- Note that the task has ended, with the error's kind if it failed.
UPDATE periodic_tasks SET last_ended_at = now(), last_error = %(error)s WHERE name = %(name)s;

-- name: prune_queue_log
-- Remove old lines of the queue's log.
DELETE FROM pgqueuer_log WHERE created < now() - %(age)s;
