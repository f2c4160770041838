-- The catalog: one row for one fact. Bytes live in stores; `objects` says where.
-- Runs with search_path set to the schema; functions keep it, so that a DELETE typed into psql works too.

CREATE TABLE assets (
    asset_id      text COLLATE "C" PRIMARY KEY CHECK (asset_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    owner         text COLLATE "C" NOT NULL,
    team          text COLLATE "C" NOT NULL,
    title         text NOT NULL DEFAULT '',
    kind          text NOT NULL DEFAULT 'unknown' CHECK (kind IN ('unknown', 'video', 'audio', 'image')),
    status        text NOT NULL CHECK (status IN ('uploading', 'processing', 'ready', 'failed')),
    error_code    text,
    error_message text,
    -- what the bytes are: 'sha256:…' where we saw them pass, else 'etag:…' with the size
    digest        text COLLATE "C",
    duration_ms   bigint,
    width         integer,
    height        integer,
    probe         jsonb,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    ready_at      timestamptz
);
CREATE INDEX assets_page ON assets (owner, created_at DESC, asset_id DESC);
CREATE INDEX assets_digest ON assets (owner, digest);

CREATE TABLE stage_runs (
    run_id         text COLLATE "C" PRIMARY KEY,
    asset_id       text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner          text COLLATE "C" NOT NULL,
    team           text COLLATE "C" NOT NULL,
    stage          text NOT NULL,
    chunk          integer,                        -- null for a run over the whole asset
    subject        text COLLATE "C" NOT NULL DEFAULT '', -- what else it is about: a clip's id
    state          text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    params         jsonb NOT NULL DEFAULT '{}',
    inputs_digest  text COLLATE "C" NOT NULL,      -- of inputs, stage version and parameters: equal means same result
    outputs        jsonb,
    priority       integer NOT NULL DEFAULT 0,     -- larger goes first
    attempt        integer NOT NULL DEFAULT 0,     -- how often it was begun
    token          uuid,                           -- fence: only who holds it may write results
    worker         text,
    lease_until    timestamptz,
    run_after      timestamptz NOT NULL DEFAULT now(),
    progress       real NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    error_code     text,
    error_message  text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    started_at     timestamptz,
    finished_at    timestamptz
);
CREATE UNIQUE INDEX stage_runs_one_active ON stage_runs (asset_id, stage, chunk, subject) NULLS NOT DISTINCT
    WHERE state IN ('queued', 'running');
CREATE INDEX stage_runs_by_asset ON stage_runs (asset_id, stage, chunk, subject, created_at DESC);
CREATE INDEX stage_runs_waiting ON stage_runs (run_after) WHERE state = 'queued';
CREATE INDEX stage_runs_leased ON stage_runs (lease_until) WHERE state = 'running';

CREATE TABLE objects (
    store        text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    asset_id     text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner        text COLLATE "C" NOT NULL,
    team         text COLLATE "C" NOT NULL,
    role         text NOT NULL,
    -- pending: the intent is written, the bytes may or may not be there; stored: both are
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'stored')),
    size_bytes   bigint NOT NULL DEFAULT 0,
    etag         text,
    content_type text NOT NULL,
    run_id       text COLLATE "C",                  -- the stage run that wrote it, if one did
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, key)
);
CREATE INDEX objects_by_asset ON objects (asset_id, role, key);
CREATE INDEX objects_pending ON objects (created_at) WHERE state = 'pending';

CREATE TABLE uploads (
    upload_id    text COLLATE "C" PRIMARY KEY,
    asset_id     text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner        text COLLATE "C" NOT NULL,
    team         text COLLATE "C" NOT NULL,
    store        text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'completed', 'aborted')),
    size_bytes   bigint NOT NULL,
    digest       text COLLATE "C" NOT NULL,
    content_type text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(), -- the writer touches it; a silent one is swept
    completed_at timestamptz
);
CREATE INDEX uploads_open ON uploads (seen_at) WHERE state = 'open';
CREATE UNIQUE INDEX uploads_one_open ON uploads (owner, digest) WHERE state = 'open';

-- HLS: what a playlist is written from.
CREATE TABLE renditions (
    asset_id      text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    name          text COLLATE "C" NOT NULL,         -- '1080p', '720p', '360p', 'audio'
    owner         text COLLATE "C" NOT NULL,
    team          text COLLATE "C" NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('video', 'audio')),
    width         integer,
    height        integer,
    frame_rate    real,
    bandwidth     integer NOT NULL,                  -- bits per second, peak of a segment
    codecs        text NOT NULL,                     -- RFC 6381
    PRIMARY KEY (asset_id, name)
);
CREATE TABLE hls_segments (
    asset_id      text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    rendition     text COLLATE "C" NOT NULL,
    chunk         integer NOT NULL,
    position      integer NOT NULL,                  -- within the chunk, from 0
    store         text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    init_key      text COLLATE "C" NOT NULL,
    duration_us   bigint NOT NULL,
    size_bytes    bigint NOT NULL,
    PRIMARY KEY (asset_id, rendition, chunk, position)
);

-- A time range with text. `lexemes` is made by media/words.py, the same for index and query.
CREATE TABLE segments (
    segment_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset_id     text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner        text COLLATE "C" NOT NULL,
    team         text COLLATE "C" NOT NULL,
    source       text NOT NULL CHECK (source IN ('ocr', 'speech')),
    chunk        integer NOT NULL,
    t_start_ms   bigint NOT NULL,
    t_end_ms     bigint NOT NULL CHECK (t_end_ms >= t_start_ms),
    text         text NOT NULL,
    lexemes      tsvector NOT NULL,
    box          integer[] CHECK (box IS NULL OR cardinality(box) = 4), -- x, y, width, height in pixels of the original
    confidence   real,
    language     text,
    frame_ms     bigint                              -- the kept keyframe in which it is first seen
);
CREATE INDEX segments_lexemes ON segments USING gin (lexemes);
CREATE INDEX segments_by_owner ON segments (owner, segment_id); -- a word that is everywhere: the newest, read in order
CREATE INDEX segments_by_asset ON segments (asset_id, t_start_ms, segment_id);

CREATE TABLE entities (
    entity_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    segment_id  bigint NOT NULL REFERENCES segments ON DELETE CASCADE,
    asset_id    text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner       text COLLATE "C" NOT NULL,
    team        text COLLATE "C" NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('mention', 'hashtag', 'url', 'emoji', 'number')),
    value       text COLLATE "C" NOT NULL,           -- folded: what filters compare
    text        text NOT NULL                        -- as read
);
CREATE INDEX entities_by_value ON entities (kind, value text_pattern_ops, segment_id);
CREATE INDEX entities_by_segment ON entities (segment_id);
CREATE INDEX entities_by_asset ON entities (asset_id);

-- Distinct words for typos: a misspelt word meets the words that share one of its deletions (SymSpell).
CREATE TABLE lexicon (
    owner text COLLATE "C" NOT NULL,
    team  text COLLATE "C" NOT NULL,
    word  text COLLATE "C" NOT NULL,
    seen  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, word)
);
CREATE TABLE lexicon_deletions (
    owner    text COLLATE "C" NOT NULL,
    deletion text COLLATE "C" NOT NULL,
    word     text COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, deletion, word),
    FOREIGN KEY (owner, word) REFERENCES lexicon ON DELETE CASCADE
);
CREATE INDEX lexicon_deletions_by_word ON lexicon_deletions (owner, word);

CREATE TABLE clips (
    clip_id     text COLLATE "C" PRIMARY KEY,
    asset_id    text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner       text COLLATE "C" NOT NULL,
    team        text COLLATE "C" NOT NULL,
    mode        text NOT NULL CHECK (mode IN ('fast', 'exact')),
    t_start_ms  bigint NOT NULL,                     -- of the cut, padding included
    t_end_ms    bigint NOT NULL CHECK (t_end_ms > t_start_ms),
    status      text NOT NULL DEFAULT 'processing' CHECK (status IN ('processing', 'ready', 'failed')),
    error_code  text,
    error_message text,
    store       text COLLATE "C",
    key         text COLLATE "C",
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    UNIQUE (asset_id, mode, t_start_ms, t_end_ms)
);
CREATE INDEX clips_expiring ON clips (expires_at);

-- How far each prefix was scanned, and what was seen there that is no asset.
CREATE TABLE scans (
    store       text COLLATE "C" NOT NULL,
    prefix      text COLLATE "C" NOT NULL,
    last_key    text COLLATE "C",
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    seen        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (store, prefix)
);

-- Deleting a row deletes the bytes: whatever deletes `objects` rows, their keys land here in the same
-- transaction, and a worker removes the bytes. Usage counts both tables, so bytes count until they are gone.
CREATE TABLE outbox (
    store      text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    asset_id   text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    team       text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now(),
    -- a pending object's writer may still be writing: its key is removed at once and once more at this time
    again_at   timestamptz,
    attempts   integer NOT NULL DEFAULT 0,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, key)
);
CREATE INDEX outbox_due ON outbox (due_at);

CREATE FUNCTION put_on_outbox() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO outbox (store, key, asset_id, owner, team, size_bytes, again_at)
    SELECT store, key, asset_id, owner, team, size_bytes,
           CASE WHEN state = 'pending' THEN now() + interval '1 hour' END
    FROM gone
    ON CONFLICT (store, key) DO UPDATE SET due_at = now(), again_at = excluded.again_at, size_bytes = excluded.size_bytes;
    RETURN NULL;
END $$;
CREATE TRIGGER objects_to_outbox AFTER DELETE ON objects
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION put_on_outbox();

-- A key written anew is no longer to be deleted. Waits for a worker that is deleting it just now.
CREATE FUNCTION take_off_outbox() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM outbox WHERE store = NEW.store AND key = NEW.key;
    RETURN NULL;
END $$;
-- AFTER: an insert that waits for another transaction's delete of the same key sees what that one put on the outbox.
CREATE TRIGGER objects_off_outbox AFTER INSERT ON objects
    FOR EACH ROW EXECUTE FUNCTION take_off_outbox();

-- An object that moves must not leave its old bytes behind.
CREATE FUNCTION refuse_key_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION 'store and key of an object never change: insert a new row and delete the old one';
END $$;
CREATE TRIGGER objects_keep_key BEFORE UPDATE OF store, key ON objects
    FOR EACH ROW WHEN (OLD.store <> NEW.store OR OLD.key <> NEW.key) EXECUTE FUNCTION refuse_key_change();

CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE would leave bytes behind that nobody owns: use DELETE';
END $$;
CREATE TRIGGER objects_no_truncate BEFORE TRUNCATE ON objects EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER assets_no_truncate BEFORE TRUNCATE ON assets EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER clips_no_truncate BEFORE TRUNCATE ON clips EXECUTE FUNCTION refuse_truncate();

-- A deleted clip takes its object with it.
CREATE FUNCTION delete_clip_object() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM objects o USING gone WHERE o.store = gone.store AND o.key = gone.key;
    RETURN NULL;
END $$;
CREATE TRIGGER clips_delete_object AFTER DELETE ON clips
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_clip_object();
