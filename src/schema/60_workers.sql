-- Waiting for an instance; the worker processes, and the servers that they call.

CREATE PROCEDURE workflow.wait_for(instance bigint, timeout interval DEFAULT NULL, INOUT status text DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'workflow_wait_for';
COMMENT ON PROCEDURE workflow.wait_for(bigint, interval, text) IS
'Blocks, without polling and without a snapshot, until the instance has ended (completed, aborted, or failed: it has an incident) or has the given status; gives the status it has then. Not inside a transaction block (25001). After the timeout: error 57014. Unknown instance: 42704; needs view or start on the process: 42501';

CREATE FUNCTION workflow_data.workers(OUT kind text, OUT pid integer, OUT database name, OUT started_at timestamptz,
                                 OUT in_flight integer, OUT handled bigint, OUT state text, OUT role name, OUT error text)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'workflow_workers';
COMMENT ON FUNCTION workflow_data.workers() IS
'Worker processes that run now, and a row, without a pid, for each copy, in place of its dispatcher, and in place of those for which no worker slot is free: those of this database, or of all for superusers and members of pg_monitor';

CREATE VIEW workflow.workers AS
    SELECT kind, pid, database, started_at, in_flight, handled, state, role, error FROM workflow_data.workers();
COMMENT ON VIEW workflow.workers IS
'Worker processes that run now, and a row, without a pid, for each copy, in place of its dispatcher, and in place of those for which no worker slot is free: those of this database, or of all for superusers and members of pg_monitor';
COMMENT ON COLUMN workflow.workers.kind IS 'launcher, dispatcher or executor';
COMMENT ON COLUMN workflow.workers.pid IS 'Process ID, as in pg_stat_activity; NULL: there is no process, since the database is a copy, no worker slot is free, or too many databases have workers';
COMMENT ON COLUMN workflow.workers.database IS 'Database it works for; NULL for the launcher';
COMMENT ON COLUMN workflow.workers.started_at IS 'When it was started; NULL: there is no process';
COMMENT ON COLUMN workflow.workers.in_flight IS 'What it is working on: requests of a dispatcher, steps of an executor';
COMMENT ON COLUMN workflow.workers.handled IS 'Number of pieces of work that it has handled since it was started';
COMMENT ON COLUMN workflow.workers.state IS 'running; idle: an executor that waits for work and leaves after a while; paused: nothing is sent, since the database is a copy or workflow.start_paused is on, until workflow.adopt(); no free worker slot: there is work for one, and max_worker_processes is used up; no place: as many other databases have workers as workflow.databases says, shown in this one alone';
COMMENT ON COLUMN workflow.workers.role IS 'Of an executor: the role that it serves, all its life; NULL: it has only upkeep to do, or work of a role that is not there any more';
COMMENT ON COLUMN workflow.workers.error IS 'Of a dispatcher: what upkeep of its database cannot do, and why; the reason is shown to superusers and members of pg_monitor; NULL: all is well';

CREATE FUNCTION workflow_data.servers(OUT server text, OUT state text, OUT in_flight integer,
                                 OUT requests bigint, OUT failures bigint, OUT retries bigint,
                                 OUT p50 double precision, OUT p99 double precision,
                                 OUT since timestamptz, OUT until timestamptz, OUT error text, OUT p95 double precision,
                                 OUT trips bigint, OUT token_requests bigint, OUT token_failures bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 10 AS 'MODULE_PATHNAME', 'workflow_servers';
COMMENT ON FUNCTION workflow_data.servers() IS
'Counters of the servers called from this database since the start of the database server: those that the caller may use, or all for members of pg_monitor';

CREATE FUNCTION workflow_data.server_failures(OUT server text, OUT kind text, OUT n bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 100 AS 'MODULE_PATHNAME', 'workflow_server_failures';
COMMENT ON FUNCTION workflow_data.server_failures() IS
'How many attempts have failed, by server and kind: likewise. For the view workflow.metrics';

CREATE FUNCTION workflow_data.server_latencies(OUT server text, OUT le text, OUT n bigint)
    RETURNS SETOF record LANGUAGE c VOLATILE ROWS 200 AS 'MODULE_PATHNAME', 'workflow_server_latencies';
COMMENT ON FUNCTION workflow_data.server_latencies() IS
'How many requests took at most so many seconds, by server: likewise. For the view workflow.metrics';

-- A dropped server has no catalog row any more, but its visits know its name. OFFSET 0 keeps
-- conditions of the query from being pushed down to where rows have not been hidden yet.
CREATE VIEW workflow.servers AS
    SELECT s.srvname::text AS server,
           (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) o WHERE o.option_name = 'url') AS url,
           CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_options_to_table(s.srvoptions) o
                             WHERE o.option_name = 'max_in_flight' AND o.option_value = '0')
                THEN 'paused' ELSE coalesce(c.state, 'ok') END AS state,
           coalesce(c.in_flight, 0) AS in_flight,
           greatest((SELECT count(*) FROM workflow_data.visit v
                     WHERE v.queue = 'http ' || s.srvname::text AND v.due_at <= pg_catalog.statement_timestamp()
                           AND v.due_at IS NOT NULL AND NOT v.suspended)
                    - coalesce(c.in_flight, 0), 0)::integer AS parked,
           coalesce(c.requests, 0) AS requests,
           coalesce(c.failures, 0) AS failures,
           coalesce(c.retries, 0) AS retries,
           c.p50,
           c.p99,
           c.since,
           c.until,
           c.error,
           c.p95,
           coalesce(c.token_requests, 0) AS token_requests,
           coalesce(c.token_failures, 0) AS token_failures
    FROM pg_catalog.pg_foreign_server s
         JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
         LEFT JOIN workflow_data.servers() c ON c.server = s.srvname::text
    WHERE w.fdwname = 'workflow_http' AND pg_catalog.has_server_privilege(s.oid, 'USAGE')
    UNION ALL
    SELECT d.server, NULL, 'dropped', 0, d.due::integer, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0
    FROM (SELECT substr(v.queue, length('http ') + 1) AS server, count(*) AS due
          FROM workflow_data.visit v
          WHERE v.queue >= 'http ' AND v.queue < 'http!' AND v.due_at <= pg_catalog.statement_timestamp()
                AND v.due_at IS NOT NULL AND NOT v.suspended
                AND v.process_id = ANY ((SELECT workflow_data.my_processes('view'))::integer[])
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_server s
                                WHERE s.srvname::text = substr(v.queue, length('http ') + 1))
          GROUP BY 1
          OFFSET 0) d;
COMMENT ON VIEW workflow.servers IS
'Servers of the wrapper workflow_http that the caller may use, with counters since the start of the database server; and dropped ones that visits of the caller''s processes want to call';
COMMENT ON COLUMN workflow.servers.server IS 'Name of the server';
COMMENT ON COLUMN workflow.servers.url IS 'Its address';
COMMENT ON COLUMN workflow.servers.state IS 'ok: requests are sent; tripped: its breaker holds them back, since too many have failed; probing: a few are sent to see whether it is well again; paused: its max_in_flight is 0, nothing is sent; dropped: there is no server of that name, its visits are parked until there is one';
COMMENT ON COLUMN workflow.servers.in_flight IS 'Requests under way';
COMMENT ON COLUMN workflow.servers.parked IS 'Requests that are due and held back: no more are sent at once, or there is no such server';
COMMENT ON COLUMN workflow.servers.requests IS 'Requests sent';
COMMENT ON COLUMN workflow.servers.failures IS 'Requests that failed: no answer, or one that is not 2xx';
COMMENT ON COLUMN workflow.servers.retries IS 'Requests that were sent again';
COMMENT ON COLUMN workflow.servers.p50 IS 'Half of the requests were answered within this time, in milliseconds';
COMMENT ON COLUMN workflow.servers.p95 IS '95 of 100 requests were answered within this time, in milliseconds';
COMMENT ON COLUMN workflow.servers.token_requests IS 'Requests to the token services that its user mappings name, which are not among its requests';
COMMENT ON COLUMN workflow.servers.token_failures IS 'Those of them that brought no token';
COMMENT ON COLUMN workflow.servers.p99 IS '99 of 100 requests were answered within this time, in milliseconds';
COMMENT ON COLUMN workflow.servers.since IS 'Since when it has been ok, or has not been, as its breaker sees it; NULL: since the dispatcher was started';
COMMENT ON COLUMN workflow.servers.until IS 'Of a tripped one: when it is tried again; NULL: not before its option breaker is changed';
COMMENT ON COLUMN workflow.servers.error IS 'Why its breaker has tripped: the last failure';
