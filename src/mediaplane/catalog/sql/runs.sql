-- Stage runs. Lock order, everywhere: the asset's row first, then its runs. Statements that lock several runs
-- without their assets skip locked rows, so they never wait while they hold something. Times are the database's.
-- `{columns}` are the fields of StageRun, from the alias `r`.

-- name: insert_missing
-- Add runs, except where one is active or the latest is done with the same inputs.
WITH asked AS (
    SELECT * FROM jsonb_to_recordset(%(asked)s) AS asked (
        run_id text COLLATE "C", asset_id text COLLATE "C", owner text COLLATE "C", team text COLLATE "C", stage text,
        chunk integer, subject text COLLATE "C", params jsonb, inputs_digest text COLLATE "C", priority integer,
        wait interval, place integer)
), latest AS (
    SELECT DISTINCT ON (asset_id, stage, chunk, subject)
           asset_id, stage, coalesce(chunk, -1) AS chunk, subject, state, inputs_digest
    FROM stage_runs WHERE asset_id IN (SELECT asset_id FROM asked)
    ORDER BY asset_id, stage, chunk, subject, created_at DESC
)
INSERT INTO stage_runs AS r (run_id, asset_id, owner, team, stage, chunk, subject, params, inputs_digest, priority,
                             run_after, created_at)
SELECT run_id, asset_id, owner, team, stage, chunk, subject, params, inputs_digest, priority,
       now() + wait, clock_timestamp()
FROM asked
WHERE NOT EXISTS (
    SELECT FROM latest
    WHERE latest.asset_id = asked.asset_id AND latest.stage = asked.stage AND latest.subject = asked.subject
      AND latest.chunk = coalesce(asked.chunk, -1)
      AND latest.state = 'done' AND latest.inputs_digest = asked.inputs_digest)
ORDER BY place
ON CONFLICT (asset_id, stage, chunk, subject) WHERE state IN ('queued', 'running') DO NOTHING
RETURNING {columns};

-- name: latest_of_assets
-- The latest run of each stage, chunk and subject of some assets.
SELECT DISTINCT ON (r.asset_id, r.stage, r.chunk, r.subject) {columns}
FROM stage_runs r WHERE r.asset_id = ANY(%(asset_ids)s)
ORDER BY r.asset_id, r.stage, r.chunk, r.subject, r.created_at DESC;

-- name: get
-- One run by id.
SELECT {columns} FROM stage_runs r WHERE r.run_id = %(run_id)s;

-- name: cancel
-- End an asset's active runs as cancelled.
UPDATE stage_runs SET state = 'cancelled', finished_at = now(), lease_until = NULL
WHERE asset_id = %(asset_id)s AND state IN ('queued', 'running');

-- name: cancel_runs
-- End some active runs as cancelled.
UPDATE stage_runs SET state = 'cancelled', finished_at = now(), lease_until = NULL
WHERE run_id = ANY(%(run_ids)s) AND state IN ('queued', 'running');

-- name: claim
-- Begin runs that are due, or whose worker has gone silent; a run locked by someone else is not ours to begin.
WITH free AS (
    SELECT run_id FROM stage_runs
    WHERE run_id = ANY(%(run_ids)s)
      AND ((state = 'queued' AND run_after <= now()) OR (state = 'running' AND lease_until < now()))
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE stage_runs AS r
SET state = 'running', token = gen_random_uuid(), worker = %(worker)s, attempt = r.attempt + 1, progress = 0,
    lease_until = now() + %(lease)s, started_at = now(), finished_at = NULL
FROM free WHERE r.run_id = free.run_id
RETURNING {columns};

-- name: keep
-- Extend leases and note progress; the runs that are still the holder's, and whether each was extended.
WITH asked AS (
    SELECT * FROM unnest(%(run_ids)s::text[], %(tokens)s::uuid[], %(fractions)s::real[])
        AS asked (run_id, token, fraction)
), free AS (
    SELECT r.run_id FROM stage_runs r JOIN asked ON r.run_id = asked.run_id AND r.token = asked.token
    WHERE r.state = 'running'
    FOR NO KEY UPDATE OF r SKIP LOCKED
), kept AS (
    UPDATE stage_runs r SET lease_until = now() + %(lease)s, progress = asked.fraction
    FROM asked JOIN free USING (run_id) WHERE r.run_id = asked.run_id
    RETURNING r.run_id
)
SELECT r.run_id, kept.run_id IS NOT NULL AS extended
FROM asked JOIN stage_runs r ON r.run_id = asked.run_id AND r.token = asked.token
LEFT JOIN kept ON kept.run_id = r.run_id
WHERE r.state = 'running';

-- name: mark_done
-- The fence and the end of a run in one: lock the asset, then mark the run done if the token still holds it.
WITH asset AS MATERIALIZED (SELECT asset_id FROM assets WHERE asset_id = %(asset_id)s FOR UPDATE)
UPDATE stage_runs AS r
SET state = 'done', outputs = %(outputs)s, progress = 1, finished_at = now(), lease_until = NULL,
    error_code = NULL, error_message = NULL
FROM asset
WHERE r.asset_id = asset.asset_id AND r.run_id = %(run_id)s AND r.token = %(token)s AND r.state = 'running'
RETURNING {columns};

-- name: mark_failed
-- End a run for good, in the same order of locks; `token` null: whoever held it has gone silent.
WITH asset AS MATERIALIZED (SELECT asset_id FROM assets WHERE asset_id = %(asset_id)s FOR UPDATE)
UPDATE stage_runs AS r
SET state = 'failed', finished_at = now(), lease_until = NULL,
    error_code = %(error_code)s, error_message = %(error_message)s
FROM asset
WHERE r.asset_id = asset.asset_id AND r.run_id = %(run_id)s AND r.state = 'running'
  AND (r.token = %(token)s OR (%(token)s::uuid IS NULL AND r.lease_until < now()))
RETURNING {columns};

-- name: put_back
-- Queue a running run again, to begin after `wait`; `attempts` is how many of its attempts stay counted.
WITH asset AS MATERIALIZED (SELECT asset_id FROM assets WHERE asset_id = %(asset_id)s FOR UPDATE)
UPDATE stage_runs AS r
SET state = 'queued', token = NULL, worker = NULL, lease_until = NULL, progress = 0, attempt = %(attempts)s,
    run_after = now() + %(wait)s,
    error_code = coalesce(%(error_code)s, r.error_code), error_message = coalesce(%(error_message)s, r.error_message)
FROM asset
WHERE r.asset_id = asset.asset_id AND r.run_id = %(run_id)s AND r.token = %(token)s AND r.state = 'running'
RETURNING {columns};

-- name: put_back_expired
-- Queue runs again whose worker has gone silent, as long as they have attempts left.
WITH expired AS (
    SELECT run_id FROM stage_runs
    WHERE state = 'running' AND lease_until < now() AND attempt < %(most_attempts)s
    ORDER BY lease_until LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE stage_runs AS r
SET state = 'queued', token = NULL, worker = NULL, lease_until = NULL, progress = 0, run_after = now(),
    error_code = %(error_code)s, error_message = %(error_message)s
FROM expired WHERE r.run_id = expired.run_id
RETURNING {columns};

-- name: hopeless
-- Runs whose worker has gone silent at the last attempt.
SELECT {columns} FROM stage_runs r
WHERE r.state = 'running' AND r.lease_until < now() AND r.attempt >= %(most_attempts)s
ORDER BY r.lease_until LIMIT %(limit)s;

-- name: forgotten
-- Runs that should have begun a while ago and for which the queue has no message.
SELECT {columns} FROM stage_runs r
WHERE r.state = 'queued' AND r.run_after < now() - %(late)s
  AND NOT EXISTS (SELECT FROM pgqueuer q
                  WHERE q.dedupe_key = r.run_id AND q.dedupe_key IS NOT NULL AND q.status IN ('queued', 'picked'))
ORDER BY r.priority DESC, r.created_at LIMIT %(limit)s;

-- name: insert_done
-- Note a run whose work was done together with another's, which its worker still holds.
INSERT INTO stage_runs (run_id, asset_id, owner, team, stage, chunk, params, inputs_digest, state, outputs, progress,
                        attempt, worker, created_at, started_at, finished_at)
SELECT %(run_id)s, host.asset_id, host.owner, host.team, %(stage)s, host.chunk, %(params)s, %(inputs_digest)s, 'done',
       %(outputs)s, 1, host.attempt, host.worker, clock_timestamp(), host.started_at, now()
FROM stage_runs host WHERE host.run_id = %(host)s;
