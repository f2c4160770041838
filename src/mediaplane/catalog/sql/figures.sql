-- Figures for collectors of metrics: what waits, what is stored.

-- name: queue
-- Runs that wait or work, by stage, and how long the oldest that is due has waited.
SELECT stage, state, count(*) AS runs,
       coalesce(extract(epoch FROM now() - min(run_after) FILTER (WHERE run_after <= now())), 0)::float8 AS oldest_seconds
FROM stage_runs WHERE state IN ('queued', 'running') GROUP BY stage, state;

-- name: stored
-- Objects and bytes by store and role.
SELECT store, role, count(*) AS objects, coalesce(sum(size_bytes), 0)::bigint AS size_bytes
FROM objects WHERE state = 'stored' GROUP BY store, role;

-- name: outbox
-- Keys whose bytes are still to be removed, their bytes, and how long the oldest has waited.
SELECT store, count(*) AS keys, coalesce(sum(size_bytes), 0)::bigint AS size_bytes,
       coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM outbox GROUP BY store;

-- name: assets
-- Assets by status.
SELECT status, count(*) AS assets FROM assets GROUP BY status;

-- name: uploads
-- Uploads that are open.
SELECT count(*) AS uploads, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM uploads WHERE state = 'open';

-- name: deliveries
-- Webhook deliveries that wait, and how long the oldest has been due.
SELECT count(*) AS deliveries,
       coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM webhook_deliveries WHERE state = 'waiting';
