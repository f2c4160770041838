-- name: lock_account
-- Let one transaction at a time take something new for an account. The last of all locks: behind it nothing is waited for.
SELECT pg_advisory_xact_lock(hashtextextended(length(%(owner)s)::text || ' usage ' || %(owner)s || ' ' || %(team)s, 0));

-- name: of_account
-- What an account uses by resource; of what is counted by month, in this one.
SELECT resource, sum(amount)::bigint FROM (
    SELECT resource, period, amount FROM usage_counters WHERE owner = %(owner)s AND team = %(team)s
    UNION ALL SELECT resource, period, amount FROM usage_ledger WHERE owner = %(owner)s AND team = %(team)s) AS u
WHERE period IN ('', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'))
GROUP BY resource;

-- name: of_accounts
-- What accounts use, one row an account and resource, by their names.
SELECT owner, team, resource, sum(amount)::bigint AS amount FROM (
    SELECT owner, team, resource, period, amount FROM usage_counters
    UNION ALL SELECT owner, team, resource, period, amount FROM usage_ledger) AS u
WHERE period IN ('', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'))
  AND (%(owners)s::text[] IS NULL OR (owner, team) IN (SELECT * FROM unnest(%(owners)s::text[], %(teams)s::text[])))
GROUP BY owner, team, resource ORDER BY owner, team, resource;

-- name: teams
-- The teams in which an owner uses anything.
SELECT DISTINCT team FROM (
    SELECT team FROM usage_counters WHERE owner = %(owner)s
    UNION ALL SELECT team FROM usage_ledger WHERE owner = %(owner)s) AS t ORDER BY team;

-- name: fold
-- Add entries of the ledger up into the counters; the accounts they were of. Readers see either the ones or the others.
WITH taken AS (
    DELETE FROM usage_ledger WHERE entry_id IN (SELECT entry_id FROM usage_ledger ORDER BY entry_id LIMIT %(limit)s)
    RETURNING owner, team, resource, period, amount
), added AS (
    INSERT INTO usage_counters AS c (owner, team, resource, period, amount)
    SELECT owner, team, resource, period, sum(amount) FROM taken GROUP BY owner, team, resource, period
    ORDER BY owner, team, resource, period
    ON CONFLICT (owner, team, resource, period) DO UPDATE SET amount = c.amount + excluded.amount
)
SELECT owner, team, count(*)::bigint AS entries FROM taken GROUP BY owner, team ORDER BY owner, team;

-- name: differences
-- Where counters and ledger are not what a recount gives; one moment for both.
SELECT owner, team, resource, period, coalesce(k.amount, 0) AS counted, coalesce(r.amount, 0) AS recounted
FROM (SELECT owner, team, resource, period, sum(amount)::bigint AS amount FROM (
          SELECT owner, team, resource, period, amount FROM usage_counters
          UNION ALL SELECT owner, team, resource, period, amount FROM usage_ledger) AS u
      GROUP BY owner, team, resource, period) AS k
FULL JOIN usage_recounted AS r USING (owner, team, resource, period)
WHERE coalesce(k.amount, 0) <> coalesce(r.amount, 0)
ORDER BY owner, team, resource, period;

-- name: repair
-- Add to the ledger what a recount gives more, or less.
INSERT INTO usage_ledger (owner, team, resource, period, amount)
SELECT owner, team, resource, period, coalesce(r.amount, 0) - coalesce(k.amount, 0)
FROM (SELECT owner, team, resource, period, sum(amount)::bigint AS amount FROM (
          SELECT owner, team, resource, period, amount FROM usage_counters
          UNION ALL SELECT owner, team, resource, period, amount FROM usage_ledger) AS u
      GROUP BY owner, team, resource, period) AS k
FULL JOIN usage_recounted AS r USING (owner, team, resource, period)
WHERE coalesce(k.amount, 0) <> coalesce(r.amount, 0);

-- name: take_on
-- Note that an asset's media is processed this month; nothing happens where it was noted before.
INSERT INTO processed_media (asset_id, digest, owner, team, duration_ms)
VALUES (%(asset_id)s, %(digest)s, %(owner)s, %(team)s, %(duration_ms)s)
ON CONFLICT (asset_id, digest) DO NOTHING RETURNING asset_id;

-- name: is_taken_on
-- Whether an asset's media was noted.
SELECT EXISTS (SELECT FROM processed_media WHERE asset_id = %(asset_id)s AND digest = %(digest)s);

-- name: measure
-- How long media is whose length no header told.
UPDATE processed_media p SET duration_ms = a.duration_ms FROM assets a
WHERE a.asset_id = %(asset_id)s AND p.asset_id = a.asset_id AND p.digest = coalesce(a.digest, '')
  AND p.duration_ms = 0 AND a.duration_ms > 0;

-- name: held_accounts
-- Accounts with assets that were not processed for want of quota.
SELECT DISTINCT owner, team FROM assets WHERE error_code = 'quota_exceeded' AND status = 'failed' AND probe IS NOT NULL
ORDER BY owner, team;

-- name: held_assets
-- An account's assets that were not processed and may fit now, the oldest first.
SELECT asset_id, coalesce(duration_ms, 0) AS duration_ms FROM assets
WHERE owner = %(owner)s AND team = %(team)s AND error_code = 'quota_exceeded' AND status = 'failed' AND probe IS NOT NULL
  AND (%(most_ms)s::bigint IS NULL OR coalesce(duration_ms, 0) <= %(most_ms)s)
ORDER BY created_at, asset_id LIMIT %(limit)s;

-- name: reach
-- Note that a share of a limit was reached, and tell it, unless that was done before.
WITH noted AS (
    INSERT INTO usage_notices (owner, team, resource, period, percent)
    VALUES (%(owner)s, %(team)s, %(resource)s, %(period)s, %(percent)s)
    ON CONFLICT (owner, team, resource, period, percent) DO NOTHING RETURNING owner, team
)
INSERT INTO events (type, owner, team, asset_id, data) SELECT %(type)s, owner, team, '', %(data)s FROM noted;

-- name: fall_below
-- A share is not reached any more: the next time is told again.
DELETE FROM usage_notices WHERE owner = %(owner)s AND team = %(team)s AND resource = %(resource)s AND percent >= %(percent)s;

-- name: noticed
-- Which shares were told of some accounts.
SELECT owner, team, resource, period, percent FROM usage_notices
WHERE (owner, team) IN (SELECT * FROM unnest(%(owners)s::text[], %(teams)s::text[]));
