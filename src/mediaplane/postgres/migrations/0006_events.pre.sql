-- What happens to assets, runs, uploads and clips, told as it happens: live streams and webhooks read it here.
--
-- Triggers write one row an event in the transaction of what it tells, so it is told exactly if it is true. The
-- notification only wakes readers: it carries nothing. Ids may become visible out of order, for transactions end out
-- of order; readers know (catalog/events.py).

CREATE TABLE events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    type     text COLLATE "C" NOT NULL CHECK (type ~ '^[a-z_]+\.[a-z_]+$'),
    owner    text COLLATE "C" NOT NULL,
    team     text COLLATE "C" NOT NULL,
    asset_id text COLLATE "C" NOT NULL,  -- no foreign key: what is told outlives what it is about
    data     jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_by_asset ON events (asset_id, event_id);
CREATE INDEX events_by_owner ON events (owner, event_id);
CREATE INDEX events_age ON events USING brin (at);

CREATE TABLE webhook_endpoints (
    endpoint_id     text COLLATE "C" PRIMARY KEY,
    owner           text COLLATE "C" NOT NULL,
    team            text COLLATE "C" NOT NULL,
    sees_owner      text COLLATE "C",            -- whose events it gets, null: everybody's; as its maker was allowed
    sees_team       text COLLATE "C",
    url             text NOT NULL,
    title           text NOT NULL DEFAULT '',
    types           text[] NOT NULL DEFAULT '{}', -- empty: all but the steps of stages
    secret          bytea NOT NULL CHECK (octet_length(secret) BETWEEN 24 AND 64),
    old_secret      bytea,                        -- signs beside the new one until `old_until`
    old_until       timestamptz,
    disabled_at     timestamptz,
    disabled_reason text,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_endpoints_by_owner ON webhook_endpoints (owner, created_at);

-- No foreign keys: an endpoint removed at the same moment must not undo the work whose event it would have got.
CREATE TABLE webhook_deliveries (
    delivery_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id  text COLLATE "C" NOT NULL,
    event_id     bigint NOT NULL,
    owner        text COLLATE "C" NOT NULL,
    team         text COLLATE "C" NOT NULL,
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts     integer NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    last_status  integer,
    last_error   text,
    tries        jsonb NOT NULL DEFAULT '[]',    -- each attempt: when, status or error, how long it took
    delivered_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_page ON webhook_deliveries (endpoint_id, delivery_id DESC);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries USING brin (created_at);

-- Queues what webhooks get, and wakes who listens. PostgreSQL lets transactions that notify commit only one after the
-- other; so at any moment one of them does it for all, and readers look again a little later for the rest.
CREATE FUNCTION tell_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM webhook_endpoints WHERE disabled_at IS NULL) THEN
        INSERT INTO webhook_deliveries (endpoint_id, event_id, owner, team)
        SELECT w.endpoint_id, e.event_id, w.owner, w.team
        FROM added e JOIN webhook_endpoints w
          ON (w.sees_owner IS NULL OR w.sees_owner = e.owner) AND (w.sees_team IS NULL OR w.sees_team = e.team)
         AND CASE WHEN w.types = '{}' THEN e.type NOT LIKE 'stage.%' ELSE e.type = ANY (w.types) END
        WHERE w.disabled_at IS NULL
        ORDER BY e.event_id;
    END IF;
    IF pg_try_advisory_xact_lock(hashtextextended('mediaplane events ' || current_schema(), 0)) THEN
        PERFORM pg_notify('mediaplane_events', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER events_told AFTER INSERT ON events
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tell_events();

CREATE FUNCTION asset_event_data(a assets) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('status', a.status, 'title', a.title, 'kind', a.kind, 'duration_ms', a.duration_ms,
                              'error_code', a.error_code, 'error_message', a.error_message)
$$;
CREATE FUNCTION asset_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (type, owner, team, asset_id, data)
        SELECT 'asset.created', a.owner, a.team, a.asset_id, asset_event_data(a) FROM changed a;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO events (type, owner, team, asset_id, data)
        SELECT 'asset.deleted', a.owner, a.team, a.asset_id, jsonb_build_object('status', 'deleted', 'title', a.title)
        FROM changed a;
    ELSE
        INSERT INTO events (type, owner, team, asset_id, data)
        VALUES ('asset.' || NEW.status, NEW.owner, NEW.team, NEW.asset_id, asset_event_data(NEW));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER assets_added_event AFTER INSERT ON assets
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION asset_events();
CREATE TRIGGER assets_deleted_event AFTER DELETE ON assets
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION asset_events();
CREATE TRIGGER assets_changed_event AFTER UPDATE OF status ON assets
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION asset_events();

CREATE FUNCTION stage_event_data(r stage_runs) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('stage', r.stage, 'chunk', r.chunk, 'subject', r.subject, 'state', r.state,
                              'progress', round(r.progress::numeric, 3), 'attempt', r.attempt,
                              'seconds', round(extract(epoch FROM r.finished_at - r.started_at), 3),
                              'error_code', r.error_code, 'error_message', r.error_message)
$$;
CREATE FUNCTION stage_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO events (type, owner, team, asset_id, data)
        SELECT 'stage.' || r.state, r.owner, r.team, r.asset_id, stage_event_data(r) FROM changed r;
    ELSE
        INSERT INTO events (type, owner, team, asset_id, data)
        VALUES (CASE WHEN OLD.state = NEW.state THEN 'stage.progress' ELSE 'stage.' || NEW.state END,
                NEW.owner, NEW.team, NEW.asset_id, stage_event_data(NEW));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER stage_runs_added_event AFTER INSERT ON stage_runs
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION stage_events();
-- Progress is told in steps of a twentieth, however often it is noted.
CREATE TRIGGER stage_runs_changed_event AFTER UPDATE OF state, progress ON stage_runs
    FOR EACH ROW WHEN (OLD.state <> NEW.state OR (floor(OLD.progress * 20) < floor(NEW.progress * 20)))
    EXECUTE FUNCTION stage_events();

CREATE FUNCTION upload_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (type, owner, team, asset_id, data)
    VALUES ('upload.' || NEW.state, NEW.owner, NEW.team, NEW.asset_id,
            jsonb_build_object('upload_id', NEW.upload_id, 'state', NEW.state, 'name', NEW.name,
                               'size_bytes', NEW.size_bytes, 'error_code', NEW.error_code,
                               'seconds', round(extract(epoch FROM NEW.completed_at - NEW.created_at), 3)));
    RETURN NULL;
END $$;
CREATE TRIGGER uploads_added_event AFTER INSERT ON uploads FOR EACH ROW EXECUTE FUNCTION upload_events();
CREATE TRIGGER uploads_changed_event AFTER UPDATE OF state ON uploads
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION upload_events();

CREATE FUNCTION clip_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (type, owner, team, asset_id, data)
    VALUES ('clip.' || NEW.status, NEW.owner, NEW.team, NEW.asset_id,
            jsonb_build_object('clip_id', NEW.clip_id, 'status', NEW.status, 'mode', NEW.mode,
                               't_start_ms', NEW.t_start_ms, 't_end_ms', NEW.t_end_ms,
                               'error_code', NEW.error_code, 'error_message', NEW.error_message));
    RETURN NULL;
END $$;
CREATE TRIGGER clips_added_event AFTER INSERT ON clips FOR EACH ROW EXECUTE FUNCTION clip_events();
CREATE TRIGGER clips_changed_event AFTER UPDATE OF status ON clips
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION clip_events();
