-- name: videos
-- Assets under the name the cortana-vision deployment knew; deleting a row deletes the asset and its bytes.
CREATE OR REPLACE VIEW videos AS
SELECT asset_id AS id, title AS filename, status, duration_ms, width, height, error_message AS error, created_at, updated_at
FROM assets;

-- name: jobs
-- Stage runs under the name the cortana-vision deployment knew.
CREATE OR REPLACE VIEW jobs AS
SELECT run_id AS id, asset_id AS video_id, stage, chunk, state AS status, progress, attempt AS attempts,
       error_message AS error, created_at, started_at, finished_at
FROM stage_runs;

-- name: checkpoint
-- Stage runs as the mpr deployment knew them: how far the work on a recording is, and from where it goes on.
CREATE OR REPLACE VIEW checkpoint AS
SELECT r.run_id AS id, r.asset_id, o.key AS video_key, r.stage, r.chunk, r.state AS status, r.progress,
       r.attempt AS attempts, r.inputs_digest, r.outputs, r.error_message AS error, r.created_at, r.started_at, r.finished_at,
       r.params ->> 'timeline_id' AS timeline_id,
       (SELECT p.replay_id FROM replays p WHERE p.asset_id = r.asset_id AND p.created_at > r.created_at AND r.state = 'done'
        ORDER BY p.created_at DESC LIMIT 1) AS reused_by
FROM stage_runs r LEFT JOIN objects o ON o.asset_id = r.asset_id AND o.role = 'original';

-- name: stageoutput
-- Objects that stages wrote, as the mpr deployment knew them: keys are relative to the bucket of their store.
CREATE OR REPLACE VIEW stageoutput AS
SELECT r.run_id AS checkpoint_id, r.asset_id, r.stage, r.chunk, o.role AS kind, o.store, o.key, o.size_bytes,
       o.content_type, o.created_at, r.params ->> 'timeline_id' AS timeline_id
FROM objects o JOIN stage_runs r ON r.run_id = o.run_id
WHERE o.state = 'stored';
