-- name: add
-- Append records, in order.
INSERT INTO audit_records (subject, subject_owner, subject_team, role, action, kind, thing, owner, team, until,
                           ip, user_agent, request_id, details)
SELECT subject, subject_owner, subject_team, role, action, kind, thing, owner, team, until,
       ip, user_agent, request_id, coalesce(details, '{}')
FROM jsonb_to_recordset(%(records)s) AS r (
    subject text, subject_owner text, subject_team text, role text, action text, kind text, thing text, owner text,
    team text, until timestamptz, ip text, user_agent text, request_id text, details jsonb);

-- name: lock_chain
-- One at a time makes the chain longer.
SELECT pg_advisory_xact_lock(hashtextextended('mediaplane audit chain ' || current_schema(), 0));

-- name: head
-- The end of the chain.
SELECT position, hash FROM audit_chain ORDER BY position DESC LIMIT 1;

-- name: waiting
-- Records that are not chained yet, oldest first.
SELECT r.* FROM audit_waiting w JOIN audit_records r USING (record_id) ORDER BY record_id LIMIT %(limit)s;

-- name: link
-- Make the chain longer.
WITH links AS (
    SELECT * FROM unnest(%(positions)s::bigint[], %(record_ids)s::bigint[], %(hashes)s::bytea[]) AS l (position, record_id, hash)
), linked AS (
    INSERT INTO audit_chain (position, record_id, hash) SELECT position, record_id, hash FROM links
)
DELETE FROM audit_waiting WHERE record_id = ANY(%(record_ids)s);

-- name: links
-- The chain with its records, behind a position; a record that is gone leaves nulls.
SELECT c.position, c.hash, c.record_id AS linked_id, r.*
FROM audit_chain c LEFT JOIN audit_records r USING (record_id)
WHERE c.position > %(after)s ORDER BY c.position LIMIT %(limit)s;

-- name: strays
-- Records outside the chain that do not wait for it either, and records that waited for it and are gone.
(SELECT r.record_id, true AS is_there FROM audit_records r
 WHERE NOT EXISTS (SELECT FROM audit_chain c WHERE c.record_id = r.record_id)
   AND NOT EXISTS (SELECT FROM audit_waiting w WHERE w.record_id = r.record_id)
 ORDER BY r.record_id LIMIT %(limit)s)
UNION ALL
(SELECT w.record_id, false FROM audit_waiting w
 WHERE NOT EXISTS (SELECT FROM audit_records r WHERE r.record_id = w.record_id)
 ORDER BY w.record_id LIMIT %(limit)s);

-- name: export
-- Records with their place in the chain, behind an id.
SELECT r.*, c.position, encode(c.hash, 'hex') AS hash
FROM audit_records r LEFT JOIN audit_chain c USING (record_id)
WHERE r.record_id > %(after)s
  AND (%(since)s::timestamptz IS NULL OR r.at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR r.at < %(until)s)
  AND (%(who)s::text IS NULL OR %(who)s IN (r.subject, r.subject_owner))
ORDER BY r.record_id LIMIT %(limit)s;
