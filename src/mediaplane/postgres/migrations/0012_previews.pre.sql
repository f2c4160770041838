-- What people look at: pictures for the scrubbing preview, and which of several sound tracks is which.

-- One sheet of small pictures each: `tiles` of them, row by row, `tile_ms` apart, the first at `first_ms`.
CREATE TABLE sprites (
    asset_id    text COLLATE "C" NOT NULL REFERENCES assets ON DELETE CASCADE,
    chunk       integer NOT NULL,
    position    integer NOT NULL,                   -- within the chunk, from 0
    owner       text COLLATE "C" NOT NULL,
    team        text COLLATE "C" NOT NULL,
    store       text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    first_ms    bigint NOT NULL,
    tile_ms     integer NOT NULL CHECK (tile_ms > 0),
    tiles       integer NOT NULL CHECK (tiles > 0),
    columns     integer NOT NULL CHECK (columns > 0),
    tile_width  integer NOT NULL,
    tile_height integer NOT NULL,
    PRIMARY KEY (asset_id, chunk, position)
);

ALTER TABLE renditions
    ADD COLUMN language text NOT NULL DEFAULT '',   -- of a sound track, as the file says it
    ADD COLUMN title text NOT NULL DEFAULT '';
