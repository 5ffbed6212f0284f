-- Counts for monitoring. Members of pg_monitor see those of all processes and servers, but no key,
-- number or data of an instance.

CREATE FUNCTION workflow_data.count_instances(OUT process text, OUT status text, OUT n bigint)
    RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'workflow_count_instances';
COMMENT ON FUNCTION workflow_data.count_instances() IS
'How many instances live: of the processes that the caller may view, or of all for members of pg_monitor. For the view workflow.metrics';

CREATE FUNCTION workflow_data.count_visits(OUT process text, OUT state text, OUT step text, OUT waits_for text, OUT n bigint, OUT since timestamptz)
    RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 50 AS 'MODULE_PATHNAME', 'workflow_count_visits';
COMMENT ON FUNCTION workflow_data.count_visits() IS
'How many visits live, by what they wait for, and since when the oldest of them waits or stands as an incident: of the processes that the caller may view, or of all for members of pg_monitor. For the view workflow.metrics';

CREATE FUNCTION workflow_data.count_due(OUT work text, OUT process text, OUT server text, OUT n bigint, OUT since timestamptz)
    RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'workflow_count_due';
COMMENT ON FUNCTION workflow_data.count_due() IS
'How much is due for workers, and since when: of the processes that the caller may view and the servers that he may use, or all for members of pg_monitor. For the view workflow.metrics';

CREATE FUNCTION workflow_data.count_write_backs(OUT process text, OUT relation text, OUT n bigint, OUT since timestamptz)
    RETURNS SETOF record LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'workflow_count_write_backs';
COMMENT ON FUNCTION workflow_data.count_write_backs() IS
'How many write-backs are owed, and since when the oldest of them: of the processes that the caller may view, or of all for members of pg_monitor. For the view workflow.metrics';

-- Each part of the union has its name as a constant, so that a condition on the name skips the
-- other parts.
CREATE VIEW workflow.metrics WITH (security_barrier) AS
    WITH visits AS MATERIALIZED (SELECT process, state, step, waits_for, n, since FROM workflow_data.count_visits()),
         due AS MATERIALIZED (SELECT work, process, server, n, since FROM workflow_data.count_due()),
         write_backs AS MATERIALIZED (SELECT process, relation, n, since FROM workflow_data.count_write_backs()),
         topics AS MATERIALIZED (
             SELECT w.topic,
                    count(*) FILTER (WHERE w.free_at <= pg_catalog.statement_timestamp() AND NOT w.held AND n.work IS NULL) AS ready,
                    count(*) FILTER (WHERE w.free_at > pg_catalog.statement_timestamp() AND w.lock_token IS NOT NULL) AS locked,
                    min(w.since) FILTER (WHERE w.free_at <= pg_catalog.statement_timestamp() AND NOT w.held AND n.work IS NULL) AS oldest
             FROM workflow_data.work w
                  LEFT JOIN workflow_data.work_note n ON n.work = w.work
             WHERE (pg_catalog.pg_has_role('pg_monitor', 'USAGE')
                    OR w.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]))
                   AND n.gone IS NOT TRUE
             GROUP BY w.topic),
         servers AS MATERIALIZED (
             SELECT s.srvname::text AS server, coalesce(c.in_flight, 0) AS in_flight, coalesce(c.requests, 0) AS requests,
                    coalesce(c.failures, 0) AS failures, coalesce(c.retries, 0) AS retries, c.p50, c.p95, c.p99,
                    coalesce(c.trips, 0) AS trips, coalesce(c.token_requests, 0) AS token_requests, coalesce(c.token_failures, 0) AS token_failures,
                    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_options_to_table(s.srvoptions) o
                                      WHERE o.option_name = 'max_in_flight' AND o.option_value = '0')
                         THEN 'paused' ELSE coalesce(c.state, 'ok') END AS state
             FROM pg_catalog.pg_foreign_server s
                  JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
                  LEFT JOIN workflow_data.servers() c ON c.server = s.srvname::text
             WHERE w.fdwname = 'workflow_http'
                   AND (pg_catalog.pg_has_role('pg_monitor', 'USAGE') OR pg_catalog.has_server_privilege(s.oid, 'USAGE')))
    SELECT 'instances'::text AS name, jsonb_build_object('process', process, 'status', status) AS labels, n::double precision AS value
    FROM workflow_data.count_instances()
    UNION ALL
    SELECT 'visits', jsonb_build_object('process', process, 'state', state), sum(n)::double precision
    FROM visits GROUP BY process, state
    UNION ALL
    SELECT 'waiting', jsonb_build_object('process', process, 'step', step), sum(n)::double precision
    FROM visits WHERE state = 'waiting' AND waits_for NOT IN ('join', 'steps', 'each', 'call') GROUP BY process, step
    UNION ALL
    SELECT 'oldest_wait_seconds', jsonb_build_object('process', process, 'step', step),
           greatest(extract(epoch FROM pg_catalog.statement_timestamp() - min(since)), 0)::double precision
    FROM visits WHERE state = 'waiting' AND waits_for NOT IN ('join', 'steps', 'each', 'call') GROUP BY process, step
    UNION ALL
    SELECT 'incidents', jsonb_build_object('process', process, 'step', step), n::double precision
    FROM visits WHERE state = 'incident'
    UNION ALL
    SELECT 'oldest_incident_seconds', jsonb_build_object('process', process, 'step', step),
           greatest(extract(epoch FROM pg_catalog.statement_timestamp() - since), 0)::double precision
    FROM visits WHERE state = 'incident'
    UNION ALL
    SELECT 'messages', jsonb_build_object('name', m.name), count(*)::double precision
    FROM workflow_data.message m
    WHERE m.delivered_at IS NULL AND m.expires_at > pg_catalog.statement_timestamp()
          AND (pg_catalog.pg_has_role('pg_monitor', 'USAGE') OR workflow_data.has_role(m.role, m.role_name))
    GROUP BY m.name
    UNION ALL
    SELECT 'topic_ready', jsonb_build_object('topic', topic), ready::double precision FROM topics
    UNION ALL
    SELECT 'topic_locked', jsonb_build_object('topic', topic), locked::double precision FROM topics
    UNION ALL
    SELECT 'topic_oldest_seconds', jsonb_build_object('topic', topic),
           coalesce(greatest(extract(epoch FROM pg_catalog.statement_timestamp() - oldest), 0), 0)::double precision
    FROM topics
    UNION ALL
    SELECT 'write_backs', jsonb_build_object('process', process, 'relation', relation), n::double precision
    FROM write_backs
    UNION ALL
    SELECT 'oldest_write_back_seconds', jsonb_build_object('process', process, 'relation', relation),
           greatest(extract(epoch FROM pg_catalog.statement_timestamp() - since), 0)::double precision
    FROM write_backs
    UNION ALL
    SELECT 'refused_rows', jsonb_build_object('process', p.process, 'relation', a.relation_name), count(*)::double precision
    FROM workflow_data.refused_row r
         JOIN workflow_data.attachment a ON a.attachment = r.attachment
         JOIN workflow_data.process p ON p.process_id = r.process_id
    WHERE a.detached_at IS NULL AND (pg_catalog.pg_has_role('pg_monitor', 'USAGE')
                                     OR r.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[]))
    GROUP BY p.process, a.relation_name
    UNION ALL
    SELECT 'due', jsonb_strip_nulls(jsonb_build_object('work', work, 'process', process, 'server', server)), n::double precision
    FROM due
    UNION ALL
    SELECT 'late_seconds', jsonb_strip_nulls(jsonb_build_object('work', work, 'process', process, 'server', server)),
           coalesce(greatest(extract(epoch FROM pg_catalog.statement_timestamp() - since), 0), 0)::double precision
    FROM due
    UNION ALL
    SELECT 'sending', jsonb_build_object('server', server, 'state', state), (state IN ('ok', 'probing'))::integer::double precision FROM servers
    UNION ALL
    SELECT 'in_flight', jsonb_build_object('server', server), in_flight::double precision FROM servers
    UNION ALL
    SELECT 'parked', jsonb_build_object('server', coalesce(s.server, d.server)),
           greatest(coalesce(d.n, 0) - coalesce(s.in_flight, 0), 0)::double precision
    FROM servers s FULL JOIN (SELECT server, n FROM due WHERE server IS NOT NULL) d ON d.server = s.server
    UNION ALL
    SELECT 'requests', jsonb_build_object('server', server), requests::double precision FROM servers
    UNION ALL
    SELECT 'failures', jsonb_build_object('server', server), failures::double precision FROM servers
    UNION ALL
    SELECT 'retries', jsonb_build_object('server', server), retries::double precision FROM servers
    UNION ALL
    SELECT 'failures_by_kind', jsonb_build_object('server', server, 'kind', kind), n::double precision FROM workflow_data.server_failures()
    UNION ALL
    SELECT 'token_requests', jsonb_build_object('server', server), token_requests::double precision FROM servers
    UNION ALL
    SELECT 'token_failures', jsonb_build_object('server', server), token_failures::double precision FROM servers
    UNION ALL
    SELECT 'breaker_trips', jsonb_build_object('server', server), trips::double precision FROM servers
    UNION ALL
    SELECT 'latency_seconds_bucket', jsonb_build_object('server', server, 'le', le), n::double precision FROM workflow_data.server_latencies()
    UNION ALL
    SELECT 'latency_seconds', jsonb_build_object('server', s.server, 'quantile', q.quantile), q.ms / 1000
    FROM servers s CROSS JOIN LATERAL (VALUES ('0.5', s.p50), ('0.95', s.p95), ('0.99', s.p99)) q (quantile, ms)
    WHERE q.ms IS NOT NULL
    UNION ALL
    SELECT 'workers', jsonb_build_object('kind', kind, 'state', state), count(*)::double precision
    FROM workflow_data.workers()
    WHERE (database = pg_catalog.current_database() OR database IS NULL) AND pg_catalog.pg_has_role('pg_monitor', 'USAGE')
    GROUP BY kind, state
    UNION ALL
    SELECT 'upkeep_failing', '{}'::jsonb, count(error)::double precision
    FROM workflow_data.workers()
    WHERE database = pg_catalog.current_database() AND kind = 'dispatcher' HAVING pg_catalog.pg_has_role('pg_monitor', 'USAGE')
    UNION ALL
    SELECT 'partition_weeks_ahead', jsonb_build_object('relation', p.relname),
           count(*) FILTER (WHERE substring(pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \(''(.*)''\) TO')::timestamptz
                                  > pg_catalog.statement_timestamp())::double precision
    FROM pg_catalog.pg_class p
         JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
         JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE p.oid IN ('workflow_data.instance_history'::regclass, 'workflow_data.visit_history'::regclass, 'workflow_data.attempt_history'::regclass)
          AND pg_catalog.pg_has_role('pg_monitor', 'USAGE')
    GROUP BY p.relname
    UNION ALL
    SELECT 'strays', jsonb_build_object('relation', t.relation), t.n::double precision
    FROM (SELECT 'instance_history' AS relation, count(*) AS n FROM workflow_data.instance_stray
          UNION ALL SELECT 'visit_history', count(*) FROM workflow_data.visit_stray
          UNION ALL SELECT 'attempt_history', count(*) FROM workflow_data.attempt_stray) t
    WHERE pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW workflow.metrics IS
'Counts for monitoring, a row for each name and labels; what has no row is 0. Of all processes and servers for members
  of pg_monitor, else of the processes that the caller may view and the servers that he may use.';
COMMENT ON COLUMN workflow.metrics.name IS 'What is counted or measured: instances, visits, waiting, incidents, due, late_seconds and so on';
COMMENT ON COLUMN workflow.metrics.labels IS
'What the value is of, an object of texts: process, step, state, server and the like; never a key, a number or data of
  an instance';
COMMENT ON COLUMN workflow.metrics.value IS
'How many; seconds, if the name ends with _seconds. What is counted of servers counts since the start of the database
  server';
