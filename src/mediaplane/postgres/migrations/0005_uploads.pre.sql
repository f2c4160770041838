-- Uploads by clients: the same sessions as those of this process, with what a browser needs to go on after a break.

ALTER TABLE uploads
    -- process: this program sends the bytes itself; put: one signed PUT; form: one signed form (POST policy);
    -- parts: a multipart upload of the store
    ADD COLUMN way text NOT NULL DEFAULT 'process' CHECK (way IN ('process', 'put', 'form', 'parts')),
    ADD COLUMN name text NOT NULL DEFAULT '',          -- the client's own name of the file: shown, never part of a key
    ADD COLUMN store_ref text COLLATE "C",             -- the store's id of a multipart upload
    ADD COLUMN part_bytes bigint,                      -- of every part but the last; null: the client's choice
    ADD COLUMN md5 text COLLATE "C",                   -- as the client said it, in hexadecimal
    ADD COLUMN write_once boolean NOT NULL DEFAULT false, -- the store refuses a second write to the key
    ADD COLUMN reused boolean NOT NULL DEFAULT false,  -- the bytes were here already: asset_id names who has them
    ADD COLUMN error_code text,                        -- why it was refused for good
    ADD COLUMN error_message text,
    ADD COLUMN busy_until timestamptz,                 -- somebody verifies its bytes just now
    ADD COLUMN checked_at timestamptz,                 -- when the store was last asked whether the bytes have come
    ADD COLUMN recheck_at timestamptz;                 -- until then its URL can still replace the bytes: look again

-- The size is not known beforehand where a client's protocol does not say it; the digest where the client does not.
ALTER TABLE uploads ALTER COLUMN size_bytes DROP NOT NULL, ALTER COLUMN digest DROP NOT NULL;

ALTER TABLE uploads DROP CONSTRAINT uploads_state_check;
ALTER TABLE uploads ADD CONSTRAINT uploads_state_check
    CHECK (state IN ('open', 'completed', 'aborted', 'refused'));

DROP INDEX uploads_one_open;
CREATE UNIQUE INDEX uploads_one_open ON uploads (owner, digest) WHERE state = 'open' AND way = 'process';
CREATE INDEX uploads_page ON uploads (owner, created_at DESC, upload_id DESC) WHERE state = 'open' AND way <> 'process';
CREATE INDEX uploads_aborted ON uploads (upload_id) WHERE state = 'aborted';
CREATE INDEX uploads_recheck ON uploads (recheck_at) WHERE recheck_at IS NOT NULL;
CREATE INDEX uploads_by_key ON uploads (store, key);
CREATE INDEX uploads_by_asset ON uploads (asset_id); -- the foreign key's own direction: an asset that is deleted

-- The same bytes without a digest: equal size, and equal etag in one store.
CREATE INDEX objects_same_bytes ON objects (owner, size_bytes, etag) WHERE role = 'original' AND state = 'stored';

-- What a POST with an Idempotency-Key was answered, so that a repetition is answered the same.
CREATE TABLE idempotency_keys (
    owner      text COLLATE "C" NOT NULL,
    team       text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,   -- who asked
    key        text COLLATE "C" NOT NULL,
    digest     text COLLATE "C" NOT NULL,   -- of method, path and body: another request must not use the key
    status     integer,                     -- null: the first request is still at work
    body       jsonb,
    busy_until timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, team, subject, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
