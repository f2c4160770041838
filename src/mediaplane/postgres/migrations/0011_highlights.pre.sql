-- Clips have names, styles and thumbnails; purges have receipts.

ALTER TABLE clips
    ADD COLUMN highlight   integer NOT NULL DEFAULT 0 CHECK (highlight >= 0), -- its number in highlights.json; 0: cut by hand
    ADD COLUMN version     integer NOT NULL DEFAULT 1 CHECK (version > 0),    -- counts the clips of one highlight
    ADD COLUMN title       text NOT NULL DEFAULT '',
    ADD COLUMN style       text COLLATE "C" NOT NULL DEFAULT 'original',
    ADD COLUMN thumb_store text COLLATE "C",
    ADD COLUMN thumb_key   text COLLATE "C";

-- The same cut in another style or under another title is another file.
ALTER TABLE clips DROP CONSTRAINT clips_asset_id_mode_t_start_ms_t_end_ms_key;
CREATE UNIQUE INDEX clips_same_cut ON clips (asset_id, mode, t_start_ms, t_end_ms, style, highlight, title);

-- The last version of each highlight: numbers are never given twice, also when a clip is gone, for a CDN may still
-- have what lay under its key.
CREATE TABLE clip_versions (
    asset_id  text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner     text COLLATE "C" NOT NULL,
    team      text COLLATE "C" NOT NULL,
    highlight integer NOT NULL,
    last      integer NOT NULL,
    PRIMARY KEY (asset_id, highlight)
);

-- Clips that were there count from 1; they are named by their ids, or lie where they lie.
INSERT INTO clip_versions (asset_id, owner, team, highlight, last)
SELECT asset_id, min(owner), min(team), 0, count(*) FROM clips GROUP BY asset_id;
UPDATE clips c SET version = n.version
FROM (SELECT clip_id, row_number() OVER (PARTITION BY asset_id ORDER BY created_at, clip_id) AS version FROM clips) n
WHERE n.clip_id = c.clip_id;
CREATE UNIQUE INDEX clips_by_number ON clips (asset_id, highlight, version);

CREATE OR REPLACE FUNCTION delete_clip_object() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM objects o USING gone
    WHERE (o.store = gone.store AND o.key = gone.key) OR (o.store = gone.thumb_store AND o.key = gone.thumb_key);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION clip_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (type, owner, team, asset_id, data)
    VALUES ('clip.' || NEW.status, NEW.owner, NEW.team, NEW.asset_id,
            jsonb_build_object('clip_id', NEW.clip_id, 'status', NEW.status, 'mode', NEW.mode,
                               't_start_ms', NEW.t_start_ms, 't_end_ms', NEW.t_end_ms,
                               'highlight', NEW.highlight, 'version', NEW.version,
                               'title', NEW.title, 'style', NEW.style,
                               'error_code', NEW.error_code, 'error_message', NEW.error_message));
    RETURN NULL;
END $$;

-- highlights.json was written, by the detector or by somebody.
CREATE FUNCTION highlights_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (type, owner, team, asset_id, data)
    VALUES ('highlights.written', NEW.owner, NEW.team, NEW.asset_id,
            jsonb_build_object('size_bytes', NEW.size_bytes, 'detected', NEW.run_id IS NOT NULL));
    RETURN NULL;
END $$;
CREATE TRIGGER objects_highlights_event AFTER UPDATE OF state ON objects
    FOR EACH ROW WHEN (NEW.role = 'highlights' AND NEW.state = 'stored') EXECUTE FUNCTION highlights_events();

-- A purge removes everything of an asset or of an owner and proves it. The row is the receipt in the end.
CREATE TABLE purges (
    purge_id     text COLLATE "C" PRIMARY KEY,
    owner        text COLLATE "C" NOT NULL,          -- whose things are removed
    team         text COLLATE "C" NOT NULL,          -- in which team; '' for all of the owner's
    asset_id     text COLLATE "C",                   -- no foreign key: it outlives the asset; null: the whole owner
    state        text NOT NULL DEFAULT 'requested'
                 CHECK (state IN ('requested', 'removing', 'verifying', 'done')),
    requested_by jsonb NOT NULL,                     -- who, from where
    requested_at timestamptz NOT NULL DEFAULT now(),
    stores       text[] NOT NULL DEFAULT '{}',       -- that were asked whether something is left
    prefixes     text[] NOT NULL DEFAULT '{}',       -- that were listed in them
    rows_deleted jsonb NOT NULL DEFAULT '{}',        -- table to count
    objects      bigint NOT NULL DEFAULT 0,
    size_bytes   bigint NOT NULL DEFAULT 0,
    left_over    bigint NOT NULL DEFAULT 0,          -- found by the last look; none once it is done
    unproven     bigint NOT NULL DEFAULT 0,          -- keys of which a store that may not be listed says neither
    problem      text,                               -- what it waits for, where it does
    keys_digest  text COLLATE "C",                   -- SHA-256 of the lines `store key size`, sorted
    watched_until timestamptz,                       -- keys that a client's URL could still write are removed again then
    receipt_digest text COLLATE "C",                 -- SHA-256 of the receipt, as the audit log has it
    finished_at  timestamptz
);
CREATE UNIQUE INDEX purges_one_open ON purges (owner, team, coalesce(asset_id, '')) WHERE state <> 'done';
CREATE INDEX purges_open ON purges (requested_at) WHERE state <> 'done';
CREATE INDEX purges_page ON purges (owner, requested_at DESC, purge_id DESC);

-- The keys of a purge that is under way: what is counted, removed, and looked for in the end. Gone when it is done.
CREATE TABLE purge_keys (
    purge_id   text COLLATE "C" NOT NULL REFERENCES purges ON DELETE CASCADE,
    owner      text COLLATE "C" NOT NULL,
    team       text COLLATE "C" NOT NULL,
    store      text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    PRIMARY KEY (purge_id, store, key)
);

CREATE FUNCTION purge_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (type, owner, team, asset_id, data)
    VALUES (CASE NEW.state WHEN 'done' THEN 'purge.finished' ELSE 'purge.requested' END,
            NEW.owner, NEW.team, coalesce(NEW.asset_id, ''),
            jsonb_build_object('purge_id', NEW.purge_id, 'state', NEW.state, 'objects', NEW.objects,
                               'size_bytes', NEW.size_bytes));
    RETURN NULL;
END $$;
CREATE TRIGGER purges_added_event AFTER INSERT ON purges FOR EACH ROW EXECUTE FUNCTION purge_events();
CREATE TRIGGER purges_done_event AFTER UPDATE OF state ON purges
    FOR EACH ROW WHEN (OLD.state <> NEW.state AND NEW.state = 'done') EXECUTE FUNCTION purge_events();
