-- The log's rows after $1 up to $2, folded into the live entries: what `Revocation::followed_by` and
-- `Op::Reinstate` do one record at a time, for all names at once. Only where texts are kept in UTF-8.
WITH said AS (
    -- What `row::record` takes for a record, under its canonical name.
    SELECT id, op = 'revoke' AS revokes, record_id, issuer, claim, value, issued_before, expires_at, at,
           actor, reason,
           encode(substring(sha256(
               set_byte(set_byte('\x0000000000000000', 0, octet_length(issuer) & 255), 1, octet_length(issuer) >> 8)
               || convert_to(issuer, 'UTF8')
               || set_byte(set_byte('\x0000000000000000', 0, octet_length(claim) & 255), 1, octet_length(claim) >> 8)
               || convert_to(claim, 'UTF8')
               || set_byte(set_byte('\x0000000000000000', 0, octet_length(value) & 255), 1, octet_length(value) >> 8)
               || convert_to(value, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid AS key
      FROM (SELECT id, v, record_id, op, issuer, CASE claim WHEN 'azp' THEN 'client_id' ELSE claim END AS claim,
                   value, issued_before, expires_at, at, actor, reason
              FROM {log} WHERE id > $1 AND id <= $2) AS rows
     WHERE v = 1 AND op IN ('revoke', 'reinstate') AND record_id IS NOT NULL
       AND octet_length(issuer) BETWEEN 1 AND 1024 AND octet_length(claim) BETWEEN 1 AND 128
       AND octet_length(value) <= 4096
       AND (issued_before IS NULL OR issued_before >= 0) AND expires_at >= 0 AND at >= 0
       AND (actor IS NULL OR octet_length(actor) <= 256) AND (reason IS NULL OR octet_length(reason) <= 1024)
       AND claim !~ '[\u0001-\u001f\u007f-\u009f]'
       -- The bound of the record's JSON. A byte takes six at most, and what stands around them 400.
       AND CASE WHEN octet_length(issuer) + octet_length(value) + coalesce(octet_length(actor), 0)
                     + coalesce(octet_length(reason), 0) <= 2500 THEN true
           ELSE octet_length('{"v":1,"id":"' || record_id || '","op":"' || op
                    || '","issuer":' || to_json(issuer)::text || ',"claim":' || to_json(claim)::text
                    || ',"value":' || to_json(value)::text || coalesce(',"issued_before":' || issued_before, '')
                    || ',"expires_at":' || expires_at || ',"at":' || at
                    || coalesce(',"actor":' || to_json(actor)::text, '')
                    || coalesce(',"reason":' || to_json(reason)::text, '') || '}') <= 16384 END
),
since AS (
    -- By name: its last reinstatement, if there was one, and what followed.
    SELECT *, count(*) FILTER (WHERE revokes) OVER same AS revocations,
           lead(id) OVER (PARTITION BY key ORDER BY id) IS NULL AS is_last
      FROM (SELECT *, max(id) FILTER (WHERE NOT revokes) OVER (PARTITION BY key) AS cleared FROM said) AS rows
     WHERE cleared IS NULL OR id >= cleared
    WINDOW same AS (PARTITION BY key)
),
chains AS (
    -- Names that were revoked more than once; -1: no cut-off.
    SELECT key, array_agg(expires_at ORDER BY id) AS expiry, array_agg(at ORDER BY id) AS at,
           array_agg(coalesce(issued_before, -1) ORDER BY id) AS cutoff,
           bool_or(cleared IS NOT NULL) AS is_cleared
      FROM since WHERE revokes AND revocations > 1 GROUP BY key
),
merged AS (
    SELECT chains.key, result.expiry, nullif(result.cutoff, -1) AS cutoff
      FROM chains
      LEFT JOIN LATERAL (SELECT expires_at, coalesce(issued_before, -1) AS cutoff FROM {live}
                          WHERE {live}.key = chains.key AND NOT is_cleared OFFSET 0) AS live ON true
     CROSS JOIN LATERAL (
        WITH RECURSIVE step AS (
            SELECT CASE WHEN live.expires_at IS NULL THEN 1 ELSE 0 END AS n,
                   coalesce(live.expires_at, chains.expiry[1]) AS expiry,
                   CASE WHEN live.expires_at IS NULL THEN chains.cutoff[1] ELSE live.cutoff END AS cutoff
            UNION ALL
            SELECT n + 1,
                   CASE WHEN step.expiry < chains.at[n + 1] THEN chains.expiry[n + 1]
                        ELSE greatest(step.expiry, chains.expiry[n + 1]) END,
                   CASE WHEN step.expiry < chains.at[n + 1] THEN chains.cutoff[n + 1]
                        WHEN step.cutoff = -1 OR chains.cutoff[n + 1] = -1 THEN -1
                        ELSE greatest(step.cutoff, chains.cutoff[n + 1]) END
              FROM step WHERE n < cardinality(chains.at)
        )
        SELECT expiry, cutoff FROM step ORDER BY n DESC LIMIT 1
     ) AS result
),
gone AS (
    DELETE FROM {live} WHERE key = ANY (ARRAY(SELECT key FROM since WHERE is_last AND NOT revokes))
)
INSERT INTO {live} (key, record_id, issuer, claim, value, issued_before, expires_at, at, actor, reason)
SELECT since.key, record_id, issuer, claim, value,
       CASE WHEN live.expires_at IS NULL OR live.expires_at < since.at THEN since.issued_before
            WHEN live.issued_before IS NULL OR since.issued_before IS NULL THEN NULL
            ELSE greatest(live.issued_before, since.issued_before) END,
       CASE WHEN live.expires_at < since.at THEN since.expires_at
            ELSE greatest(live.expires_at, since.expires_at) END,
       at, actor, reason
  FROM since
  LEFT JOIN LATERAL (SELECT issued_before, expires_at FROM {live}
                      WHERE {live}.key = since.key AND since.cleared IS NULL OFFSET 0) AS live ON true
 WHERE is_last AND revokes AND revocations = 1
UNION ALL
SELECT since.key, record_id, issuer, claim, value, merged.cutoff, merged.expiry, at, actor, reason
  FROM since JOIN merged USING (key) WHERE is_last AND revokes AND revocations > 1
ON CONFLICT (key) DO UPDATE SET record_id = excluded.record_id, issued_before = excluded.issued_before,
    expires_at = excluded.expires_at, at = excluded.at, actor = excluded.actor, reason = excluded.reason
