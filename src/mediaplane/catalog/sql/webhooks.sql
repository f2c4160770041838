-- Webhooks: endpoints, and what each is to be told. Deliveries are queued by the trigger of `events`.

-- name: add
-- Register an endpoint.
INSERT INTO webhook_endpoints (endpoint_id, owner, team, sees_owner, sees_team, url, title, types, secret)
VALUES (%(endpoint_id)s, %(owner)s, %(team)s, %(sees_owner)s, %(sees_team)s, %(url)s, %(title)s, %(types)s, %(secret)s)
RETURNING *;

-- name: count
-- How many endpoints an owner has.
SELECT count(*) FROM webhook_endpoints WHERE owner = %(owner)s;

-- name: page
-- Endpoints of a viewer, oldest first.
SELECT * FROM webhook_endpoints
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
ORDER BY created_at, endpoint_id;

-- name: get
-- One endpoint of a viewer.
SELECT * FROM webhook_endpoints
WHERE endpoint_id = %(endpoint_id)s
  AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s);

-- name: remove
-- Remove an endpoint and what it was still to be told.
WITH gone AS (
    DELETE FROM webhook_endpoints
    WHERE endpoint_id = %(endpoint_id)s
      AND (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
    RETURNING endpoint_id
), dropped AS (
    DELETE FROM webhook_deliveries d USING gone WHERE d.endpoint_id = gone.endpoint_id
)
SELECT endpoint_id FROM gone;

-- name: enable
-- Let an endpoint be told again.
UPDATE webhook_endpoints SET disabled_at = NULL, disabled_reason = NULL WHERE endpoint_id = %(endpoint_id)s RETURNING *;

-- name: disable
-- Tell an endpoint nothing any more; what waits for it is given up.
WITH ended AS (
    UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = %(reason)s
    WHERE endpoint_id = %(endpoint_id)s AND disabled_at IS NULL RETURNING endpoint_id
)
UPDATE webhook_deliveries d SET state = 'failed', last_error = 'the endpoint was disabled: ' || %(reason)s
FROM ended WHERE d.endpoint_id = ended.endpoint_id AND d.state = 'waiting';

-- name: rotate
-- Give an endpoint a new secret; the old one signs beside it for a while.
UPDATE webhook_endpoints SET old_secret = secret, old_until = now() + %(overlap)s, secret = %(secret)s
WHERE endpoint_id = %(endpoint_id)s RETURNING *;

-- name: deliveries
-- What an endpoint was told, newest first, behind the delivery seen last.
SELECT d.delivery_id, d.endpoint_id, d.event_id, e.type, e.asset_id, d.state, d.attempts, d.due_at, d.last_status,
       d.last_error, d.tries, d.delivered_at, d.created_at
FROM webhook_deliveries d LEFT JOIN events e USING (event_id)
WHERE d.endpoint_id = %(endpoint_id)s AND (%(state)s::text IS NULL OR d.state = %(state)s)
  AND (%(before)s::bigint IS NULL OR d.delivery_id < %(before)s)
ORDER BY d.delivery_id DESC LIMIT %(limit)s;

-- name: replay
-- Queue deliveries of an endpoint again: one by id, or those that failed since a moment.
UPDATE webhook_deliveries d SET state = 'waiting', due_at = now(), attempts = 0
FROM events e
WHERE e.event_id = d.event_id AND d.endpoint_id = %(endpoint_id)s
  AND CASE WHEN %(delivery_id)s::bigint IS NOT NULL THEN d.delivery_id = %(delivery_id)s
           ELSE d.state = 'failed' AND d.created_at >= %(since)s END;

-- name: take_due
-- Take deliveries that are due; whoever takes them has so long until others may.
WITH due AS (
    SELECT delivery_id FROM webhook_deliveries WHERE state = 'waiting' AND due_at <= now()
    ORDER BY due_at LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE webhook_deliveries d SET due_at = now() + %(lease)s, attempts = d.attempts + 1
    FROM due WHERE d.delivery_id = due.delivery_id
    RETURNING d.*
)
SELECT t.delivery_id, t.endpoint_id, t.attempts, w.url, w.secret,
       CASE WHEN w.old_until > now() THEN w.old_secret END AS old_secret,
       e.event_id, e.type, e.at, e.owner, e.team, e.asset_id, e.data
FROM taken t LEFT JOIN webhook_endpoints w USING (endpoint_id) LEFT JOIN events e USING (event_id)
ORDER BY t.delivery_id;

-- name: settle
-- Note how an attempt ended: delivered, to be tried again at a time, or given up. The last twenty are kept.
UPDATE webhook_deliveries
SET state = %(state)s, due_at = now() + %(wait)s, last_status = %(status)s, last_error = %(error)s,
    delivered_at = CASE WHEN %(state)s = 'delivered' THEN now() ELSE delivered_at END,
    tries = (CASE WHEN jsonb_array_length(tries) >= 20 THEN tries - 0 ELSE tries END)
            || jsonb_build_array(jsonb_build_object('at', now(), 'status', %(status)s::int, 'error', %(error)s::text,
                                                    'took_ms', %(took_ms)s::int))
WHERE delivery_id = %(delivery_id)s;

-- name: drop
-- Forget a delivery whose endpoint or event is gone.
DELETE FROM webhook_deliveries WHERE delivery_id = %(delivery_id)s;

-- name: has_only_failed
-- Whether the endpoint took nothing for so long, though it was told something.
SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE endpoint_id = %(endpoint_id)s
                   AND delivered_at > now() - %(age)s)
   AND EXISTS (SELECT FROM webhook_deliveries WHERE endpoint_id = %(endpoint_id)s AND state <> 'delivered'
               AND created_at < now() - %(age)s);

-- name: prune
-- Forget old deliveries, and those that nobody is left for.
DELETE FROM webhook_deliveries d
WHERE d.created_at < now() - %(age)s
   OR (d.created_at < now() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM webhook_endpoints w WHERE w.endpoint_id = d.endpoint_id));
