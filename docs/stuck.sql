-- What is stuck in this database, why, and what helps: psql -f docs/stuck.sql, as a superuser, or as a role that may view the processes and is a
-- member of pg_monitor; others see their part of it. See docs/operate.md. No row: nothing is stuck.

SELECT kind, place, count(*) AS n, min(since) AS since, min(why) AS why, min(example) AS example, helps
FROM (-- no worker is there, or it may do nothing
      SELECT 1 AS rank, 'worker' AS kind, kind AS place, NULL::timestamptz AS since, concat_ws(': ', state, error) AS why, NULL AS example, -- a serial number, or what else the help is told
             CASE WHEN state LIKE 'paused%' THEN 'workflow.adopt()' WHEN state = 'no free worker slot' THEN 'max_worker_processes, and a restart'
                  WHEN state LIKE 'no place%' THEN 'workflow.databases, and a restart' ELSE 'what the error says' END AS helps
      FROM workflow.workers
      WHERE database = current_database() AND (pid IS NULL OR state LIKE 'paused%' OR error IS NOT NULL)
      UNION ALL
      SELECT 1, 'worker', 'dispatcher', NULL, 'none runs', NULL, 'the log; shared_preload_libraries'
      WHERE NOT pg_is_in_recovery() AND NOT EXISTS (SELECT FROM workflow.workers WHERE kind = 'dispatcher' AND database = current_database())
      UNION ALL
      -- whose requests are held back
      SELECT 2, 'server', server, since, concat_ws(': ', state, error, parked || ' requests wait'), NULL,
             CASE state WHEN 'paused' THEN 'ALTER SERVER ... OPTIONS (DROP max_in_flight)' WHEN 'dropped' THEN 'CREATE SERVER'
                        ELSE CASE WHEN until IS NULL THEN 'ALTER SERVER ... OPTIONS (DROP breaker)' ELSE 'the service: it is tried again by itself, or at once if url or breaker_open is altered' END END
      FROM workflow.servers
      WHERE state NOT IN ('ok', 'probing')
      UNION ALL
      -- open transactions that hold instances
      SELECT 3, 'transaction', format('pid %s of %s', a.pid, a.usename), a.xact_start, a.state || ': ' || left(a.query, 60), NULL, 'its end, or pg_terminate_backend(pid)'
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a USING (pid)
      WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND c.relname = 'instance'
            AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'workflow_data') AND l.mode = 'RowShareLock'
            AND a.backend_type = 'client backend' AND a.xact_start < now() - interval '10 s'
      UNION ALL
      -- steps that ended badly
      SELECT 4, 'incident', process || ', ' || step, since, concat_ws(': ', error ->> 'code', error ->> 'message'), serial_number, 'workflow.retry, skip, complete, move, cancel'
      FROM workflow.incidents
      UNION ALL
      -- visits that are due, and that no worker goes on with
      SELECT 5, 'visit', process || ', ' || step, due_at, blocked_by, serial_number,
             CASE WHEN blocked_by = 'suspended' THEN 'workflow.resume, resume_process'
                  WHEN blocked_by = 'lock' THEN 'the end of a transaction'
                  WHEN blocked_by = 'executors' THEN 'workflow.executors, or waiting'
                  WHEN blocked_by IN ('server paused', 'server dropped', 'server tripped', 'worker slot', 'dispatcher', 'paused') THEN 'as said above'
                  ELSE 'it is tried again' END
      FROM workflow.visits
      WHERE blocked_by IS NOT NULL
      UNION ALL
      -- rows of attached tables that do not show what they should
      SELECT 6, 'row', relation::text, since, error, relation::text, 'the cause, and workflow.write_back'
      FROM workflow.write_backs
      WHERE error IS NOT NULL
      UNION ALL
      -- what has become of replicated rows, and could not be brought to their instances
      SELECT 6, 'refused', relation::text, since, error, relation::text, 'the cause, and workflow.retry_rows'
      FROM workflow.refused_rows
      UNION ALL
      -- asynchronous calls that have failed, or are not carried out; callbacks of theirs that were not delivered
      SELECT 7, 'call', call, requested_at, coalesce(blocked_by, error ->> 'message', callback_error ->> 'message'), operation::text,
             CASE WHEN callback_state = 'failed' THEN 'workflow.resend' WHEN state = 'failed' THEN 'another call' ELSE 'it is tried again' END
      FROM workflow.operations
      WHERE state = 'failed' OR blocked_by IS NOT NULL OR callback_state = 'failed'
      UNION ALL
      -- what nobody has answered for a day
      SELECT 8, 'wait', process || ', ' || step, since, waits_for, serial_number, 'whoever is to answer'
      FROM workflow.waiting
      WHERE since < now() - interval '1 day' AND waits_for NOT IN ('after', 'until', 'after, until')) stuck
GROUP BY rank, kind, place, helps, CASE kind WHEN 'visit' THEN why WHEN 'incident' THEN split_part(why, ':', 1) END -- the code
ORDER BY rank, since;
