-- name: rank
-- The best matching segments among the newest candidates; one row without a segment where there is none, for the window.
-- Those with the same text stand together, in the order of time, so that the reader can make touching ones one.
WITH candidates AS MATERIALIZED (
    SELECT s.segment_id, s.asset_id, s.source, s.t_start_ms, s.t_end_ms, s.text, s.box, s.frame_ms, s.lexemes
    FROM segments_in_sight s WHERE {conditions} ORDER BY s.segment_id DESC LIMIT %(candidates)s
),
scored AS (
    SELECT segment_id, asset_id, source, t_start_ms, t_end_ms, text, box, frame_ms,
           CASE WHEN {is_exact} THEN %(best)s ELSE %(rest)s END
           + %(spread)s * least(1, %(words)s::float8 / greatest(1, length(lexemes))) AS score,
           hashtextextended(text, 0) AS text_hash
    FROM candidates
),
page AS (
    SELECT * FROM scored WHERE {is_behind}
    ORDER BY score DESC, asset_id, text_hash, t_start_ms, segment_id LIMIT %(limit)s
)
SELECT w.*, page.* FROM (
    SELECT count(*) AS candidates, min(segment_id) AS oldest, max(segment_id) AS newest FROM candidates
) AS w LEFT JOIN page ON true
ORDER BY page.score DESC, page.asset_id, page.text_hash, page.t_start_ms, page.segment_id;

-- name: is_behind
-- Whether a segment comes behind the last one of the page before.
score < %(score)s::float8 OR (
    score = %(score)s::float8
    AND (asset_id, text_hash, t_start_ms, segment_id) > (%(behind_asset)s, %(behind_hash)s::bigint, %(behind_ms)s::bigint, %(behind_id)s::bigint)
)

-- name: newest_of_rare
-- Segments that match, newest first, of few: PostgreSQL takes words it has no count of for frequent ones, and reading all
-- segments backwards for the quicker way, unless it is told to find those that match first.
WITH matching AS MATERIALIZED (
    SELECT s.segment_id, s.asset_id, s.source, s.t_start_ms, s.t_end_ms, s.text, s.box, s.frame_ms
    FROM segments_in_sight s WHERE {conditions}
)
SELECT m.*, 0::float8 AS score, 0::bigint AS text_hash FROM matching m ORDER BY m.segment_id DESC LIMIT %(limit)s;

-- name: newest_of_common
-- The same for words that are everywhere.
SELECT s.segment_id, s.asset_id, s.source, s.t_start_ms, s.t_end_ms, s.text, s.box, s.frame_ms, 0::float8 AS score, 0::bigint AS text_hash
FROM segments_in_sight s WHERE {conditions} ORDER BY s.segment_id DESC LIMIT %(limit)s;

-- name: beside_rare
-- Segments that match and are seen at the same time as one of these lines: for words that the index finds few of.
WITH matching AS MATERIALIZED (
    SELECT s.segment_id, s.asset_id, s.source, s.t_start_ms, s.t_end_ms, s.text, s.box, s.frame_ms
    FROM segments_in_sight s WHERE {conditions}
)
SELECT m.*, 0::float8 AS score, 0::bigint AS text_hash FROM matching m WHERE EXISTS (
    SELECT 1 FROM unnest(%(assets)s::text[], %(starts)s::bigint[], %(ends)s::bigint[]) AS r (asset_id, t_start_ms, t_end_ms)
    WHERE r.asset_id = m.asset_id AND m.t_start_ms < r.t_end_ms AND m.t_end_ms > r.t_start_ms
) ORDER BY m.t_start_ms DESC, m.segment_id LIMIT %(limit)s * cardinality(%(assets)s::text[]);

-- name: beside_common
-- The same for words that are everywhere: looks only at the segments that began last before each line ended.
SELECT DISTINCT ON (near.segment_id) near.*, 0::float8 AS score, 0::bigint AS text_hash
FROM unnest(%(assets)s::text[], %(starts)s::bigint[], %(ends)s::bigint[]) AS r (asset_id, t_start_ms, t_end_ms)
CROSS JOIN LATERAL (
    SELECT s.segment_id, s.asset_id, s.source, s.t_start_ms, s.t_end_ms, s.text, s.box, s.frame_ms FROM (
        SELECT * FROM segments_in_sight b WHERE b.asset_id = r.asset_id AND b.t_start_ms < r.t_end_ms
        ORDER BY b.t_start_ms DESC LIMIT %(looked_at)s
    ) AS s
    WHERE {conditions} AND s.t_end_ms > r.t_start_ms ORDER BY s.t_start_ms DESC LIMIT %(limit)s
) AS near ORDER BY near.segment_id;

-- name: url_condition
-- Segments with a URL of this host, or with this in the path.
SELECT e.segment_id FROM entities_in_sight e WHERE e.kind = 'url' AND (%(owner)s::text IS NULL OR e.owner = %(owner)s) AND (%(team)s::text IS NULL OR e.team = %(team)s) AND (
    e.value LIKE {begins} OR e.value LIKE '%%.' || {begins}
    OR strpos(substr(e.value, strpos(e.value || '/', '/')), {value}) > 0
)

-- name: number_condition
-- Segments with this number.
SELECT e.segment_id FROM entities_in_sight e WHERE e.kind = 'number' AND (%(owner)s::text IS NULL OR e.owner = %(owner)s) AND (%(team)s::text IS NULL OR e.team = %(team)s) AND e.value = {value}

-- name: range_condition
-- Segments with a number in this range; a range without an end goes on.
SELECT e.segment_id FROM entities_in_sight e WHERE e.kind = 'number' AND (%(owner)s::text IS NULL OR e.owner = %(owner)s) AND (%(team)s::text IS NULL OR e.team = %(team)s) AND e.value ~ '^-?[0-9.]+$'
    AND CASE WHEN e.kind = 'number' THEN e.value::numeric END
        BETWEEN coalesce({low}::numeric, '-Infinity') AND coalesce({high}::numeric, 'Infinity')
