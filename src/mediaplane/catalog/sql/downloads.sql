-- name: find
-- The first object, by key, for each wish (asset, role, name) that is in sight; what a playlist or a transcript is made
-- of is no object: whether there is any of it. As JSON, because arrays of text cost the client three times as much.
SELECT w.place::integer - 1 AS place, a.owner, a.team, a.title,
       coalesce(o.store, '') AS store, coalesce(o.key, '') AS key, coalesce(o.content_type, '') AS content_type,
       o.size_bytes
FROM ROWS FROM (jsonb_array_elements_text(%(asset_ids)s), jsonb_array_elements_text(%(roles)s),
                jsonb_array_elements_text(%(names)s)) WITH ORDINALITY AS w (asset_id, role, name, place)
JOIN assets a ON a.asset_id = w.asset_id
    AND (%(owner)s::text IS NULL OR a.owner = %(owner)s) AND (%(team)s::text IS NULL OR a.team = %(team)s)
LEFT JOIN LATERAL (
    SELECT store, key, content_type, size_bytes FROM objects o
    WHERE o.asset_id = w.asset_id AND o.role = w.role AND o.state = 'stored'
      AND (w.name = '' OR o.key = w.name OR starts_with(reverse(o.key), reverse('/' || w.name)))
    ORDER BY o.key LIMIT 1) o ON true
WHERE o.key IS NOT NULL
   OR (w.role = 'playback' AND (a.kind = 'image' AND a.status = 'ready'
                                OR EXISTS (SELECT FROM renditions r WHERE r.asset_id = w.asset_id)))
   OR (w.role = 'transcript' AND EXISTS (SELECT FROM segments s WHERE s.asset_id = w.asset_id));

-- name: page
-- Stored objects of an asset, of one role or all, by role and key, behind the given place.
SELECT role, key, store, content_type, size_bytes, etag FROM objects
WHERE asset_id = %(asset_id)s AND state = 'stored' AND role <> ALL(%(hidden)s)
  AND (%(role)s::text IS NULL OR role = %(role)s)
  AND (%(after_role)s::text IS NULL OR (role, key) > (%(after_role)s, %(after_key)s COLLATE "C"))
ORDER BY role, key LIMIT %(limit)s;
