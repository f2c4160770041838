-- name: adjust
-- Add to the counts of words, in the order of words; gives the words that are new.
WITH changed AS (
    INSERT INTO lexicon (owner, team, word, seen)
    SELECT %(owner)s, %(team)s, word, change
    FROM unnest(%(words)s::text[], %(counts)s::bigint[]) AS c (word, change) ORDER BY word COLLATE "C"
    ON CONFLICT (owner, word) DO UPDATE SET seen = greatest(0, lexicon.seen + excluded.seen)
    RETURNING word, seen, xmax = 0 AS new
)
SELECT word FROM changed WHERE new AND seen > 0;

-- name: copy_deletions
-- Add the deletions of new words.
COPY lexicon_deletions (owner, deletion, word) FROM STDIN;

-- name: known
-- Which of these words the owners' segments have, and in how many segments.
SELECT word, sum(seen)::bigint FROM lexicon
WHERE owner = ANY (%(owners)s::text[]) AND word = ANY (%(words)s::text[]) AND seen > 0 GROUP BY word;

-- name: owners_of_team
-- Who has assets in a team, or at all.
SELECT DISTINCT owner FROM assets WHERE %(team)s::text IS NULL OR team = %(team)s LIMIT %(limit)s;

-- name: sharing_deletions
-- Words that share a deletion with those asked for.
SELECT word, sum(seen)::bigint FROM lexicon
WHERE owner = ANY (%(owners)s::text[]) AND seen > 0 AND length(word) <= %(longest)s AND word IN (
    SELECT word FROM lexicon_deletions WHERE owner = ANY (%(owners)s::text[]) AND deletion = ANY (%(deletions)s::text[])
) GROUP BY word;

-- name: owners
-- Everyone who has words.
SELECT DISTINCT owner FROM lexicon ORDER BY owner;

-- name: recount
-- Count an owner's words anew; a count that changes meanwhile is checked against what was read and left alone.
WITH read AS MATERIALIZED (SELECT word, seen FROM lexicon WHERE owner = %(owner)s),
counted AS MATERIALIZED (
    SELECT word, ndoc FROM ts_stat(format('SELECT lexemes FROM segments WHERE owner = %%L', %(owner)s::text)) AS t (word, ndoc, nentry)
),
wrong AS (
    SELECT read.word, read.seen, coalesce(counted.ndoc, 0) AS ndoc FROM read LEFT JOIN counted USING (word)
    WHERE read.seen <> coalesce(counted.ndoc, 0)
),
locked AS (
    SELECT l.word, wrong.ndoc FROM lexicon l JOIN wrong USING (word)
    WHERE l.owner = %(owner)s AND l.seen = wrong.seen
    ORDER BY l.word FOR UPDATE OF l SKIP LOCKED
)
UPDATE lexicon l SET seen = locked.ndoc FROM locked WHERE l.owner = %(owner)s AND l.word = locked.word;

-- name: drop_unseen
-- Forget an owner's words that no segment has.
DELETE FROM lexicon WHERE owner = %(owner)s AND word IN (
    SELECT word FROM lexicon WHERE owner = %(owner)s AND seen <= 0 ORDER BY word FOR UPDATE SKIP LOCKED
);
