-- name: held
-- What a validator has on the desk, of one task or of all.
SELECT * FROM submissions
WHERE holder = %(holder)s AND lease_until > clock_timestamp() AND (%(team)s::text IS NULL OR team = %(team)s)
  AND (%(task_id)s::text IS NULL OR task_id = %(task_id)s)
ORDER BY waiting_since, submission_id;

-- name: take
-- Put the next submission on a validator's desk: the highest tier first, in it the one that has waited longest. Nobody
-- gets what he sent in himself, nor what he has approved in another tier, unless he is alone here.
UPDATE submissions SET holder = %(holder)s, lease_until = clock_timestamp() + %(lease)s
WHERE submission_id = (
    SELECT s.submission_id FROM submissions s
    WHERE s.state = 'in_review' AND s.tier <= %(tier)s AND (s.holder IS NULL OR s.lease_until <= clock_timestamp())
      AND (%(team)s::text IS NULL OR s.team = %(team)s) AND (%(owner)s::text IS NULL OR s.owner = %(owner)s)
      AND (%(task_id)s::text IS NULL OR s.task_id = %(task_id)s)
      AND (%(submission_id)s::text IS NULL OR s.submission_id = %(submission_id)s)
      AND (%(alone)s OR (s.owner <> %(holder)s AND NOT EXISTS (
          SELECT FROM review_decisions d
          WHERE d.submission_id = s.submission_id AND d.round = s.round AND d.validator = %(holder)s)))
    ORDER BY s.tier DESC, s.waiting_since, s.submission_id
    LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: lock_desk
-- Let one transaction at a time put something on a validator's desk.
SELECT pg_advisory_xact_lock(hashtextextended('desk ' || %(holder)s, 0));

-- name: is_held
-- Whether a submission lies on a validator's desk.
SELECT EXISTS (SELECT FROM submissions
               WHERE submission_id = %(submission_id)s AND holder = %(holder)s AND lease_until > clock_timestamp());

-- name: renew
-- Keep it on the desk, as long as it is there.
UPDATE submissions SET lease_until = greatest(lease_until, clock_timestamp() + %(lease)s)
WHERE submission_id = %(submission_id)s AND holder = %(holder)s AND lease_until > clock_timestamp()
RETURNING *;

-- name: release
-- Take it off the desk.
UPDATE submissions SET holder = NULL, lease_until = NULL
WHERE submission_id = %(submission_id)s AND holder = %(holder)s AND lease_until > clock_timestamp()
RETURNING *;

-- name: decide
-- Decide on what is asked now; the submission follows by itself.
INSERT INTO review_decisions (submission_id, owner, team, round, tier, verdict, reason_codes, note, validator, subject)
VALUES (%(submission_id)s, %(owner)s, %(team)s, %(round)s, %(tier)s, %(verdict)s, %(reason_codes)s, %(note)s, %(validator)s,
        %(subject)s);

-- name: decisions
-- What was decided on a submission, oldest first.
SELECT round, tier, verdict, reason_codes, note, validator, subject, at FROM review_decisions
WHERE submission_id = %(submission_id)s ORDER BY decision_id;

-- name: waiting
-- How many submissions wait for a validator of a tier.
SELECT count(*) FROM submissions
WHERE state = 'in_review' AND tier <= %(tier)s AND (holder IS NULL OR lease_until <= clock_timestamp())
  AND (%(team)s::text IS NULL OR team = %(team)s) AND (%(owner)s::text IS NULL OR owner = %(owner)s);

-- name: add_link
-- Add a review link.
INSERT INTO review_links (link_id, submission_id, owner, team, validator, may_decide, round, tier, title, expires_at)
VALUES (%(link_id)s, %(submission_id)s, %(owner)s, %(team)s, %(validator)s, %(may_decide)s, %(round)s, %(tier)s, %(title)s,
        %(expires_at)s)
RETURNING *;

-- name: links
-- The links of a submission, oldest first.
SELECT * FROM review_links WHERE submission_id = %(submission_id)s ORDER BY created_at, link_id;

-- name: link
-- One link.
SELECT * FROM review_links WHERE link_id = %(link_id)s;

-- name: revoke_link
-- End a link of a submission.
UPDATE review_links SET revoked_at = coalesce(revoked_at, now())
WHERE link_id = %(link_id)s AND submission_id = %(submission_id)s RETURNING *;

-- name: shorten_lease
-- A desk that a link kept occupied is kept for an ordinary lease only.
UPDATE submissions SET lease_until = least(lease_until, clock_timestamp() + %(lease)s)
WHERE submission_id = %(submission_id)s AND holder = %(holder)s;
