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
