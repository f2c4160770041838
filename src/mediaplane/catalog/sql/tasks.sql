-- name: insert
-- Add a task.
INSERT INTO tasks (task_id, owner, team, title, instructions, types, max_bytes, max_submissions, max_per_contributor,
                   review_tiers, deadline)
VALUES (%(task_id)s, %(owner)s, %(team)s, %(title)s, %(instructions)s, %(types)s, %(max_bytes)s, %(max_submissions)s,
        %(max_per_contributor)s, %(review_tiers)s, %(deadline)s)
RETURNING *;

-- name: get
-- One task; a team narrows it, and an owner where it is to be changed.
SELECT * FROM tasks
WHERE task_id = %(task_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: page
-- Tasks of a team, newest first, behind the given place.
SELECT * FROM tasks
WHERE (%(team)s::text IS NULL OR team = %(team)s) AND (%(state)s::text IS NULL OR state = %(state)s)
  AND (%(before)s::timestamptz IS NULL OR (created_at, task_id) < (%(before)s, %(before_id)s COLLATE "C"))
ORDER BY created_at DESC, task_id DESC LIMIT %(limit)s;

-- name: lock_row
-- One task that is to be changed: nobody else changes it meanwhile.
SELECT * FROM tasks
WHERE task_id = %(task_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
FOR UPDATE;

-- name: change
-- Write a task anew.
UPDATE tasks SET title = %(title)s, instructions = %(instructions)s, types = %(types)s, max_bytes = %(max_bytes)s,
    max_submissions = %(max_submissions)s, max_per_contributor = %(max_per_contributor)s,
    review_tiers = %(review_tiers)s, deadline = %(deadline)s, state = %(state)s, updated_at = now()
WHERE task_id = %(task_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
RETURNING *;

-- name: lock
-- Let one transaction at a time decide whether a task takes another submission.
SELECT pg_advisory_xact_lock(hashtextextended('task ' || %(task_id)s, 0));

-- name: count
-- How many submissions count, and how many are of one contributor.
SELECT counted, own FROM count_submissions(%(task_id)s, %(owner)s);
