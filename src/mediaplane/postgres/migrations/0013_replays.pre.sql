-- Replays: an asset worked on once more, with other parameters or with the same bytes. The latest one's parameters
-- hold for the asset; runs that are older than it were reused by it.
CREATE TABLE replays (
    replay_id  text COLLATE "C" PRIMARY KEY,
    asset_id   text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    owner      text COLLATE "C" NOT NULL,
    team       text COLLATE "C" NOT NULL,
    cause      text NOT NULL CHECK (cause IN ('replay', 'ingest')),
    params     jsonb NOT NULL DEFAULT '{}',         -- settings of this asset alone, by the names of their variables
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX replays_by_asset ON replays (asset_id, created_at DESC);
