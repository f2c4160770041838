-- Plans, and usage counted by rows: whatever changes a row that counts also writes what it changed, in the same
-- transaction, so that a DELETE typed into psql counts too.
--
-- Nobody waits for a counter: triggers add entries to `usage_ledger`, a periodic task sums them up into
-- `usage_counters`, and usage is the sum of both. Only who takes something new locks its account (catalog/usage.py),
-- as the last of all locks.

-- Who has which plan, from when; plans themselves stand in the profile. '*' is everybody: of all teams, or all owners of
-- a team. A row without a plan takes one away. The newest row that has begun counts.
CREATE TABLE plan_holders (
    owner     text COLLATE "C" NOT NULL CHECK (owner <> ''),
    team      text COLLATE "C" NOT NULL CHECK (team <> ''),
    since     timestamptz NOT NULL DEFAULT now(),
    plan      text COLLATE "C",
    overrides jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(overrides) = 'object'), -- limits that differ; null: none
    set_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, team, since),
    CHECK (owner <> '*' OR team <> '*')
);

CREATE TABLE usage_counters (
    owner    text COLLATE "C" NOT NULL,
    team     text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    period   text COLLATE "C" NOT NULL DEFAULT '',   -- '2026-11' of what is counted by month in UTC
    amount   bigint NOT NULL,
    PRIMARY KEY (owner, team, resource, period)
);
CREATE TABLE usage_ledger (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner    text COLLATE "C" NOT NULL,
    team     text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    period   text COLLATE "C" NOT NULL DEFAULT '',
    amount   bigint NOT NULL
);
CREATE INDEX usage_ledger_of ON usage_ledger (owner, team);

-- Media that was processed, by the month in which it was taken on. What was used up is not given back: it outlives the asset.
CREATE TABLE processed_media (
    asset_id    text COLLATE "C" NOT NULL,
    digest      text COLLATE "C" NOT NULL,           -- of the original: other bytes are processed anew
    owner       text COLLATE "C" NOT NULL,
    team        text COLLATE "C" NOT NULL,
    duration_ms bigint NOT NULL CHECK (duration_ms >= 0),
    month       text COLLATE "C" NOT NULL DEFAULT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM'),
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (asset_id, digest)
);
CREATE INDEX processed_media_of ON processed_media (owner, team, month);

-- Which shares of a limit were reached and told: each crossing is one event.
CREATE TABLE usage_notices (
    owner    text COLLATE "C" NOT NULL,
    team     text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    period   text COLLATE "C" NOT NULL DEFAULT '',
    percent  integer NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, team, resource, period, percent)
);

-- The gateway may read what is in sight. It changes none of it but through triggers; plans only for who sees all teams of
-- the owner: operators.
DO $$
DECLARE
    t text;
    owner_in text := '(SELECT current_setting(''mediaplane.owner'', true)) IN (''*'', owner)';
    team_in text := '(SELECT current_setting(''mediaplane.team'', true)) IN (''*'', team)';
BEGIN
    FOREACH t IN ARRAY '{plan_holders,usage_counters,usage_ledger,processed_media,usage_notices}'::text[] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        IF t <> 'plan_holders' THEN
            EXECUTE format('CREATE POLICY in_sight ON %I FOR SELECT USING (%s AND %s)', t, owner_in, team_in);
        END IF;
    END LOOP;
    -- an asset is planned by whoever notices that its bytes have come, which may be the gateway
    EXECUTE format('CREATE POLICY taken_on ON processed_media FOR INSERT WITH CHECK (%s AND %s)', owner_in, team_in);
    EXECUTE format('CREATE POLICY measured ON processed_media FOR UPDATE USING (%s AND %s)', owner_in, team_in);
    EXECUTE format('CREATE POLICY in_sight ON plan_holders FOR SELECT USING ((owner = ''*'' OR %s) AND (team = ''*'' OR %s))',
                   owner_in, team_in);
    EXECUTE format('CREATE POLICY operated ON plan_holders USING (%s AND %s)', owner_in,
                   '(SELECT current_setting(''mediaplane.team'', true)) = ''*''');
END $$;

CREATE FUNCTION audit_plan() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    h plan_holders := coalesce(NEW, OLD);
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, details)
    SELECT a.*, CASE WHEN TG_OP = 'DELETE' THEN 'plan.withdrawn' WHEN h.plan IS NULL THEN 'plan.removed' ELSE 'plan.set' END,
           'plan', coalesce(h.plan, ''), h.owner, h.team, jsonb_build_object('since', h.since, 'overrides', h.overrides)
    FROM audit_actor() AS a;
    RETURN NULL;
END $$;
CREATE TRIGGER plan_holders_audit AFTER INSERT OR UPDATE OR DELETE ON plan_holders FOR EACH ROW EXECUTE FUNCTION audit_plan();
CREATE TRIGGER plan_holders_no_truncate BEFORE TRUNCATE ON plan_holders EXECUTE FUNCTION refuse_audit_change();

-- What an upload may bring is reserved from its first moment until its bytes count themselves.
ALTER TABLE uploads
    ADD COLUMN reserved_bytes bigint CHECK (reserved_bytes >= 0),
    ADD COLUMN urls_live interval NOT NULL DEFAULT interval '1 hour'; -- the URLs that its client was given end within it
UPDATE uploads SET reserved_bytes = CASE WHEN state IN ('open', 'aborted') THEN coalesce(size_bytes, 0) ELSE 0 END;
ALTER TABLE uploads ALTER COLUMN reserved_bytes SET NOT NULL;

-- An upload that ended without an object of its own may have bytes in the store all the same, and a URL that writes more
-- until it ends: that much is held on the outbox until they are removed, and again when the URL has ended. An hour later
-- the key is removed once more, for a slow PUT that was begun in time.
ALTER TABLE outbox
    ADD COLUMN held_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN held_until timestamptz;

CREATE FUNCTION reserve_upload() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.reserved_bytes := CASE WHEN NEW.state IN ('completed', 'refused') THEN 0
                               ELSE coalesce(NEW.reserved_bytes, NEW.size_bytes, 0) END;
    RETURN NEW;
END $$;
CREATE TRIGGER uploads_reserve BEFORE INSERT OR UPDATE OF state ON uploads FOR EACH ROW EXECUTE FUNCTION reserve_upload();

CREATE FUNCTION hold_reserved(u uploads) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO outbox (store, key, asset_id, owner, team, size_bytes, held_bytes, held_until, again_at)
    SELECT u.store, u.key, u.asset_id, u.owner, u.team, 0, u.reserved_bytes, t.ends, t.ends + interval '1 hour'
    FROM (SELECT CASE WHEN u.way IN ('put', 'form') THEN now() + u.urls_live END AS ends) AS t
    ON CONFLICT (store, key) DO UPDATE SET due_at = now(),
        held_bytes = greatest(outbox.held_bytes, excluded.held_bytes),
        held_until = greatest(outbox.held_until, excluded.held_until),
        again_at = greatest(outbox.again_at, excluded.again_at)
$$;
CREATE FUNCTION hold_ended_upload() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM hold_reserved(OLD);
    RETURN NULL;
END $$;
CREATE TRIGGER uploads_hold_deleted AFTER DELETE ON uploads
    FOR EACH ROW WHEN (OLD.reserved_bytes > 0) EXECUTE FUNCTION hold_ended_upload();
CREATE TRIGGER uploads_hold_ended AFTER UPDATE OF state ON uploads
    FOR EACH ROW WHEN (OLD.reserved_bytes > 0 AND (NEW.state = 'refused' OR (NEW.state = 'completed' AND NEW.reused)))
    EXECUTE FUNCTION hold_ended_upload();

CREATE OR REPLACE FUNCTION put_on_outbox() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO outbox (store, key, asset_id, owner, team, size_bytes, again_at)
    SELECT store, key, asset_id, owner, team, size_bytes,
           CASE WHEN state = 'pending' THEN now() + interval '1 hour' END
    FROM gone
    ON CONFLICT (store, key) DO UPDATE SET due_at = now(), size_bytes = excluded.size_bytes,
        again_at = CASE WHEN outbox.held_bytes > 0 THEN greatest(outbox.again_at, excluded.again_at)
                        ELSE excluded.again_at END;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION take_off_outbox() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    still_there bigint;
BEGIN
    DELETE FROM outbox WHERE store = NEW.store AND key = NEW.key RETURNING size_bytes INTO still_there;
    IF still_there > NEW.size_bytes AND NEW.state = 'pending' THEN  -- the old bytes count until new ones replace them
        UPDATE objects SET size_bytes = still_there WHERE store = NEW.store AND key = NEW.key;
    END IF;
    RETURN NULL;
END $$;

-- What rows count as. For each table a trigger that writes one entry a statement for each account and resource that it
-- changed; and a view of everybody's usage counted anew, which counters and ledger must add up to.
DO $$
DECLARE
    t record;
    added text;
    gone text;
    anew text := '';
    entry text := 'INSERT INTO usage_ledger (owner, team, resource, period, amount) '
                  'SELECT owner, team, resource, period, sum(amount) FROM (%s) AS c WHERE owner <> '''' '
                  'GROUP BY owner, team, resource, period HAVING sum(amount) <> 0';
BEGIN
    FOR t IN SELECT * FROM (VALUES
        ('objects', '''''', $q$('objects_bytes', %1$s size_bytes)$q$),
        ('outbox', '''''', $q$('outbox_bytes', %1$s (size_bytes + held_bytes))$q$),
        ('uploads', '''''', $q$('reserved_bytes', %1$s reserved_bytes), ('uploads', %1$s (state = 'open')::integer::bigint)$q$),
        ('clips', '''''', $q$('clips', %1$s (status <> 'failed')::integer::bigint)$q$),
        ('processed_media', 'month', $q$('processed_ms', %1$s duration_ms)$q$)) AS v (name, period, counts)
    LOOP
        added := format('SELECT owner, team, %s AS period, n.* FROM added, LATERAL (VALUES %s) AS n (resource, amount)',
                        t.period, format(t.counts, '+'));
        gone := format('SELECT owner, team, %s AS period, n.* FROM gone, LATERAL (VALUES %s) AS n (resource, amount)',
                       t.period, format(t.counts, '-'));
        anew := concat_ws(' UNION ALL ', nullif(anew, ''), replace(added, 'FROM added', 'FROM ' || t.name));
        EXECUTE format(
            'CREATE FUNCTION %I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$ '
            'BEGIN IF TG_OP = ''INSERT'' THEN %s; ELSIF TG_OP = ''DELETE'' THEN %s; ELSE %s; END IF; RETURN NULL; END $body$',
            'count_' || t.name, format(entry, added), format(entry, gone), format(entry, added || ' UNION ALL ' || gone));
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS added '
                       'FOR EACH STATEMENT EXECUTE FUNCTION %I()', t.name || '_count_added', t.name, 'count_' || t.name);
        EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %I REFERENCING OLD TABLE AS gone NEW TABLE AS added '
                       'FOR EACH STATEMENT EXECUTE FUNCTION %I()', t.name || '_count_changed', t.name, 'count_' || t.name);
        EXECUTE format('CREATE TRIGGER %I AFTER DELETE ON %I REFERENCING OLD TABLE AS gone '
                       'FOR EACH STATEMENT EXECUTE FUNCTION %I()', t.name || '_count_gone', t.name, 'count_' || t.name);
    END LOOP;
    EXECUTE format('CREATE VIEW usage_recounted AS SELECT owner, team, resource, period, sum(amount)::bigint AS amount '
                   'FROM (%s) AS r WHERE owner <> '''' GROUP BY owner, team, resource, period HAVING sum(amount) <> 0', anew);
END $$;
CREATE TRIGGER outbox_no_truncate BEFORE TRUNCATE ON outbox EXECUTE FUNCTION refuse_truncate();

-- What is there already. The triggers above hold the tables still until this transaction ends.
INSERT INTO processed_media (asset_id, digest, owner, team, duration_ms, month, at)
SELECT asset_id, coalesce(digest, ''), owner, team, duration_ms, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM'), created_at
FROM assets WHERE duration_ms IS NOT NULL AND status IN ('processing', 'ready');
DELETE FROM usage_ledger;
INSERT INTO usage_counters (owner, team, resource, period, amount)
SELECT owner, team, resource, period, amount FROM usage_recounted;

CREATE INDEX assets_held_back ON assets (owner, team, created_at) WHERE error_code = 'quota_exceeded';
