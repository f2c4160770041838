-- name: find
-- What an account was given: what names both owner and team, else the owner, else the team.
SELECT owner, team, since, plan, overrides FROM (
    SELECT DISTINCT ON (owner, team) owner, team, since, plan, overrides FROM plan_holders
    WHERE owner IN (%(owner)s, '*') AND team IN (%(team)s, '*') AND since <= now()
    ORDER BY owner, team, since DESC) AS h
WHERE plan IS NOT NULL
ORDER BY owner = '*', team = '*' LIMIT 1;

-- name: page
-- Everything that was given, by owner and team, the newest first; without the past, what holds now and what will.
SELECT owner, team, since, plan, overrides FROM plan_holders h
WHERE (%(owner)s::text IS NULL OR owner = %(owner)s) AND (%(team)s::text IS NULL OR team = %(team)s)
  AND (%(past)s OR since >= (SELECT coalesce(max(since), '-infinity') FROM plan_holders n
                             WHERE n.owner = h.owner AND n.team = h.team AND n.since <= now()))
  AND (%(after_owner)s::text IS NULL
       OR (owner, team) > (%(after_owner)s COLLATE "C", %(after_team)s COLLATE "C")
       OR (owner, team) = (%(after_owner)s, %(after_team)s) AND since < %(after_since)s)
ORDER BY owner, team, since DESC LIMIT %(limit)s;

-- name: put
-- Give a plan from a moment on.
INSERT INTO plan_holders (owner, team, since, plan, overrides)
VALUES (%(owner)s, %(team)s, coalesce(%(since)s, now()), %(plan)s, %(overrides)s)
ON CONFLICT (owner, team, since) DO UPDATE SET plan = excluded.plan, overrides = excluded.overrides, set_at = now()
RETURNING owner, team, since, plan, overrides;

-- name: drop_later
-- What was to be given later is not.
DELETE FROM plan_holders WHERE owner = %(owner)s AND team = %(team)s AND since > %(since)s;

-- name: counts
-- How many hold each plan now.
SELECT plan, count(*) FROM (
    SELECT DISTINCT ON (owner, team) plan FROM plan_holders WHERE since <= now() ORDER BY owner, team, since DESC) AS h
WHERE plan IS NOT NULL GROUP BY plan;
