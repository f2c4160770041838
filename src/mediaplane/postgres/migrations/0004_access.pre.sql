-- Who may see which rows, and the record of what was done.
--
-- The gateway works as the role mediaplane_gateway, which row-level security holds to the rows of its viewer:
--     mediaplane.owner, mediaplane.team   whose rows; '*' is everybody's, unset is nobody's
--     mediaplane.asset                    or this one asset, for who holds a playback link
-- Worker, upkeep and command line work as the owner of the tables, whom it does not concern.

CREATE INDEX assets_page_of_team ON assets (team, created_at DESC, asset_id DESC);
CREATE INDEX assets_page_of_all ON assets (created_at DESC, asset_id DESC);
CREATE INDEX segments_by_team ON segments (team, segment_id);

CREATE TABLE api_keys (
    key_id       text COLLATE "C" PRIMARY KEY CHECK (key_id ~ '^[a-z0-9]{12}$'),
    digest       bytea NOT NULL CHECK (octet_length(digest) = 32),     -- SHA-256 of the whole key; the key is kept nowhere
    owner        text COLLATE "C" NOT NULL CHECK (owner NOT IN ('', '*')),
    team         text COLLATE "C" NOT NULL CHECK (team NOT IN ('', '*')),
    role         text NOT NULL CHECK (role IN ('contributor', 'validator', 'company', 'member', 'admin', 'service')),
    scopes       text[] NOT NULL DEFAULT '{}',                         -- empty: all that the role may do
    tier         integer NOT NULL DEFAULT 0 CHECK (tier >= 0),
    title        text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,                                          -- to the minute
    revoked_at   timestamptz
);

-- What was done. Written once; `audit_chain` is added later and in order, so that appending never waits.
CREATE TABLE audit_records (
    record_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject       text NOT NULL,                     -- who: 'key:…', 'jwt:…', 'local', 'db:…'
    subject_owner text,
    subject_team  text,
    role          text,
    action        text NOT NULL CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    kind          text NOT NULL,                     -- what it was done to: asset, clip, key, …
    thing         text NOT NULL,                     -- its id
    owner         text,                              -- whose it is
    team          text,
    until         timestamptz,                       -- when what was given ends
    ip            text,
    user_agent    text,
    request_id    text,
    details       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_records_at ON audit_records USING brin (at);
CREATE TABLE audit_waiting (record_id bigint PRIMARY KEY);
CREATE TABLE audit_chain (
    position  bigint PRIMARY KEY CHECK (position > 0),
    record_id bigint NOT NULL UNIQUE,
    hash      bytea NOT NULL CHECK (octet_length(hash) = 32)  -- of the hash before it and the record
);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_records_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE FUNCTION await_chaining() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_waiting (record_id) SELECT record_id FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_records_waiting AFTER INSERT ON audit_records
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION await_chaining();

-- Who does it: what the gateway said of its request, else who is logged in to the database, e.g. through psql.
CREATE FUNCTION audit_actor(OUT subject text, OUT subject_owner text, OUT subject_team text, OUT role text,
                            OUT ip text, OUT user_agent text, OUT request_id text)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT a ->> 'subject', a ->> 'owner', a ->> 'team', a ->> 'role', a ->> 'ip', a ->> 'user_agent', a ->> 'request_id'
    FROM coalesce(nullif(current_setting('mediaplane.actor', true), '')::jsonb,
                  jsonb_build_object('subject', 'db:' || session_user, 'ip', host(inet_client_addr()),
                                     'user_agent', current_setting('application_name', true))) AS a
$$;

-- Deletions are recorded by the database itself, whoever deletes and with whatever. A row that goes with its asset is
-- told by the asset's record: the asset is not there any more. An object that goes with its clip is deleted by a trigger.
CREATE FUNCTION audit_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, details)
    SELECT a.*, TG_ARGV[0] || '.deleted', TG_ARGV[0], r ->> TG_ARGV[1], r ->> 'owner', r ->> 'team',
           jsonb_strip_nulls(jsonb_build_object('title', r -> 'title', 'status', r -> 'status', 'digest', r -> 'digest',
                                                'asset_id', r -> 'asset_id'))
    FROM gone, to_jsonb(gone) AS r, audit_actor() AS a
    WHERE TG_TABLE_NAME = 'assets' OR EXISTS (SELECT FROM assets s WHERE s.asset_id = gone.asset_id);
    RETURN NULL;
END $$;
CREATE TRIGGER assets_audit_deletion AFTER DELETE ON assets
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit_deletion('asset', 'asset_id');
CREATE TRIGGER clips_audit_deletion AFTER DELETE ON clips
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit_deletion('clip', 'clip_id');

-- Objects deleted by themselves: one record for each asset, a chunk made anew drops hundreds of them at once.
CREATE FUNCTION audit_objects_deletion() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, details)
    SELECT a.*, 'objects.deleted', 'asset', g.asset_id, g.owner, g.team,
           jsonb_build_object('objects', g.objects, 'size_bytes', g.size_bytes, 'first', g.first)
    FROM audit_actor() AS a, (SELECT asset_id, min(owner) AS owner, min(team) AS team, count(*) AS objects,
                                     sum(size_bytes) AS size_bytes, min(store || ':' || key) AS first
                              FROM gone GROUP BY asset_id) AS g
    WHERE EXISTS (SELECT FROM assets s WHERE s.asset_id = g.asset_id);
    RETURN NULL;
END $$;
CREATE TRIGGER objects_audit_deletion AFTER DELETE ON objects
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION audit_objects_deletion();

-- Keys, too: made, revoked or changed by whatever.
CREATE FUNCTION audit_key() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    k api_keys := coalesce(NEW, OLD);
    done text := CASE WHEN TG_OP = 'INSERT' THEN 'key.created' WHEN TG_OP = 'DELETE' THEN 'key.deleted'
                      WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL THEN 'key.revoked' ELSE 'key.changed' END;
BEGIN
    INSERT INTO audit_records (subject, subject_owner, subject_team, role, ip, user_agent, request_id,
                               action, kind, thing, owner, team, until, details)
    SELECT a.*, done, 'key', k.key_id, k.owner, k.team, k.expires_at,
           jsonb_build_object('role', k.role, 'scopes', k.scopes, 'tier', k.tier, 'title', k.title)
    FROM audit_actor() AS a;
    RETURN NULL;
END $$;
CREATE TRIGGER api_keys_audit AFTER INSERT OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION audit_key();
CREATE TRIGGER api_keys_audit_change AFTER UPDATE ON api_keys FOR EACH ROW
    WHEN ((OLD.digest, OLD.owner, OLD.team, OLD.role, OLD.scopes, OLD.tier, OLD.expires_at, OLD.revoked_at)
          IS DISTINCT FROM (NEW.digest, NEW.owner, NEW.team, NEW.role, NEW.scopes, NEW.tier, NEW.expires_at, NEW.revoked_at))
    EXECUTE FUNCTION audit_key();
CREATE TRIGGER api_keys_no_truncate BEFORE TRUNCATE ON api_keys EXECUTE FUNCTION refuse_audit_change();

-- What deletions do elsewhere is not the viewer's business: a key on the outbox may be another owner's by now.
ALTER FUNCTION put_on_outbox() SECURITY DEFINER;
ALTER FUNCTION take_off_outbox() SECURITY DEFINER;
ALTER FUNCTION delete_clip_object() SECURITY DEFINER;

-- Text is found through views. Under row-level security the planner may not use the index of an operator that is not
-- leakproof (@@, LIKE) before the policy has been asked of every row; a view narrows all the same and lets it.
-- Whoever is not the gateway sees everything, as in the tables.
CREATE VIEW segments_in_sight AS
    SELECT s.segment_id, s.asset_id, s.owner, s.team, s.source, s.chunk, s.t_start_ms, s.t_end_ms, s.text, s.lexemes,
           s.box, s.confidence, s.language, s.frame_ms
    FROM segments s
    WHERE (SELECT current_user <> 'mediaplane_gateway')
       OR ((SELECT current_setting('mediaplane.owner', true)) IN ('*', s.owner)
           AND (SELECT current_setting('mediaplane.team', true)) IN ('*', s.team));
CREATE VIEW entities_in_sight AS
    SELECT e.entity_id, e.segment_id, e.asset_id, e.owner, e.team, e.kind, e.value, e.text
    FROM entities e
    WHERE (SELECT current_user <> 'mediaplane_gateway')
       OR ((SELECT current_setting('mediaplane.owner', true)) IN ('*', e.owner)
           AND (SELECT current_setting('mediaplane.team', true)) IN ('*', e.team));

-- Sees to it that the gateway's role exists, that we may take it, that every table with an owner is narrowed for it and
-- that it may touch what it needs. Runs after every migration, so that new tables need no word of it. Returns what is
-- missing, in a sentence; null where all is well.
CREATE FUNCTION admit_gateway() RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    schema_name text := current_schema();
    t record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('mediaplane admit gateway ' || schema_name, 0));
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mediaplane_gateway') THEN
        BEGIN
            CREATE ROLE mediaplane_gateway NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;  -- another database of the server was just as quick
            WHEN insufficient_privilege THEN
                RETURN format('the database user %s may not create the role mediaplane_gateway: have an administrator run '
                              'CREATE ROLE mediaplane_gateway NOLOGIN; GRANT mediaplane_gateway TO %1$I;', current_user);
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mediaplane_gateway' AND (rolsuper OR rolbypassrls)) THEN
        RETURN 'the role mediaplane_gateway has SUPERUSER or BYPASSRLS, so nothing narrows it: '
               'ALTER ROLE mediaplane_gateway NOSUPERUSER NOBYPASSRLS;';
    END IF;
    IF NOT pg_has_role(current_user, 'mediaplane_gateway',
                       CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        BEGIN
            EXECUTE format('GRANT mediaplane_gateway TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RETURN format('the database user %s may not take the role mediaplane_gateway: have an administrator run '
                          'GRANT mediaplane_gateway TO %1$I;', current_user);
        END;
    END IF;
    FOR t IN
        SELECT c.oid, c.relname, c.relrowsecurity AS narrowed,
               array_agg(a.attname) @> '{owner,team}' AS has_owner, array_agg(a.attname) @> '{asset_id}' AS has_asset
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = schema_name::regnamespace AND c.relkind IN ('r', 'p')
          AND pg_has_role(c.relowner, 'USAGE')
          AND c.relname <> ALL ('{migrations,api_keys,audit_records,audit_waiting,audit_chain}')
        GROUP BY c.oid
    LOOP
        IF NOT t.narrowed AND (t.has_owner OR t.has_asset) THEN
            EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t.relname);
            EXECUTE format('CREATE POLICY in_sight ON %I USING (%s%s)', t.relname,
                CASE WHEN t.has_asset THEN 'asset_id = (SELECT current_setting(''mediaplane.asset'', true)) OR ' END,
                CASE WHEN t.has_owner THEN '(SELECT current_setting(''mediaplane.owner'', true)) IN (''*'', owner) '
                                           'AND (SELECT current_setting(''mediaplane.team'', true)) IN (''*'', team)'
                     ELSE format('EXISTS (SELECT FROM assets a WHERE a.asset_id = %I.asset_id)', t.relname) END);
        END IF;
        IF NOT has_table_privilege('mediaplane_gateway', t.oid, 'SELECT') THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO mediaplane_gateway', t.relname);
        END IF;
    END LOOP;
    FOR t IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = schema_name::regnamespace AND pg_has_role(c.relowner, 'USAGE')
          AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege('mediaplane_gateway', c.oid, 'USAGE') END
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %I TO mediaplane_gateway', t.relname);
    END LOOP;
    IF NOT has_schema_privilege('mediaplane_gateway', schema_name, 'USAGE')
       OR NOT has_table_privilege('mediaplane_gateway', 'entities_in_sight', 'SELECT') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO mediaplane_gateway', schema_name);
        GRANT INSERT ON audit_records TO mediaplane_gateway;  -- it may add to the record, and not read it
        GRANT SELECT ON segments_in_sight, entities_in_sight TO mediaplane_gateway;
    END IF;
    RETURN NULL;
END $$;

-- A word's deletions have no team of their own: whoever sees the word sees them.
ALTER TABLE lexicon_deletions ENABLE ROW LEVEL SECURITY;
CREATE POLICY in_sight ON lexicon_deletions USING (
    owner = (SELECT current_setting('mediaplane.owner', true))
    OR EXISTS (SELECT FROM lexicon l WHERE l.owner = lexicon_deletions.owner AND l.word = lexicon_deletions.word));
