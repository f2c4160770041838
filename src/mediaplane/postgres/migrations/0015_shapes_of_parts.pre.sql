-- Also the parts of a word (`maria` of `@maria`, `name` of `my_name`) have their shapes in the index, so that a search
-- names a word by its shape alone. Adds them to what was read before, as media/words.py does from now on. Plain words
-- have no parts: segments that have nothing else are passed by.
UPDATE segments s SET lexemes = more.lexemes
FROM segments o CROSS JOIN LATERAL (
    SELECT (o.lexemes::text || ' ' || string_agg(
        format($$'~%s':%s$$, replace(looks, $$'$$, $$''$$), array_to_string(positions, ',')), ' '))::tsvector AS lexemes
    FROM unnest(o.lexemes) AS l (lexeme, positions, weights),
         replace(replace(translate(lexeme, '01l582', 'oiisbz'), 'rn', 'm'), 'vv', 'w') AS looks
    WHERE length(lexeme) >= 3 AND lexeme !~ '^[~>]' AND looks <> lexeme
) AS more
WHERE o.segment_id = s.segment_id AND more.lexemes <> o.lexemes
  AND (o.text !~ '^[A-Za-z .,:;!?()/"]*$' OR o.text ~ '[a-z][A-Z]|[A-Z][A-Z][a-z]');

-- Words that are not among the commonest are all estimated alike. With the usual hundred, that estimate is so high that
-- a few of them together make PostgreSQL read all segments backwards for what the index finds at once.
ALTER TABLE segments ALTER COLUMN lexemes SET STATISTICS 500;
