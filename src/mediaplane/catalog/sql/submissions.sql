-- name: open
-- Begin a submission.
INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, asset_id)
VALUES (%(submission_id)s, %(task_id)s, %(owner)s, %(team)s, %(task_owner)s, %(tiers)s, %(asset_id)s)
RETURNING *;

-- name: open_again
-- Begin the next round of a submission that needs changes.
UPDATE submissions SET state = 'open', round = round + 1, asset_id = %(asset_id)s, tiers = %(tiers)s, tier = 1,
    reason_codes = '{}', note = ''
WHERE submission_id = %(submission_id)s AND state = 'needs_changes'
RETURNING *;

-- name: link_upload
-- Say for which submission an upload is.
UPDATE uploads SET submission_id = %(submission_id)s WHERE upload_id = %(upload_id)s RETURNING *;

-- name: follow_asset
-- Take the submissions of an asset as far as it has come.
SELECT follow_asset(%(asset_id)s);

-- name: has_bytes
-- Whether the bytes of an asset were sent in for the task before, in another submission.
SELECT EXISTS (SELECT FROM submissions WHERE task_id = %(task_id)s AND asset_id = %(asset_id)s AND state <> 'rejected'
               AND submission_id IS DISTINCT FROM %(submission_id)s);

-- name: get
-- One submission, of an owner, or approved for who asked for it.
SELECT s.* FROM submissions s
WHERE submission_id = %(submission_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s OR (task_owner = %(owner)s AND state = 'approved'))
  AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: lock
-- One submission of a team, locked until the transaction ends.
SELECT s.* FROM submissions s
WHERE submission_id = %(submission_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
FOR UPDATE;

-- name: page
-- Submissions of an owner (and those approved that the owner asked for) or a team, newest first, behind the given place.
SELECT s.* FROM submissions s
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s OR (task_owner = %(owner)s AND state = 'approved'))
  AND (%(team)s::text IS NULL OR team = %(team)s)
  AND (%(task_id)s::text IS NULL OR task_id = %(task_id)s) AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(before)s::timestamptz IS NULL OR (created_at, submission_id) < (%(before)s, %(before_id)s COLLATE "C"))
ORDER BY created_at DESC, submission_id DESC LIMIT %(limit)s;

-- name: steps
-- What became of a submission, oldest first.
SELECT step_id, at, from_state, to_state, round, tier, subject, role, reason_codes, note
FROM submission_steps WHERE submission_id = %(submission_id)s ORDER BY step_id;

-- name: task_of
-- The task that a submission is for.
SELECT t.* FROM submissions s JOIN tasks t USING (task_id) WHERE s.submission_id = %(submission_id)s;

-- name: approved
-- What datasets may take, in the order of ids: approved, and its media is there and whole.
SELECT s.submission_id, s.task_id, s.owner, s.team, s.task_owner, s.round, s.updated_at AS approved_at, a.asset_id, a.title,
       a.kind, a.digest, a.duration_ms, a.width, a.height, o.store, o.key, o.size_bytes, o.etag, o.content_type
FROM submissions s
JOIN assets a ON a.asset_id = s.asset_id AND a.status = 'ready'
JOIN objects o ON o.asset_id = a.asset_id AND o.role = 'original' AND o.state = 'stored'
WHERE s.state = 'approved' AND s.submission_id > %(after)s
  AND (%(task_id)s::text IS NULL OR s.task_id = %(task_id)s)
  AND (%(task_owner)s::text IS NULL OR s.task_owner = %(task_owner)s) AND (%(team)s::text IS NULL OR s.team = %(team)s)
ORDER BY s.submission_id LIMIT %(limit)s;
